"""Writes chunks into a file, digests them on the way and reads every one of them back.

The reading back goes through the page cache: it finds what was damaged in memory and on the way,
not on the platter (`digest` with drop-behind does). Large chunks are digested in a second thread
while they are written, because MD5 is slower than all the rest.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import local

from common.endpoints.place import is_hole
from common.endpoints.posix import kernel
from common.errors import Corrupt

ASIDE = 256 << 10  # bytes from which handing a chunk to the second thread pays
PIECE = 1 << 20  # bytes written and read back at once
_GRAIN = 64 << 10  # bytes: zeros in runs of this are left out of sparse files

Chunk = bytes | bytearray | memoryview


class Writer:
    """Writes files of one place, one at a time in each thread."""

    def __init__(self) -> None:
        self._passing, self._own = kernel.Passing(), local()
        self._digester = ThreadPoolExecutor(1, "digest")

    def close(self) -> None:
        """End the second thread."""
        self._digester.shutdown()

    def pour(
        self, fd: int, chunks: Iterable[Chunk], digest: hashlib._Hash, *, start: int, fresh: bool
    ) -> int:
        """Write `chunks` from `start` on; where they end. `fresh`: the file holds nothing yet,
        so that holes need no writing. Corrupt if what is read back differs."""
        at = start
        for chunk in chunks:
            if len(chunk) < ASIDE:
                digest.update(chunk)
                self._put(fd, chunk, at, fresh)
            else:
                digested = self._digester.submit(digest.update, chunk)
                try:
                    self._put(fd, chunk, at, fresh)
                finally:
                    digested.result()
            at += len(chunk)
        return at

    def _put(self, fd: int, chunk: Chunk, at: int, fresh: bool) -> None:
        if is_hole(chunk) and (fresh or self._same(fd, chunk, at)):
            return
        whole = memoryview(chunk)
        for first in range(0, len(whole), PIECE):  # what was just written is near when read back
            piece = whole[first : first + PIECE]
            done = self._passing.write(fd, piece, at + first)
            while done < len(piece):
                done += self._passing.write(fd, piece[done:], at + first + done)
            if not self._same(fd, piece, at + first):
                raise _differs(len(piece), at + first)

    def _same(self, fd: int, chunk: Chunk, at: int) -> bool:
        """Does the file hold `chunk` at `at`? Compared as bytes, which is many times as fast as
        comparing two views, and in a block that is used again: fresh memory costs more than both.
        """
        whole = memoryview(chunk)
        for first in range(0, len(whole), PIECE):
            piece = whole[first : first + PIECE]
            back = self._back(len(piece))
            done = count = self._passing.read(fd, back, at + first)
            while count > 0 and done < len(back):
                count = self._passing.read(fd, memoryview(back)[done:], at + first + done)
                done += count
            if done != len(back) or back != piece:
                return False
        return True

    def _back(self, size: int) -> bytearray:
        """A block of this size, of this thread's own."""
        block: bytearray | None = getattr(self._own, "block", None)
        if block is None or len(block) != size:
            block = self._own.block = bytearray(size)
        return block


def write_small(fd: int, data: bytes) -> None:
    """Write an empty file at once and read it back. Corrupt if it differs.

    It goes through the page cache, where the kernel gathers small files before it writes them
    out; `kernel.forget` takes it from there once it is durable.
    """
    _write(fd, data, 0)
    _require_same(fd, data)


def write_sparse(fd: int, data: bytes) -> None:
    """As `write_small`, but leave runs of zeros out."""
    for at in range(0, len(data), _GRAIN):
        piece = data[at : at + _GRAIN]
        if piece.count(0) != len(piece):
            _write(fd, piece, at)
    os.ftruncate(fd, len(data))
    _require_same(fd, data)


def _write(fd: int, data: bytes, at: int) -> None:
    done = os.pwrite(fd, data, at)
    while done < len(data):
        done += os.pwrite(fd, memoryview(data)[done:], at + done)


def _require_same(fd: int, data: bytes) -> None:
    if os.pread(fd, len(data) + 1, 0) != data:
        raise _differs(len(data), 0)


def _differs(size: int, at: int) -> Corrupt:
    return Corrupt(f"{size} bytes at {at} read back different from what was written")
