"""What a server serves: one disk, whatever it is made of. And the plainest kind, a file."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from common.endpoints.nbd import wire
from common.endpoints.nbd.asking import Offer
from common.endpoints.nbd.stream import Bytes
from common.endpoints.nbd.wire import Extent, Full
from common.errors import ConvoyError, Denied, Missing, Permanent, Refused, Transient

WRITABLE = (
    wire.HAS_FLAGS
    | wire.CAN_FLUSH
    | wire.CAN_FUA
    | wire.CAN_TRIM
    | wire.CAN_ZERO
    | wire.MULTI_CONN  # one file, one cache: a flush covers what any connection was told
)
READABLE = wire.HAS_FLAGS | wire.CAN_FLUSH | wire.READ_ONLY | wire.MULTI_CONN
_KEEP_SIZE, _PUNCH_HOLE, _ZERO_RANGE = 1, 2, 16
_PIECE = 1 << 20
_libc = ctypes.CDLL(None, use_errno=True)


class Choice(Protocol):
    """What a client has chosen, and holds until it is closed."""

    offer: Offer

    def close(self) -> None: ...


C = TypeVar("C", bound=Choice, covariant=True)


class Export(Choice, Protocol):
    """One connection's view of a disk. Called by one thread, within the bounds of `offer`."""

    def read(self, offset: int, length: int) -> Bytes: ...
    def write(self, offset: int, data: Bytes, *, fua: bool) -> None: ...
    def zero(self, offset: int, length: int, *, hole: bool, fua: bool) -> None: ...
    def trim(self, offset: int, length: int, *, fua: bool) -> None: ...
    def flush(self) -> None: ...
    def extents(self, offset: int, length: int) -> Iterable[Extent]: ...


class Exports(Protocol[C]):
    """What a server has. Errors of ours are told to the client."""

    def listed(self) -> Iterable[tuple[str, str]]:
        """Names and descriptions, for whoever asks."""

    def look(self, name: str) -> Offer:
        """What it is; Missing if there is none."""

    def open(self, name: str) -> C:
        """Log in to it. May take its time: the client's handshake is held meanwhile."""


class File:
    """A raw file or a block device."""

    def __init__(self, path: str, name: str, *, writable: bool = True) -> None:
        self._path = path
        with told(path):
            self._fd = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
        with told(path):
            size = os.lseek(self._fd, 0, os.SEEK_END)
        self.offer = Offer(name, size, WRITABLE if writable else READABLE, wire.Blocks())

    def read(self, offset: int, length: int) -> Bytes:
        into = bytearray(length)
        view, done = memoryview(into), 0
        with told(self._path):
            while done < length:
                got = os.preadv(self._fd, [view[done:]], offset + done)
                if not got:
                    raise Permanent(f"{self._path} is shorter than it was", hint="look who cut it")
                done += got
        return into

    def write(self, offset: int, data: Bytes, *, fua: bool) -> None:
        view, done = memoryview(data), 0
        with told(self._path):
            while done < len(view):
                done += os.pwrite(self._fd, view[done:], offset + done)
        self._durable(fua)

    def zero(self, offset: int, length: int, *, hole: bool, fua: bool) -> None:
        modes = [_PUNCH_HOLE | _KEEP_SIZE] if hole else []
        modes.append(_ZERO_RANGE | _KEEP_SIZE)
        if not any(self._allocate(mode, offset, length) for mode in modes):
            zeros = bytes(_PIECE)
            for start in range(offset, offset + length, _PIECE):
                self.write(start, zeros[: min(_PIECE, offset + length - start)], fua=False)
        self._durable(fua)

    def trim(self, offset: int, length: int, *, fua: bool) -> None:
        self._allocate(_PUNCH_HOLE | _KEEP_SIZE, offset, length)  # where it cannot, nothing is due
        self._durable(fua)

    def flush(self) -> None:
        with told(self._path):
            os.fdatasync(self._fd)

    def extents(self, offset: int, length: int) -> Iterator[Extent]:
        """What the file system says; a hole that it does not know is data to us."""
        end = offset + length
        while offset < end:
            start = self._seek(offset, os.SEEK_DATA, end)
            if start > offset:
                yield Extent(start - offset, wire.HOLE | wire.ZERO)
            if start < end:
                stop = self._seek(start, os.SEEK_HOLE, end)
                yield Extent(stop - start, 0)
                start = stop
            offset = start

    def close(self) -> None:
        os.close(self._fd)

    def _durable(self, fua: bool) -> None:
        if fua:
            self.flush()

    def _seek(self, offset: int, whence: int, end: int) -> int:
        try:
            return min(max(os.lseek(self._fd, offset, whence), offset), end)
        except OSError as exc:
            if exc.errno == errno.ENXIO:  # nothing but a hole from here on
                return end
            return end if whence == os.SEEK_HOLE else offset

    def _allocate(self, mode: int, offset: int, length: int) -> bool:
        """Whether the file system can; Python's posix_fallocate knows no modes."""
        if not length:
            return True
        where = (ctypes.c_int64(offset), ctypes.c_int64(length))
        while _libc.fallocate(self._fd, mode, *where):
            number = ctypes.get_errno()
            if number in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENODEV):
                return False
            if number != errno.EINTR:
                raise translated(OSError(number, os.strerror(number)), self._path)
        return True


@contextmanager
def told(path: str) -> Iterator[None]:
    """What goes wrong inside with a file is told as one of our errors."""
    try:
        yield
    except OSError as exc:
        raise translated(exc, path) from exc


def translated(exc: OSError, path: str) -> ConvoyError:
    said = f"{path}: {exc.strerror or exc}"
    match exc.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return Missing(said, hint="look at the set's folder")
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return Denied(said)
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return Full(said)
        case errno.EISDIR | errno.ESPIPE:
            return Refused(said, hint="name a raw file or a block device")
        case _:
            return Transient(said, hint="look at the disk")
