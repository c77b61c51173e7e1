"""Directories in which names that differ only in case or Unicode form are one name.

Found out by looking, without a write: a name is looked up in another spelling. Refuses to take
one item for another because their names fold together: that would merge two users' or two files'
contents.
"""

from __future__ import annotations

import os
import unicodedata

from common.endpoints.posix.directories import Handle
from common.errors import Refused


def spelled(directory: Handle, name: str) -> bool:
    """Does `directory` hold this very name, and not just one that folds to it?

    To be asked only of a name that was found there.
    """
    if directory.folds is None or not (directory.folds or name.isascii()):
        directory.folds = _folds(directory, name)
    if not directory.folds:
        return True
    if directory.names is None:
        directory.names = set(os.listdir(directory.fd))
    return name in directory.names


def require_spelled(directory: Handle, name: str, path: str) -> None:
    """Refuse `path` if what the target holds there goes by another spelling."""
    if not spelled(directory, name):
        raise Refused(
            f"{path!r}: the target already holds a name that is the same to its file system",
            hint="names that differ only in case or Unicode form collide there: rename one",
        )


def _folds(directory: Handle, name: str) -> bool | None:
    """None if this name cannot tell."""
    others = [other for other in _spellings(name) if other != name]
    found = _identity(directory, name) if others else None
    if found is None:
        return directory.folds
    if any(_identity(directory, other) == found for other in others):
        return True
    return directory.folds if name.swapcase() == name else False


def _spellings(name: str) -> tuple[str, ...]:
    normal = unicodedata.normalize
    return name.swapcase(), normal("NFC", name), normal("NFD", name)


def _identity(directory: Handle, name: str) -> tuple[int, int] | None:
    try:
        found = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino
