"""The numbers of the NBD protocol and how its headers are packed. No I/O.

As in the protocol's own document (doc/proto.md of the reference implementation): fixed newstyle
negotiation, simple and structured replies, the metadata context base:allocation. Extended headers
are not spoken here; who asks for them is told so.
"""

from __future__ import annotations

import errno
import struct
from typing import NamedTuple

from common.errors import ConvoyError, Denied, Missing, Permanent, Refused, Stale, Transient

PORT = 10809
GREETING = 0x4E42444D41474943
OPTION = 0x49484156454F5054
OPTION_REPLY = 0x3E889045565A9
REQUEST = 0x25609513
SIMPLE = 0x67446698
STRUCTURED = 0x668E33EF

HELLO = struct.Struct(">QQH")
ASK = struct.Struct(">QII")  # magic, option, length
TELL = struct.Struct(">QIII")  # magic, option, type, length
COMMAND = struct.Struct(">IHHQQI")  # magic, flags, type, cookie, offset, length
REPLY = struct.Struct(">IIQ")  # magic, error, cookie
CHUNK = struct.Struct(">IHHQI")  # magic, flags, type, cookie, length

FIXED_NEWSTYLE, NO_ZEROES = 1, 2
OPT_EXPORT_NAME, OPT_ABORT, OPT_LIST, OPT_STARTTLS = 1, 2, 3, 5
OPT_INFO, OPT_GO, OPT_STRUCTURED, OPT_LIST_META, OPT_SET_META = 6, 7, 8, 9, 10
REP_ACK, REP_SERVER, REP_INFO, REP_META = 1, 2, 3, 4
ERROR = 1 << 31
ERR_UNSUP, ERR_POLICY, ERR_INVALID, ERR_TLS_REQD = (ERROR + n for n in (1, 2, 3, 5))
ERR_UNKNOWN, ERR_SHUTDOWN, ERR_TOO_BIG = (ERROR + n for n in (6, 7, 9))
INFO_EXPORT, INFO_NAME, INFO_DESCRIPTION, INFO_BLOCK_SIZE = range(4)

HAS_FLAGS, READ_ONLY, CAN_FLUSH, CAN_FUA, ROTATIONAL, CAN_TRIM, CAN_ZERO, CAN_DF, MULTI_CONN = (
    1 << n for n in range(9)
)
FAST_ZERO_OFFERED = 1 << 11
CMD_READ, CMD_WRITE, CMD_DISC, CMD_FLUSH, CMD_TRIM, CMD_CACHE, CMD_ZERO, CMD_STATUS = range(8)
FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO = 1, 2, 4, 8, 16
DONE = 1
CHUNK_NONE, CHUNK_DATA, CHUNK_HOLE, CHUNK_STATUS = 0, 1, 2, 5
CHUNK_ERROR, CHUNK_ERROR_OFFSET = (1 << 15) + 1, (1 << 15) + 2
ALLOCATION = "base:allocation"
HOLE, ZERO = 1, 2

NAME_MOST = 4096  # bytes of an export's name, or of any text of the protocol
OPTION_MOST = 64 << 10  # bytes of one option or its reply that anybody has a use for
PAYLOAD_MOST = 32 << 20  # bytes of one read or write
STATUS_MOST = 1 << 16  # extents of one reply
LENGTH_MOST = (1 << 32) - 1
SIZE_MOST = (1 << 63) - 1

ESHUTDOWN = 108  # the protocol's numbers are Linux's
KNOWN = {1, 5, 12, 22, 28, 75, 95, ESHUTDOWN}
SAID = {
    errno.EPERM: "it does not allow that",
    errno.EIO: "input/output error",
    errno.ENOMEM: "it is out of memory",
    errno.EINVAL: "invalid request",
    errno.ENOSPC: "no space left",
    errno.EOVERFLOW: "too much at once",
    errno.EOPNOTSUPP: "not supported",
    ESHUTDOWN: "it is shutting down, or somebody else mounted it",
}


class Command(NamedTuple):
    """A request of a client."""

    flags: int
    type: int
    cookie: int
    offset: int
    length: int

    def packed(self) -> bytes:
        return COMMAND.pack(REQUEST, *self)


class Blocks(NamedTuple):
    """Sizes of what may be asked at once, in bytes."""

    least: int = 1
    preferred: int = 4096
    most: int = PAYLOAD_MOST


class Extent(NamedTuple):
    """A stretch of a disk: how long, and whether it is a hole, or reads as zeros."""

    length: int
    flags: int


class Full(Permanent):
    """No room for what was to be written."""

    hint = "make room in the set"


def malformed(what: str) -> Refused:
    """The other side does not keep to the protocol; nothing more is believed of it."""
    return Refused(f"nbd: {what}", hint="it is no NBD server or client, or damaged on the way")


def number_of(error: ConvoyError) -> int:
    """What a client is told of our error."""
    match error:
        case Stale():
            return ESHUTDOWN
        case Denied():
            return errno.EPERM
        case Refused():
            return errno.EINVAL
        case Full():
            return errno.ENOSPC
        case _:
            return errno.EIO


def error_of(number: int, what: str) -> ConvoyError:
    """Our error for what a server said."""
    said = f"{what}: the server says: {SAID.get(number, f'error {number}')}"
    match number:
        case errno.EPERM:
            return Denied(said)
        case errno.EINVAL | errno.EOPNOTSUPP | errno.EOVERFLOW:
            return Refused(said, hint="look at the block sizes and the length of the disk")
        case errno.ENOSPC:
            return Full(said)
        case 108:
            return Stale(said)
        case _:
            return Transient(said, hint="look at the server's log and its disks")


def refusal(kind: int, said: str, what: str) -> ConvoyError:
    """Our error for what a server said while we negotiated."""
    text = f"{what}: {said}" if said else what
    match kind:
        case _ if kind == ERR_UNKNOWN:
            return Missing(f"{text}: there is no such export")
        case _ if kind in (ERR_POLICY, ERR_TLS_REQD):
            return Denied(f"{text}: it is not allowed, or wants TLS")
        case _ if kind == ERR_SHUTDOWN:
            return Transient(f"{text}: the server is shutting down")
        case _:
            return Refused(f"{text}: refused with {kind - ERROR}")


def checked(text: bytes) -> str:
    """A text of the protocol."""
    if len(text) > NAME_MOST or 0 in text:
        raise malformed("a text that is too long, or holds a zero byte")
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise malformed("a text that is not UTF-8") from None
