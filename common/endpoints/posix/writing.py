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

from common.endpoints.place import ZEROS, is_hole
from common.endpoints.posix import kernel
from common.errors import Corrupt

ASIDE = 256 << 10  # bytes from which handing a chunk to the second thread pays
PUSHED = 32 << 20  # bytes after which the kernel is told to begin writing out
_GRAIN = 64 << 10  # bytes: zeros in runs of this are left out of sparse files

Chunk = bytes | bytearray | memoryview


class Writer:
    """Writes files of one place, one at a time in each thread."""

    def __init__(self) -> None:
        self._digester = ThreadPoolExecutor(1, "digest")

    def close(self) -> None:
        """End the second thread."""
        self._digester.shutdown()

    def pour(
        self, fd: int, chunks: Iterable[Chunk], digest: hashlib._Hash, *, start: int, fresh: bool
    ) -> int:
        """Write `chunks` from `start` on; where they end. `fresh`: the file holds nothing yet,
        so that holes need no writing. Corrupt if what is read back differs."""
        at = pushed = start
        for chunk in chunks:
            self.put(fd, chunk, digest, at=at, fresh=fresh)
            at += len(chunk)
            if at - pushed >= PUSHED:
                kernel.begin_writing(fd, pushed, at - pushed)
                pushed = at
        return at

    def put(self, fd: int, chunk: Chunk, digest: hashlib._Hash, *, at: int, fresh: bool) -> None:
        """One chunk, as `pour` does it."""
        if len(chunk) < ASIDE:
            digest.update(chunk)
            _put(fd, chunk, at, fresh)
            return
        digested = self._digester.submit(digest.update, chunk)
        try:
            _put(fd, chunk, at, fresh)
        finally:
            digested.result()


def _put(fd: int, chunk: Chunk, at: int, fresh: bool) -> None:
    if is_hole(chunk) and (fresh or same(fd, chunk, at)):
        return
    write_all(fd, chunk, at)
    require_same(fd, chunk, at)


def write_all(fd: int, data: Chunk, at: int) -> None:
    """Write all of `data` at `at`."""
    done = os.pwrite(fd, data, at)
    while done < len(data):
        done += os.pwrite(fd, memoryview(data)[done:], at + done)


def write_sparse(fd: int, data: bytes) -> None:
    """Write `data` into an empty file, leaving runs of zeros out."""
    for at in range(0, len(data), _GRAIN):
        piece = data[at : at + _GRAIN]
        if piece != ZEROS.obj[: len(piece)]:  # type: ignore[index]
            write_all(fd, piece, at)
    os.ftruncate(fd, len(data))


def require_same(fd: int, data: Chunk, at: int) -> None:
    """Corrupt unless the file holds `data` at `at`."""
    if not same(fd, data, at):
        raise Corrupt(f"{len(data)} bytes at {at} read back different from what was written")


def same(fd: int, data: Chunk, at: int) -> bool:
    """Does the file hold `data` at `at`? A bytearray compares with any buffer at once."""
    back = bytearray(len(data))
    view, done = memoryview(back), 0
    while done < len(back):
        count = os.preadv(fd, [view[done:]], at + done)
        if not count:
            return False
        done += count
    return back == data
