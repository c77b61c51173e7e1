"""Compares both sides after a run, outside the timing, with code that shares nothing with ours.

Every name and every length; contents of a sample, by MD5. What differs ends the benchmark.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Sizes = Mapping[str, int]


class Disagreement(Exception):
    """A run did not do what it was timed for."""


def folder(root: Path) -> dict[str, int]:
    """Every file below `root`, and its length."""
    found = {}
    for place, _, names in os.walk(root):
        for name in names:
            path = os.path.join(place, name)
            found[os.path.relpath(path, root)] = os.lstat(path).st_size
    return found


def bucket(client: Any, name: str, prefix: str) -> dict[str, tuple[int, str]]:
    """Every object below `prefix`: its length and ETag."""
    found = {}
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=name, Prefix=prefix)
    for page in pages:
        for entry in page.get("Contents", []):
            found[entry["Key"][len(prefix) :]] = entry["Size"], entry["ETag"].strip('"')
    return found


def digest(path: Path) -> str:
    """The MD5 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def require(
    who: str,
    wanted: Sizes,
    found: Sizes,
    *,
    same: Callable[[str], bool],
    sample: int = 500,
) -> None:
    """Both sides hold the same names with the same lengths; contents of about `sample` agree."""
    if wanted != found:
        missing, extra = wanted.keys() - found.keys(), found.keys() - wanted.keys()
        raise Disagreement(f"{who}: {len(missing)} missing, {len(extra)} too many, or lengths")
    step = max(1, len(wanted) // sample)
    for path in sorted(wanted)[::step]:
        if not same(path):
            raise Disagreement(f"{who}: {path} differs")
