"""The write-intent log of one disk: a file with a bit for every slice that may differ.

It is believed only if it was written for this very task and disk, by the holder of the epoch just
before ours: else somebody may have written without noting it, and every slice is taken for dirty.
A bit is on the disk before `mark` returns (`durable`), or with the kernel at least, which outlives
us but not the machine.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress

from common.endpoints.nbd.export import told
from common.errors import Conflict
from consumer.trans.disks.slices import CLEAN, DIRTY

_MAGIC = b"convoy slices 1\n"
_HEAD = struct.Struct(">16sQQQ32sI")  # magic, epoch, size, slice, name, check
_START = 4096  # of the bits; the head keeps a block of its own


class Intents:
    """The log (`consumer.trans.disks.slices.Log`), held for as long as it is open."""

    def __init__(self, path: str, *, durable: bool = True) -> None:
        self._path, self._durable = path, durable
        with told(path):
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._fd)
            raise Conflict(
                f"{path}: another Trans serves this disk", hint="wait until it has ended"
            ) from exc
        self._bits = bytearray()

    def begin(self, name: str, epoch: int, size: int, slice_bytes: int) -> bytes:
        """What is known of every slice, by what stands here; from now on it is ours.

        `epoch` is ours, granted by the catalogue; `name` is that of the task.
        """
        many = -(-size // slice_bytes)
        length = -(-many // 8)
        with told(self._path):
            head = os.pread(self._fd, _HEAD.size, 0)
            found = os.pread(self._fd, length, _START)
        known = _head(name, epoch - 1, size, slice_bytes)
        if head == known and len(found) == length:
            self._bits = bytearray(found)
        else:
            self._bits = bytearray(b"\xff" * length)
            self._anew()
        with told(self._path):
            os.pwrite(self._fd, _head(name, epoch, size, slice_bytes), 0)
            os.fdatasync(self._fd)
        return bytes(DIRTY if self._bits[k >> 3] >> (k & 7) & 1 else CLEAN for k in range(many))

    def _anew(self) -> None:
        """The bits first: a head without its bits would be believed."""
        with told(self._path):
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, self._bits, _START)
            os.fsync(self._fd)

    def mark(self, slices: Iterable[int]) -> None:
        touched = set()
        for k in slices:
            self._bits[k >> 3] |= 1 << (k & 7)
            touched.add(k >> 3)
        self._put(touched)
        if touched and self._durable:
            with told(self._path):
                os.fdatasync(self._fd)

    def clear(self, slices: Iterable[int]) -> None:
        touched = set()
        for k in slices:
            self._bits[k >> 3] &= ~(1 << (k & 7))
            touched.add(k >> 3)
        self._put(touched)

    def _put(self, touched: set[int]) -> None:
        with told(self._path):
            for at in touched:
                os.pwrite(self._fd, self._bits[at : at + 1], _START + at)

    def close(self) -> None:
        os.close(self._fd)

    def remove(self) -> None:
        """The task is over."""
        with suppress(FileNotFoundError):
            os.unlink(self._path)
        self.close()


def _head(name: str, epoch: int, size: int, slice_bytes: int) -> bytes:
    text = name.encode()
    word = text if len(text) <= 32 else text[:24] + b"%08x" % zlib.crc32(text)
    body = _HEAD.pack(_MAGIC, epoch, size, slice_bytes, word, 0)[:-4]
    return body + struct.pack(">I", zlib.crc32(body))
