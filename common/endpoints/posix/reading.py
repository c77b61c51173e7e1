"""Reads back what the target holds. Opens plain files only, and never through a link."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from stat import S_ISDIR, S_ISREG

from common.digest import md5
from common.endpoints.posix.content import BLOCK
from common.endpoints.posix.directories import Handle
from common.errors import Corrupt, Occupied

_UNTOLD = (errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS)  # it does not say
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@contextmanager
def opened(parent: Handle, name: str, path: str, *, directory: bool = False) -> Iterator[int]:
    """A file (or directory), open for reading. Occupied if it is something else."""
    fd = os.open(name, _READ, dir_fd=parent.fd)
    try:
        mode = os.fstat(fd).st_mode
        if not (S_ISREG(mode) or (directory and S_ISDIR(mode))):
            raise Occupied(f"{path!r}: the target holds something there that is no file")
        yield fd
    finally:
        os.close(fd)


def chunks(fd: int) -> Iterator[memoryview]:
    """All of an open file; each chunk is valid until the next is asked for."""
    block = memoryview(bytearray(BLOCK))
    while count := os.readv(fd, [block]):
        yield block[:count]


def forgotten(fd: int) -> bool:
    """Drop an open file from the page cache; False if it is still there."""
    os.fsync(fd)  # what is dirty cannot be dropped
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    try:
        return not os.preadv(fd, [bytearray(1)], 0, os.RWF_NOWAIT)
    except BlockingIOError:  # it would have to be fetched
        return True
    except OSError as exc:
        if exc.errno in _UNTOLD:
            return True
        raise


def digest(fd: int, *, drop_behind: bool) -> tuple[str, int]:
    """The MD5 and length of an open file; `drop_behind`: leave nothing of it in the cache."""
    running, size = md5(), 0
    block = memoryview(bytearray(min(BLOCK, os.fstat(fd).st_size + 1)))
    while count := os.readv(fd, [block]):
        running.update(block[:count])
        size += count
        if drop_behind:
            os.posix_fadvise(fd, 0, size, os.POSIX_FADV_DONTNEED)
    return running.hexdigest(), size


def ranges(
    fd: int, cuts: Sequence[tuple[int, int]], path: str, *, drop_behind: bool = False
) -> Iterator[str]:
    """The MD5 of each (start, end); Corrupt if the file ends before."""
    block = memoryview(bytearray(BLOCK))
    for start, end in cuts:
        running, at = md5(), start
        while at < end:
            count = os.preadv(fd, [block[: min(BLOCK, end - at)]], at)
            if not count:
                raise Corrupt(f"{path!r}: the target's ends at {at}, before {end}")
            running.update(block[:count])
            at += count
            if drop_behind:
                os.posix_fadvise(fd, start, at - start, os.POSIX_FADV_DONTNEED)
        yield running.hexdigest()
