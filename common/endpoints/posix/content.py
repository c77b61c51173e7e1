"""A file of the source, open for reading. Writes nothing, and keeps nothing but its handle."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from common.endpoints.place import ZEROS, Attributes, Item
from common.endpoints.posix import attributes as xattrs
from common.endpoints.posix.kernel import Passing
from common.endpoints.posix.shape import version_of
from common.endpoints.posix.translation import ours
from common.errors import Changing

BLOCK = 1 << 20  # bytes read at once: more than this only leaves the processor's caches
SEQUENTIAL = 8 << 20  # bytes from which the kernel is told to read far ahead


class FileContent:
    """An open file, or a directory (which has attributes only)."""

    def __init__(self, fd: int, item: Item, seen: os.stat_result, passing: Passing) -> None:
        self.item = item
        self._fd, self._seen, self._passing = fd, seen, passing
        self.attributes: Attributes = xattrs.read(fd)

    def __enter__(self) -> FileContent:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._fd)

    def whole(self) -> bytes:
        """All of it. Changing if it is shorter or longer than the item says."""
        size = self.item.size
        data = bytearray(size + 1)
        try:
            done = count = self._passing.read(self._fd, data, 0)
            while count > 0 and done < size:
                count = self._passing.read(self._fd, memoryview(data)[done:], done)
                done += count
        except OSError as exc:
            raise self._failed(exc) from exc
        if done != size:
            raise self._changed()
        return bytes(memoryview(data)[:size])

    def chunks(self, start: int = 0, end: int | None = None) -> Iterator[memoryview]:
        """The bytes from `start` to `end`, holes as slices of ZEROS."""
        end = self.item.size if end is None else end
        block = memoryview(bytearray(min(BLOCK, max(end - start, 1))))
        try:
            if end - start >= SEQUENTIAL:
                os.posix_fadvise(self._fd, start, end - start, os.POSIX_FADV_SEQUENTIAL)
            for at, until, hole in self._extents(start, end):
                if hole:
                    yield from _zeros(until - at)
                else:
                    yield from self._data(at, until, block)
        except OSError as exc:
            raise self._failed(exc) from exc

    def unchanged(self) -> bool:
        """Is the source still what it was when it was opened?"""
        try:
            return _stamp(os.fstat(self._fd)) == _stamp(self._seen)
        except OSError as exc:
            raise self._failed(exc) from exc

    def _data(self, at: int, until: int, block: memoryview) -> Iterator[memoryview]:
        while at < until:
            chunk = block[: min(len(block), until - at)]
            count = self._passing.read(self._fd, chunk, at)
            if not count:
                raise self._changed()
            yield chunk[:count]
            at += count

    def _extents(self, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
        """Runs of data and, if it has any, of holes."""
        if not self.item.sparse:
            yield start, end, False
            return
        at = start
        while at < end:
            data = self._seek(at, os.SEEK_DATA, end)
            if data > at:
                yield at, data, True
            hole = self._seek(data, os.SEEK_HOLE, end) if data < end else end
            if hole > data:
                yield data, hole, False
            at = hole

    def _seek(self, at: int, whence: int, end: int) -> int:
        try:
            return min(os.lseek(self._fd, at, whence), end)
        except OSError as exc:
            if exc.errno != errno.ENXIO:  # nothing but a hole from here on
                raise
            return end

    def _changed(self) -> Changing:
        return Changing(f"{self.item.path!r}: its length changed while it was read")

    def _failed(self, exc: OSError) -> Exception:
        return ours(exc, f"reading {self.item.path!r}")


def _zeros(count: int) -> Iterator[memoryview]:
    while count > 0:
        yield ZEROS[: min(count, len(ZEROS))]
        count -= len(ZEROS)


def _stamp(found: os.stat_result) -> tuple[int, int, str]:
    return found.st_size, found.st_mtime_ns, version_of(found)
