"""Compares two trees by walking both: an independent witness that asks nothing of Convoy."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict

READ = 1 << 20


def differences(old: str, new: str) -> dict[str, str]:
    """What differs, by path: in kind, length, contents, link, mode, time, owner or names shared."""
    left, right = _pictured(os.fsencode(old)), _pictured(os.fsencode(new))
    found = {}
    for path in left.keys() | right.keys():
        if why := _differ(left.get(path), right.get(path)):
            found[os.fsdecode(path)] = why
    return found


Picture = dict[str, object]


def _differ(old: Picture | None, new: Picture | None) -> str:
    if old is None:
        return "only on the target"
    if new is None:
        return "only at the source"
    return ", ".join(field for field in {**old, **new} if old.get(field) != new.get(field))


def _pictured(root: bytes) -> dict[bytes, Picture]:
    seen: dict[bytes, Picture] = {}
    shared: dict[tuple[int, int], list[bytes]] = defaultdict(list)
    for folder, below, files in os.walk(root):
        for name in [*below, *files]:
            path = os.path.join(folder, name)
            found = os.lstat(path)
            seen[os.path.relpath(path, root)] = _picture(path, found)
            if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
                shared[found.st_dev, found.st_ino].append(os.path.relpath(path, root))
    for group in shared.values():
        for path in group:
            seen[path]["names shared"] = sorted(group)
    return seen


def _picture(path: bytes, found: os.stat_result) -> Picture:
    picture: Picture = {"kind": stat.S_IFMT(found.st_mode), "mode": stat.S_IMODE(found.st_mode)}
    picture |= {"time": found.st_mtime_ns, "owner": (found.st_uid, found.st_gid)}
    if stat.S_ISLNK(found.st_mode):
        picture["link"] = os.readlink(path)
    elif stat.S_ISREG(found.st_mode):
        picture["length"] = found.st_size
        picture["contents"] = _digest(path)
    return picture


def _digest(path: bytes) -> str:
    running = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(READ):
            running.update(chunk)
    return running.hexdigest()
