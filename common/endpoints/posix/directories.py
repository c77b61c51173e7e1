"""Open directories of one user's place, reached name by name and never through a link.

A bounded number is kept open. A handle closes when nobody refers to it any more, so that one
which is dropped here cannot be closed, and its number given to another directory, under the
hands of somebody who still works in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock

from common.endpoints.template import RESERVED
from common.errors import Refused

ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
KEPT = 128  # open directories per place: far below the usual limit of 1024 files per process


class Handle:
    """An open directory."""

    __slots__ = ("fd", "folds", "id", "names", "touched", "used")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        found = os.fstat(fd)
        self.id = (found.st_dev, found.st_ino)
        self.used = True  # since the last look for one to drop
        self.touched = 0  # when something in it was last changed by us
        self.folds: bool | None = None  # names that differ in case are one name; None: unknown
        self.names: set[str] | None = None  # as spelled on disk; only where it folds

    def has(self, name: str) -> bool:
        """Does anything go by this name?"""
        try:
            os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def holds(self, name: str, identity: tuple[int, int]) -> bool:
        """Is this what `name` leads to?"""
        try:
            found = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == identity

    # A handle is used as a value, never as the number alone: `get(path).fd` would close it at once.
    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.fd)


class Directories:
    """The directories below `root`, by path ("" is the root itself)."""

    def __init__(self, root: Handle, *, flags: int = 0, kept: int = KEPT) -> None:
        self.root = root
        self._flags, self._kept = ENTER | flags, kept
        self._open: dict[str, Handle] = {"": root}
        self._lock = Lock()

    def get(self, path: str) -> Handle:
        """The directory at `path`. OSError if there is none or a link is on the way."""
        handle = self._open.get(path)
        if handle is None:
            return self._enter(path)
        handle.used = True
        return handle

    def enter(self, parent: Handle, name: str, path: str) -> Handle:
        """The directory `name` of `parent`, freshly opened, and kept under `path`."""
        return self._keep(path, Handle(os.open(name, self._flags, dir_fd=parent.fd)))

    def forget(self, path: str) -> None:
        """Whatever was open at `path` is looked up again next time."""
        with self._lock:
            self._open.pop(path, None)

    def fresh(self) -> Directories:
        """The same place with nothing but the root open."""
        return Directories(self.root, flags=self._flags, kept=self._kept)

    def _enter(self, path: str) -> Handle:
        at = path  # climb to the nearest directory that is open, then descend again
        while (handle := self._open.get(at)) is None:
            at = at.rpartition("/")[0]
        for name in path[len(at) :].removeprefix("/" if at else "").split("/"):
            checked(name, path)
            at = f"{at}/{name}" if at else name
            handle = self.enter(handle, name, at)
        return handle

    def _keep(self, path: str, handle: Handle) -> Handle:
        with self._lock:
            self._open[path] = handle
            while len(self._open) > self._kept:
                self._drop_one()
        return handle

    def _drop_one(self) -> None:
        """Second chance: the oldest goes, unless it was used since it was last looked at."""
        path, handle = next(iter(self._open.items()))
        del self._open[path]
        if path == "" or handle.used:
            handle.used = False
            self._open[path] = handle


def split(path: str) -> tuple[str, str]:
    """A path's directory and its last name. Refused if that is no name for an item."""
    parent, _, name = path.rpartition("/")
    if name in ("", ".", "..") or name.startswith(RESERVED):
        checked(name, path)
    return parent, name


def checked(name: str, path: str) -> None:
    """Refuse names that lead elsewhere, or that are ours."""
    if name in ("", ".", ".."):
        raise Refused(f"{path!r}: {name!r} is no name inside a user's place")
    if name.startswith(RESERVED):
        raise Refused(f"{path!r}: names that begin with {RESERVED} are reserved")
