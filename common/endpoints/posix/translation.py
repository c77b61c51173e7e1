"""The one seam where the kernel's errors become ours, sorted by what to do about them."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from common.errors import ConvoyError, Denied, Missing, Occupied, Refused, Transient

_NAME = "the target's file system cannot hold this name: rename it at the source"
_LINK = "a link or file stands where a directory is needed: look at both sides"
_READ_ONLY = "the file system is mounted read-only: mount it writable, then `convoy requeue`"
_DEVICE = "the device or its network reports errors (see dmesg); it is tried again"
_HANDLES = "too many open files: raise the limit (ulimit -n) or run fewer consumers"

TABLE: Mapping[int, tuple[type[ConvoyError], str]] = {
    errno.ENOENT: (Missing, ""),
    errno.EACCES: (Denied, ""),
    errno.EPERM: (Denied, ""),
    errno.EROFS: (Denied, _READ_ONLY),
    errno.ENAMETOOLONG: (Refused, _NAME),
    errno.EILSEQ: (Refused, _NAME),
    errno.EINVAL: (Refused, _NAME),
    errno.EFBIG: (Refused, "the target's file system cannot hold files this large"),
    errno.ELOOP: (Refused, _LINK),
    errno.ENOTDIR: (Refused, _LINK),
    errno.EEXIST: (Occupied, ""),
    errno.EISDIR: (Occupied, ""),
    errno.ENOTEMPTY: (Occupied, ""),
    errno.EIO: (Transient, _DEVICE),
    errno.ESTALE: (Transient, _DEVICE),
    errno.EMFILE: (Transient, _HANDLES),
    errno.ENFILE: (Transient, _HANDLES),
}
"""Everything else is Transient: it is tried again, and gives up after the unit's attempts."""


def ours(exc: OSError | ValueError, what: str, *, fd: int = -1, place: str = "") -> ConvoyError:
    """Our error for `exc`, met while doing `what`; `fd` and `place` are where space may be out.

    A ValueError is what Python says of names that no file system can hold (a NUL, not text).
    """
    if not isinstance(exc, OSError):
        return Refused(f"{what}: {exc}", hint=_NAME)
    kind, hint = TABLE.get(exc.errno or 0, (Transient, ""))
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = _full(exc, fd, place)
    return kind(f"{what}: {exc.strerror or exc}", hint=hint)


def _full(exc: OSError, fd: int, place: str) -> str:
    """What is full, for the person who has to make room."""
    where = place or "the target"
    if exc.errno == errno.EDQUOT:
        return f"the quota on {where} is used up: raise it; it is tried again"
    if fd >= 0:
        free = os.fstatvfs(fd)
        if free.f_files and not free.f_favail:
            return f"{where} has no inodes left: make room; it is tried again"
        return f"{where} is full ({free.f_bavail * free.f_frsize} bytes left): make room"
    return f"{where} is full: make room; it is tried again"
