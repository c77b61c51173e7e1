"""The few system calls that Python's `os` lacks. Raises OSError as `os` does."""

from __future__ import annotations

import ctypes
import errno
import os

RENAME_NOREPLACE = 1  # <linux/fs.h>
DONTCACHE = 0x80  # RWF_DONTCACHE <linux/fs.h>: since Linux 6.14, on some file systems
_UNKNOWN = (errno.EOPNOTSUPP, errno.EINVAL)  # so says a kernel or file system of a flag

_libc = ctypes.CDLL(None, use_errno=True)
_statfs_t = ctypes.c_long * 32  # struct statfs is 15 longs; its first is the type

_renameat2 = getattr(_libc, "renameat2", None)  # absent before glibc 2.28
if _renameat2 is not None:
    _renameat2.argtypes = (
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_uint,
    )


class Passing:
    """Reads and writes of what is needed just once: where the kernel can, none of it stays in
    the page cache, where it would push out what the machine needs (and where finding room for it
    costs more than the write). What others have in the cache stays there."""

    def __init__(self) -> None:
        self._flags = DONTCACHE

    def read(self, fd: int, into: memoryview | bytearray, at: int) -> int:
        """As `os.preadv`."""
        try:
            return os.preadv(fd, [into], at, self._flags)
        except OSError as exc:
            self._without(exc)
        return os.preadv(fd, [into], at)

    def write(self, fd: int, data: bytes | bytearray | memoryview, at: int) -> int:
        """As `os.pwrite`."""
        try:
            return os.pwritev(fd, [data], at, self._flags)
        except OSError as exc:
            self._without(exc)
        return os.pwrite(fd, data, at)

    def _without(self, exc: OSError) -> None:
        """Do without the flag if that was what `exc` is about."""
        if not self._flags or exc.errno not in _UNKNOWN:
            raise exc
        self._flags = 0


def rename_new(source: int, name: str, target: int, to: str) -> None:
    """Move `name` of directory `source` to `to` of directory `target`; EEXIST if that is taken.

    ENOSYS or EINVAL where the kernel or the file system cannot promise it.
    """
    if _renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if "\0" in name or "\0" in to:
        raise ValueError("embedded null byte")  # which C would take for the end of the name
    if _renameat2(source, os.fsencode(name), target, os.fsencode(to), RENAME_NOREPLACE):
        raise _failure(to)


def syncfs(fd: int) -> None:
    """Write out all of the file system; fails if any of it failed since `fd` was opened."""
    if _libc.syncfs(fd):
        raise _failure("syncfs")


def forget(directory: int, name: str) -> None:
    """Drop what is clean of a file from the page cache."""
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def file_system(fd: int) -> int:
    """The magic number of the file system (`man statfs`)."""
    result = _statfs_t()
    if _libc.fstatfs(fd, ctypes.byref(result)):
        raise _failure("fstatfs")
    return int(result[0]) & 0xFFFFFFFF


def _failure(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)
