"""Trees to move, and an independent comparison of what arrived (nothing of ours is asked)."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def plant(root: Path) -> None:
    """A small tree with one of everything: odd names, links, hard links, holes, empty things."""
    (root / "docs" / "deep" / "er").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "notes.txt").write_bytes(b"some notes of one user\n" * 40)
    (root / "nothing").touch()
    (root / "docs" / "ein Brief.txt").write_text("Grüße")
    (root / "docs" / "new\nline").write_bytes(b"odd")
    (root / "docs" / "deep" / "er" / "blob").write_bytes(bytes(range(256)) * 700)
    Path(os.fsdecode(os.fsencode(root) + b"/not-utf8-\xff")).write_bytes(b"bytes")
    (root / "docs" / "link").symlink_to("../notes.txt")
    (root / "outside").symlink_to("/etc/passwd")
    (root / "dangling").symlink_to("nowhere")
    os.link(root / "notes.txt", root / "docs" / "notes-again.txt")
    with (root / "sparse").open("wb") as holes:
        holes.seek(1 << 20)
        holes.write(b"end")
    (root / "notes.txt").chmod(0o640)
    (root / "docs").chmod(0o750)
    for number, path in enumerate(sorted(root.rglob("*"), reverse=True)):
        if not path.is_symlink():
            os.utime(path, ns=(10**18, 10**18 + number * 1_000_000_007))
    os.utime(root, ns=(10**18, 10**18 + 5))


def differences(old: Path, new: Path) -> list[str]:
    """What differs between two trees, by name and aspect; empty if nothing does."""
    left, right = _pictures(old), _pictures(new)
    found = [f"{path}: only in {old}" for path in sorted(left.keys() - right.keys())]
    found += [f"{path}: only in {new}" for path in sorted(right.keys() - left.keys())]
    for path in sorted(left.keys() & right.keys()):
        for aspect, value in left[path].items():
            if right[path][aspect] != value:
                found.append(f"{path}: {aspect} {value!r} became {right[path][aspect]!r}")
    return found


def _pictures(root: Path) -> dict[str, dict[str, object]]:
    pictures = {"": _picture(root)}
    for top, directories, files in os.walk(root):
        for name in (*directories, *files):
            path = Path(top, name)
            pictures[str(path.relative_to(root))] = _picture(path)
    names: dict[tuple[int, int], list[str]] = {}
    for path_, picture in pictures.items():
        if picture["links"] != 1 and picture["type"] == stat.S_IFREG:
            where = picture["inode"]
            assert isinstance(where, tuple)
            names.setdefault(where, []).append(path_)
    for picture in pictures.values():
        where = picture.pop("inode")
        assert isinstance(where, tuple)
        picture["other names"] = sorted(names.get(where, []))
    return pictures


def _picture(path: Path) -> dict[str, object]:
    seen = path.lstat()
    kind = stat.S_IFMT(seen.st_mode)
    regular = stat.S_ISREG(seen.st_mode)
    return {
        "type": kind,
        "mode": stat.S_IMODE(seen.st_mode),
        "owner": (seen.st_uid, seen.st_gid),
        "mtime": seen.st_mtime_ns,
        "size": seen.st_size if regular else 0,
        "links": seen.st_nlink if regular else 1,
        "contents": path.read_bytes() if regular else b"",
        "target": os.readlink(path) if stat.S_ISLNK(seen.st_mode) else "",
        "inode": (seen.st_dev, seen.st_ino),
    }
