"""The few system calls that Python's `os` lacks. Raises OSError as `os` does; decides nothing."""

from __future__ import annotations

import ctypes
import errno
import os

RENAME_NOREPLACE = 1  # <linux/fs.h>
_WRITE = 2  # SYNC_FILE_RANGE_WRITE: begin to write out, do not wait

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
_libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def rename_new(source: int, name: str, target: int, to: str) -> None:
    """Move `name` of directory `source` to `to` of directory `target`; EEXIST if that is taken.

    ENOSYS or EINVAL where the kernel or the file system cannot promise it.
    """
    if _renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if _renameat2(source, os.fsencode(name), target, os.fsencode(to), RENAME_NOREPLACE):
        raise _failure(to)


def syncfs(fd: int) -> None:
    """Write out all of the file system; fails if any of it failed since `fd` was opened."""
    if _libc.syncfs(fd):
        raise _failure("syncfs")


def begin_writing(fd: int, start: int, length: int) -> None:
    """Let the kernel begin to write out this range. A hint: whether it could is not asked."""
    _libc.sync_file_range(fd, start, length, _WRITE)


def file_system(fd: int) -> int:
    """The magic number of the file system (`man statfs`)."""
    result = _statfs_t()
    if _libc.fstatfs(fd, ctypes.byref(result)):
        raise _failure("fstatfs")
    return int(result[0]) & 0xFFFFFFFF


def _failure(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)
