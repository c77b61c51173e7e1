"""The server's side of the negotiation. A client may ask a bounded number of bounded questions.

What it does not know it says so, as the protocol wants; what breaks the protocol ends the
connection.
"""

from __future__ import annotations

import ssl
import struct
from dataclasses import dataclass
from typing import Generic, TypeVar

from common.endpoints.nbd import wire
from common.endpoints.nbd.asking import Offer
from common.endpoints.nbd.export import Choice, Exports
from common.endpoints.nbd.stream import Stream
from common.endpoints.nbd.wire import checked, malformed
from common.errors import ConvoyError, Denied, Missing, Refused, Stale

QUESTIONS = 1_000  # of one client
ALLOCATION_ID = 1
_NUMBER = struct.Struct(">I")


C = TypeVar("C", bound=Choice)


@dataclass
class Agreed(Generic[C]):
    """What a client and we have agreed upon; `export` once it has chosen."""

    zeroes: bool = True  # after EXPORT_NAME come 124 of them
    secure: bool = False
    structured: bool = False
    allocation: str | None = None  # the export for which base:allocation was asked
    export: C | None = None


class Answering(Generic[C]):
    """One client's negotiation."""

    def __init__(
        self,
        stream: Stream,
        exports: Exports[C],
        tls: ssl.SSLContext | None,
        *,
        plain: bool = False,
    ) -> None:
        """`plain`: without structured replies, and so without extents."""
        self._stream, self._exports, self._tls = stream, exports, tls
        self._agreed: Agreed[C] = Agreed()
        self._known = {
            wire.OPT_LIST: self._list,
            wire.OPT_INFO: self._info,
            wire.OPT_GO: self._go,
        }
        if not plain:
            self._known[wire.OPT_STRUCTURED] = self._structured
            self._known[wire.OPT_SET_META] = self._set_meta
            self._known[wire.OPT_LIST_META] = self._list_meta

    def run(self) -> Agreed[C] | None:
        """Answer until the client has chosen an export; None if it leaves."""
        flags = wire.FIXED_NEWSTYLE | wire.NO_ZEROES
        self._stream.write(wire.HELLO.pack(wire.GREETING, wire.OPTION, flags))
        (wanted,) = _NUMBER.unpack(self._stream.read(4))
        if wanted & ~flags or not wanted & wire.FIXED_NEWSTYLE:
            raise malformed(f"a client with flags {wanted:#x}")
        self._agreed.zeroes = not wanted & wire.NO_ZEROES
        for _ in range(QUESTIONS):
            magic, option, length = wire.ASK.unpack(self._stream.read(wire.ASK.size))
            if magic != wire.OPTION or length > wire.OPTION_MOST:
                raise malformed("a question that is none")
            data = bytes(self._stream.read(length))
            if not self._answer(option, data):
                return None
            if self._agreed.export:
                return self._agreed
        raise malformed("questions without an end")

    def _answer(self, option: int, data: bytes) -> bool:
        """Whether the client goes on."""
        if option == wire.OPT_ABORT:
            self._tell(option, wire.REP_ACK)
            return False
        if option == wire.OPT_STARTTLS:
            self._start_tls(data)
        elif self._tls and not self._agreed.secure:
            if option == wire.OPT_EXPORT_NAME:
                return False  # it knows no other refusal
            self._tell(option, wire.ERR_TLS_REQD, b"ask for TLS first")
        elif option == wire.OPT_EXPORT_NAME:
            return self._export_name(data)
        elif option in self._known:
            self._try(option, data)
        else:
            self._tell(option, wire.ERR_UNSUP)
        return True

    def _try(self, option: int, data: bytes) -> None:
        """Answer; what goes wrong is told."""
        try:
            self._known[option](option, data)
        except (Garbled, struct.error):
            self._tell(option, wire.ERR_INVALID, b"that cannot be read")
        except Missing as error:
            self._tell(option, wire.ERR_UNKNOWN, str(error).encode())
        except (Denied, Refused) as error:
            self._tell(option, wire.ERR_POLICY, str(error).encode())
        except Stale as error:
            self._tell(option, wire.ERR_SHUTDOWN, str(error).encode())

    def _tell(self, option: int, kind: int, data: bytes = b"") -> None:
        data = data[: wire.OPTION_MOST]
        head = wire.TELL.pack(wire.OPTION_REPLY, option, kind, len(data))
        self._stream.write(head + data)

    def _start_tls(self, data: bytes) -> None:
        if data or self._agreed.secure:
            self._tell(wire.OPT_STARTTLS, wire.ERR_INVALID)
            return
        if self._tls is None:
            self._tell(wire.OPT_STARTTLS, wire.ERR_UNSUP)
            return
        self._tell(wire.OPT_STARTTLS, wire.REP_ACK)
        self._stream.secure(self._tls, server=True)
        # what was said in the clear may have been said by anybody
        self._agreed = Agreed(zeroes=self._agreed.zeroes, secure=True)

    def _list(self, option: int, data: bytes) -> None:
        if data:
            raise Garbled
        for name, description in self._exports.listed():
            word = name.encode()
            self._tell(
                option, wire.REP_SERVER, _NUMBER.pack(len(word)) + word + description.encode()
            )
        self._tell(option, wire.REP_ACK)

    def _structured(self, option: int, data: bytes) -> None:
        if data:
            raise Garbled
        self._agreed.structured = True
        self._tell(option, wire.REP_ACK)

    def _info(self, option: int, data: bytes) -> None:
        name, wanted = _choice(data)
        self._describe(option, name, wanted, self._exports.look(name))
        self._tell(option, wire.REP_ACK)

    def _go(self, option: int, data: bytes) -> None:
        name, wanted = _choice(data)
        export = self._exports.open(name)
        try:
            self._describe(option, name, wanted, export.offer)
            self._tell(option, wire.REP_ACK)
        except BaseException:
            export.close()
            raise
        self._chosen(export, name)

    def _export_name(self, data: bytes) -> bool:
        """The old way to choose; it can only be refused by hanging up."""
        try:
            name = checked(data)
            export = self._exports.open(name)
        except ConvoyError:
            return False
        offer = export.offer
        zeroes = bytes(124) if self._agreed.zeroes else b""
        try:
            self._stream.write(struct.pack(">QH", offer.size, self._flags(offer)) + zeroes)
        except BaseException:
            export.close()
            raise
        self._chosen(export, name)
        return True

    def _chosen(self, export: C, name: str) -> None:
        if self._agreed.allocation != name:  # it was asked for another one
            self._agreed.allocation = None
        self._agreed.export = export

    def _describe(self, option: int, name: str, wanted: set[int], offer: Offer) -> None:
        what = {wire.INFO_EXPORT: struct.pack(">QH", offer.size, self._flags(offer))}
        what[wire.INFO_BLOCK_SIZE] = struct.pack(">III", *offer.blocks)
        if wire.INFO_NAME in wanted:
            what[wire.INFO_NAME] = name.encode()
        if wire.INFO_DESCRIPTION in wanted and offer.description:
            what[wire.INFO_DESCRIPTION] = offer.description.encode()
        for kind, data in what.items():
            self._tell(option, wire.REP_INFO, struct.pack(">H", kind) + data)

    def _flags(self, offer: Offer) -> int:
        return offer.flags | (wire.CAN_DF if self._agreed.structured else 0)

    def _set_meta(self, option: int, data: bytes) -> None:
        self._agreed.allocation = None
        if not self._agreed.structured:
            raise Garbled
        name, queries = _queries(data)
        self._exports.look(name)
        if wire.ALLOCATION.encode() in queries:
            self._tell_meta(option, ALLOCATION_ID)
            self._agreed.allocation = name
        self._tell(option, wire.REP_ACK)

    def _list_meta(self, option: int, data: bytes) -> None:
        if not self._agreed.structured:
            raise Garbled
        name, queries = _queries(data)
        self._exports.look(name)
        if not queries or {b"base:", wire.ALLOCATION.encode()} & set(queries):
            self._tell_meta(option, 0)
        self._tell(option, wire.REP_ACK)

    def _tell_meta(self, option: int, number: int) -> None:
        self._tell(option, wire.REP_META, _NUMBER.pack(number) + wire.ALLOCATION.encode())


class Garbled(Exception):
    """A question of a known kind that cannot be read; the client is told, and may go on."""


def _choice(data: bytes) -> tuple[str, set[int]]:
    """The export that is meant, and what the client wants to know of it."""
    name, rest = _named(data)
    (many,) = struct.unpack_from(">H", rest)
    if len(rest) != 2 + 2 * many:
        raise Garbled
    return name, set(struct.unpack_from(f">{many}H", rest, 2))


def _queries(data: bytes) -> tuple[str, list[bytes]]:
    name, rest = _named(data)
    (many,) = _NUMBER.unpack_from(rest)
    rest, found = rest[4:], []
    for _ in range(many):
        (length,) = _NUMBER.unpack_from(rest)
        if length > wire.NAME_MOST or length > len(rest) - 4:
            raise Garbled
        found.append(rest[4 : 4 + length])
        rest = rest[4 + length :]
    if rest:
        raise Garbled
    return name, found


def _named(data: bytes) -> tuple[str, bytes]:
    (length,) = _NUMBER.unpack_from(data)
    if length > wire.NAME_MOST or length > len(data) - 4:
        raise Garbled
    try:
        return checked(data[4 : 4 + length]), data[4 + length :]
    except Refused:
        raise Garbled from None
