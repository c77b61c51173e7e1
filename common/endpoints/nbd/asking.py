"""The client's side of the negotiation: TLS, what there is, and which export is meant.

Nothing that a server says is believed beyond its bounds: lengths, numbers of answers, texts. A
server that offers less than the fixed newstyle negotiation is refused.
"""

from __future__ import annotations

import ssl
import struct
from collections.abc import Iterator
from typing import NamedTuple

from common.endpoints.nbd import wire
from common.endpoints.nbd.stream import Stream
from common.endpoints.nbd.wire import Blocks, checked, malformed, refusal
from common.errors import Denied, Refused

ANSWERS = 10_000  # to one question, at most
_NAMES = struct.Struct(">I")


class Offer(NamedTuple):
    """What an export is, as its server says."""

    name: str
    size: int
    flags: int
    blocks: Blocks
    description: str = ""
    structured: bool = False
    allocation: int | None = None  # the number of base:allocation on this connection

    def can(self, flag: int) -> bool:
        return bool(self.flags & flag)


def greet(stream: Stream) -> None:
    """The first words."""
    greeting, option, flags = wire.HELLO.unpack(stream.read(wire.HELLO.size))
    if greeting != wire.GREETING:
        raise malformed("what greets there is no NBD server")
    if option != wire.OPTION or not flags & wire.FIXED_NEWSTYLE:
        raise Refused(
            f"{stream.what}: speaks an old dialect of NBD", hint="use a server of this decade"
        )
    stream.write(struct.pack(">I", flags & (wire.FIXED_NEWSTYLE | wire.NO_ZEROES)))


def secure(stream: Stream, context: ssl.SSLContext, name: str) -> None:
    """Ask for TLS and begin it; Denied if the server has none."""
    try:
        for _ in _ask(stream, wire.OPT_STARTTLS):
            raise malformed("an answer to STARTTLS that is none")
    except Refused as error:
        raise Denied(f"{stream.what}: it has no TLS", hint="use nbd://, or give it TLS") from error
    stream.secure(context, server=False, name=name)


def structured(stream: Stream) -> bool:
    """Ask for structured replies; whether we get them."""
    return _granted(stream, wire.OPT_STRUCTURED)


def allocation(stream: Stream, name: str) -> int | None:
    """Ask for base:allocation; its number, or None if there is none."""
    query = wire.ALLOCATION.encode()
    data = _text(name) + _NAMES.pack(1) + _NAMES.pack(len(query)) + query
    found = None
    try:
        for kind, answer in _ask(stream, wire.OPT_SET_META, data):
            if kind != wire.REP_META or len(answer) < 4:
                raise malformed("an answer to SET_META_CONTEXT that is none")
            if answer[4:] == query:
                (found,) = _NAMES.unpack_from(answer)
    except Said:
        return None
    return found


def listed(stream: Stream) -> Iterator[tuple[str, str]]:
    """Every export that the server shows: (name, description)."""
    for kind, data in _ask(stream, wire.OPT_LIST):
        if kind != wire.REP_SERVER or len(data) < 4:
            raise malformed("an answer to LIST that is none")
        (length,) = _NAMES.unpack_from(data)
        if length > len(data) - 4:
            raise malformed("a name that is longer than its answer")
        yield checked(data[4 : 4 + length]), checked(data[4 + length :])


def choose(stream: Stream, name: str, *, go: bool) -> Offer:
    """What the export is; with `go`, requests may follow. Missing if there is none."""
    wanted = (wire.INFO_DESCRIPTION, wire.INFO_BLOCK_SIZE)
    data = _text(name) + struct.pack(f">H{len(wanted)}H", len(wanted), *wanted)
    found: dict[int, bytes] = {}
    for kind, answer in _ask(stream, wire.OPT_GO if go else wire.OPT_INFO, data):
        if kind != wire.REP_INFO or len(answer) < 2:
            raise malformed("an answer to GO that is none")
        found[int.from_bytes(answer[:2], "big")] = answer[2:]
    return _offer(name, found)


def leave(stream: Stream) -> None:
    """End the negotiation in good order."""
    stream.write(wire.ASK.pack(wire.OPTION, wire.OPT_ABORT, 0))


def _offer(name: str, found: dict[int, bytes]) -> Offer:
    export = found.get(wire.INFO_EXPORT, b"")
    if len(export) != 10:
        raise malformed("an export without a size")
    size, flags = struct.unpack(">QH", export)
    if size > wire.SIZE_MOST or not flags & wire.HAS_FLAGS:
        raise malformed(f"an export of {size} bytes with flags {flags}")
    blocks = Blocks()
    if (sizes := found.get(wire.INFO_BLOCK_SIZE)) is not None:
        if len(sizes) != 12:
            raise malformed("block sizes that are none")
        blocks = _blocks(*struct.unpack(">III", sizes))
    return Offer(name, size, flags, blocks, checked(found.get(wire.INFO_DESCRIPTION, b"")))


def _blocks(least: int, preferred: int, most: int) -> Blocks:
    powers = all(n and not n & (n - 1) for n in (least, preferred))
    if not powers or least > 1 << 16 or preferred < least or most < least:
        raise malformed(f"block sizes {least}, {preferred}, {most}")
    return Blocks(least, preferred, min(most, wire.PAYLOAD_MOST))


class Said(Refused):
    """The server does not know the question."""


def _granted(stream: Stream, option: int) -> bool:
    try:
        for _ in _ask(stream, option):
            raise malformed("an answer where there should be none")
    except Said:
        return False
    return True


def _ask(stream: Stream, option: int, data: bytes = b"") -> Iterator[tuple[int, bytes]]:
    """Every answer to a question, until it is acknowledged; our error if it is refused."""
    stream.write(wire.ASK.pack(wire.OPTION, option, len(data)) + data)
    for _ in range(ANSWERS):
        magic, about, kind, length = wire.TELL.unpack(stream.read(wire.TELL.size))
        if magic != wire.OPTION_REPLY or about != option or length > wire.OPTION_MOST:
            raise malformed("an answer to a question that was not asked")
        answer = bytes(stream.read(length))
        if kind == wire.REP_ACK:
            return
        if kind in (wire.ERR_UNSUP, wire.ERR_INVALID):
            raise Said(f"{stream.what}: the server does not know question {option}")
        if kind & wire.ERROR:
            raise refusal(kind, answer[: wire.NAME_MOST].decode(errors="replace"), stream.what)
        yield kind, answer
    raise malformed("answers without an end")


def _text(text: str) -> bytes:
    data = text.encode()
    return _NAMES.pack(len(data)) + data
