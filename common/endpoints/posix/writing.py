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

from common.endpoints.place import is_hole
from common.endpoints.posix import kernel
from common.errors import Corrupt

ASIDE = 256 << 10  # bytes from which handing a chunk to the second thread pays
_GRAIN = 64 << 10  # bytes: zeros in runs of this are left out of sparse files

Chunk = bytes | bytearray | memoryview


class Writer:
    """Writes files of one place, one at a time in each thread."""

    def __init__(self) -> None:
        self.once = kernel.Once()
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

    def all(self, fd: int, data: Chunk, at: int) -> None:
        """Write all of `data` at `at` and read it back. Corrupt if it differs."""
        done = self.once.write(fd, data, at)
        while done < len(data):
            done += self.once.write(fd, memoryview(data)[done:], at + done)
        if not self.same(fd, data, at):
            raise Corrupt(f"{len(data)} bytes at {at} read back different from what was written")

    def sparse(self, fd: int, data: bytes) -> None:
        """Write `data` into an empty file, leaving runs of zeros out."""
        for at in range(0, len(data), _GRAIN):
            piece = data[at : at + _GRAIN]
            if piece.count(0) != len(piece):
                self.all(fd, piece, at)
        os.ftruncate(fd, len(data))

    def same(self, fd: int, data: Chunk, at: int) -> bool:
        """Does the file hold `data` at `at`? A bytearray compares with any buffer at once."""
        back = bytearray(len(data))
        done = self.once.read(fd, back, at)
        while 0 < done < len(back):
            count = self.once.read(fd, memoryview(back)[done:], at + done)
            if not count:
                return False
            done += count
        return back == data

    def _put(self, fd: int, chunk: Chunk, at: int, fresh: bool) -> None:
        if not (is_hole(chunk) and (fresh or self.same(fd, chunk, at))):
            self.all(fd, chunk, at)
