"""A user's tree of files to read from. Writes nothing, follows no link, leaves the root never."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from stat import S_ISDIR, S_ISREG

from common.clock import Clock
from common.endpoints.place import Item, Type
from common.endpoints.posix.ahead import Ahead
from common.endpoints.posix.content import FileContent
from common.endpoints.posix.directories import Directories, split
from common.endpoints.posix.kernel import Passing
from common.endpoints.posix.root import Root
from common.endpoints.posix.shape import version_of
from common.endpoints.posix.translation import ours
from common.endpoints.posix.walk import look, walk
from common.endpoints.template import Template
from common.errors import Changing, Missing
from common.model import Failure

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
TICK = 20_000_000  # nanoseconds: two ticks of the slowest kernel clock in use (100 Hz)
_CHANGED = (errno.ELOOP, errno.ENOTDIR, errno.ENXIO)  # a link, file or socket took its place


class PosixSource:
    """One user's place as source. `deep`: read from the disk, not from the cache."""

    lanes, ahead = 1, 0  # the processor is what it waits for

    def __init__(
        self, template: Template, user: str, *, clock: Clock | None = None, deep: bool = False
    ) -> None:
        self._quiet = os.O_NOATIME if os.geteuid() == 0 else 0  # only owners and root may ask it
        self._root = Root(template, user, flags=self._quiet)
        self._clock, self._passing = clock or Clock(), Passing()
        self._found: Directories | None = None
        self._deep = deep
        self._ahead = Ahead(self._open)

    def walk(self) -> Iterator[Item | Failure]:
        """Everything below the user's root, the root first. Missing if there is no such place."""
        self._found = self._tree().fresh()  # what stood open may have been moved since
        self._ahead.close()
        return self._walk(self._found)

    def expect(self, items: Iterable[Item]) -> None:
        """These will be opened, in this order. What a walk shows is expected anyway."""
        for item in items:
            self._ahead.expect(item)

    def announce(self, item: Item) -> None:
        """Nothing: see `expect`."""

    def look(self, path: str) -> Item | None:
        """One item, or None."""
        try:
            return look(self._tree(), path)
        except Missing:
            return None
        except (OSError, ValueError) as exc:
            if isinstance(exc, OSError) and exc.errno in _CHANGED:
                return None  # what it stood in is no directory any more
            raise ours(exc, f"looking at {path!r}") from exc

    def open(self, item: Item) -> FileContent:
        """Open a FILE for its contents, or a DIRECTORY for its attributes."""
        try:
            fd = self._ahead.take(item.path)
            if fd is None:
                fd = self._open(item.path)
        except (OSError, ValueError) as exc:
            if isinstance(exc, OSError) and exc.errno in _CHANGED:
                raise Changing(f"{item.path!r}: something else took its place") from exc
            raise ours(exc, f"opening {item.path!r}") from exc
        try:
            return FileContent(fd, item, self._as_listed(fd, item), self._passing)
        except BaseException as exc:
            os.close(fd)
            if isinstance(exc, OSError):
                raise ours(exc, f"opening {item.path!r}") from exc
            raise

    def close(self) -> None:
        """Let go of all that is open."""
        self._ahead.close()
        self._found = None

    def _walk(self, directories: Directories) -> Iterator[Item | Failure]:
        for found in walk(directories):
            if isinstance(found, Item):
                self._ahead.expect(found)
            yield found

    def _tree(self) -> Directories:
        if self._found is None:
            root = self._root.open()
            if root is None:
                raise Missing(f"{self._root.place} does not exist")
            self._found = Directories(root, flags=self._quiet)
        return self._found

    def _open(self, path: str) -> int:
        if not path:
            return os.dup(self._tree().root.fd)
        parent, name = split(path)
        directory = self._tree().get(parent)  # referred to: another lane may drop it meanwhile
        try:
            fd = os.open(name, _READ | self._quiet, dir_fd=directory.fd)
        except PermissionError:
            fd = os.open(name, _READ, dir_fd=directory.fd)
        if self._deep:  # what is dirty stays: writing it out is not for a reader
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        return fd

    def _as_listed(self, fd: int, item: Item) -> os.stat_result:
        """What was opened, if it is what was listed.

        What changed in this very tick of the kernel's clock could change once more without a
        trace, so it is left to grow a tick older before it is read.
        """
        found = os.fstat(fd)
        if abs(self._clock.wall() * 1e9 - found.st_ctime_ns) < TICK:
            self._clock.sleep(TICK / 1e9)
            found = os.fstat(fd)
        if not _is(found, item):
            raise Changing(f"{item.path!r}: it changed since it was listed")
        return found


def _is(found: os.stat_result, item: Item) -> bool:
    """Does this agree with the item? What the item does not know is not asked."""
    if item.type is Type.DIRECTORY:
        return S_ISDIR(found.st_mode)
    return (
        S_ISREG(found.st_mode)
        and found.st_size == item.size
        and item.mtime_ns in (-1, found.st_mtime_ns)
        and item.version in ("", version_of(found))
    )
