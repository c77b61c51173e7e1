"""What is wrong with a disk, judged from what its operations came to. Pure: the clock is handed in.

EIO and EROFS are the disk's; a failed fsync is final, because the kernel may have dropped what it
could not write. A disk that does not answer, one whose identity is gone, and one that rots are as
bad. A full disk is not bad: it takes nothing new.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple


class Cause(StrEnum):
    """Why an operation failed."""

    EIO = "eio"
    EROFS = "erofs"
    FSYNC = "fsync"
    HUNG = "hung"
    LOST = "lost"
    ROT = "checksum"
    FULL = "enospc"
    OTHER = "other"


class Status(StrEnum):
    """What a disk may be used for."""

    GOOD = "rw"
    FULL = "full"  # takes nothing new
    SUSPECT = "ro"  # takes no new copy; what is there goes on
    BAD = "unavailable"  # its copies must move


class Error(NamedTuple):
    """One failed operation."""

    at: float  # ticks
    cause: Cause
    copy: str  # which; "" for the probe
    write: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is too much."""

    window: timedelta = timedelta(minutes=30)
    writes: int = 1  # that failed by EIO or EROFS
    reads: int = 3
    rot: int = 3  # chunks that are not what was written


_OURS = {errno.EIO: Cause.EIO, errno.EROFS: Cause.EROFS, errno.ENOSPC: Cause.FULL}
_OURS |= {errno.EDQUOT: Cause.FULL, errno.ENOENT: Cause.LOST, errno.ENODEV: Cause.LOST}
_AT_ONCE = {Cause.FSYNC, Cause.HUNG, Cause.LOST}


def cause(number: int | None, *, fsync: bool = False) -> Cause:
    """The cause that an error number tells of."""
    found = _OURS.get(number or 0, Cause.OTHER)
    return Cause.FSYNC if fsync and found in (Cause.EIO, Cause.EROFS) else found


def judged(
    errors: Sequence[Error], now: float, limits: Limits, known: Cause | None = None
) -> tuple[Status, Cause | None]:
    """What the disk may be used for, and because of what; once bad (`known`), it stays bad."""
    if known:
        return Status.BAD, known
    recent = [e for e in errors if now - e.at <= limits.window.total_seconds()]
    hard = [e for e in errors if e.cause in _AT_ONCE]
    if hard:
        return Status.BAD, hard[0].cause
    kernel = [e for e in recent if e.cause in (Cause.EIO, Cause.EROFS)]
    written = [e for e in kernel if e.write]
    rotten = [e for e in recent if e.cause is Cause.ROT]
    if len(written) >= limits.writes or len(kernel) >= limits.reads:
        return Status.BAD, (written or kernel)[0].cause
    if len(rotten) >= limits.rot:
        return Status.BAD, Cause.ROT
    if kernel or rotten:
        return Status.SUSPECT, (kernel or rotten)[0].cause
    if any(e.cause is Cause.FULL for e in recent):
        return Status.FULL, Cause.FULL
    return Status.GOOD, None
