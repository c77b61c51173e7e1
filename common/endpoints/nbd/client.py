"""An export of some server, to read from and to write to. Blocking; one thread at a time.

Requests may be sent ahead of their replies (`send`, `reply`), as a copier does; the plain verbs
do both. What a server says is checked against what was asked: a reply to nothing, of another
length, or outside of the request ends the connection.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

from common.endpoints.nbd import asking, wire
from common.endpoints.nbd.asking import Offer
from common.endpoints.nbd.chunks import Asked, Chunks, Reply, nowhere
from common.endpoints.nbd.stream import Address, Bytes, Stream
from common.endpoints.nbd.wire import Command, Extent, error_of, malformed
from common.errors import ConvoyError, Refused

CONNECT, SILENCE = timedelta(seconds=10), timedelta(seconds=60)


class Client:
    """One connection that may be used for requests."""

    def __init__(self, stream: Stream, offer: Offer) -> None:
        self._stream, self.offer = stream, offer
        self._open: dict[int, Asked] = {}
        self._next = 0

    @classmethod
    def open(
        cls,
        address: Address,
        *,
        tls: ssl.SSLContext | None = None,
        control: bool = False,
        connect: timedelta = CONNECT,
        silence: timedelta = SILENCE,
    ) -> Client:
        """Log in to an export. `control` asks for structured replies and base:allocation, which
        cost data connections time."""
        stream = address.connect(connect, silence)
        try:
            _begin(stream, address, tls)
            context, wordy = None, control and asking.structured(stream)
            if wordy:
                context = asking.allocation(stream, address.export)
            offer = asking.choose(stream, address.export, go=True)
        except BaseException:
            stream.close()
            raise
        return cls(stream, offer._replace(structured=wordy, allocation=context))

    def detach(self) -> socket.socket:
        """The bare socket: requests are somebody else's business now."""
        return self._stream.detach()

    def fileno(self) -> int:
        return self._stream.fileno()

    def patience(self, silence: timedelta) -> None:
        self._stream.patience(silence)

    # sending ahead

    def send(
        self, type: int, offset: int = 0, length: int = 0, *, flags: int = 0, data: Bytes = b""
    ) -> int:
        """Send a request; the cookie by which its reply is known. Refused if it cannot be."""
        command = Command(flags, type, self._next, offset, length)
        self._refuse(command, data)
        self._next = (self._next + 1) & (1 << 63) - 1
        self._open[command.cookie] = (command, None)
        if data:
            self._stream.write(command.packed(), data)
        else:
            self._stream.write(command.packed())
        return command.cookie

    def send_read(self, offset: int, into: memoryview) -> int:
        """Send a read whose bytes will be put there."""
        cookie = self.send(wire.CMD_READ, offset, len(into))
        self._open[cookie] = (self._open[cookie][0], into)
        return cookie

    def reply(self) -> Reply:
        """The next reply, whichever it is."""
        (magic,) = struct.unpack(">I", self._stream.read(4))
        if magic == wire.SIMPLE:
            error, cookie = struct.unpack(">IQ", self._stream.read(12))
            command, into = self._asked(cookie)
            if command.type == wire.CMD_READ and self.offer.structured:
                raise malformed("a simple reply to a read where structured ones were agreed")
            if command.type == wire.CMD_STATUS and not error:
                raise malformed("a simple reply to a question for extents")
            if not error and command.type == wire.CMD_READ:
                self._stream.read_into(into if into is not None else nowhere(command))
            del self._open[cookie]
            return Reply(cookie, error)
        if magic == wire.STRUCTURED and self.offer.structured:
            reply = Chunks(self._stream, self._asked, self.offer.allocation).read()
            del self._open[reply.cookie]
            return reply
        raise malformed(f"a reply that begins with {magic:#x}")

    def _asked(self, cookie: int) -> Asked:
        if cookie not in self._open:
            raise malformed("a reply to nothing that was asked")
        return self._open[cookie]

    def _refuse(self, command: Command, data: Bytes) -> None:
        offer, end = self.offer, command.offset + command.length
        wants = {
            wire.CMD_TRIM: wire.CAN_TRIM,
            wire.CMD_ZERO: wire.CAN_ZERO,
            wire.CMD_FLUSH: wire.CAN_FLUSH,
        }
        why = ""
        if end > offer.size or not 0 <= command.length <= wire.LENGTH_MOST:
            why = f"bytes {command.offset} to {end} of {offer.size}"
        elif command.type in (wire.CMD_READ, wire.CMD_WRITE) and command.length > wire.PAYLOAD_MOST:
            why = f"{command.length} bytes at once"
        elif command.type == wire.CMD_WRITE and len(data) != command.length:
            why = f"{len(data)} bytes for a write of {command.length}"
        elif not offer.can(wants.get(command.type, 0)) and command.type in wants:
            why = "a request that the server does not offer"
        elif offer.can(wire.READ_ONLY) and command.type in (1, 4, 6):
            why = "a write to a read-only export"
        elif command.type == wire.CMD_STATUS and offer.allocation is None:
            why = "extents, which the server does not tell"
        if why:
            raise Refused(f"{self._stream.what}: {why}")

    # plain verbs

    def read(self, offset: int, length: int) -> bytearray:
        into = bytearray(length)
        self.read_into(offset, memoryview(into))
        return into

    def read_into(self, offset: int, into: memoryview) -> None:
        self.send_read(offset, into)
        self._done("read")

    def write(self, offset: int, data: Bytes, *, fua: bool = False) -> None:
        self.send(wire.CMD_WRITE, offset, len(data), flags=wire.FUA * fua, data=data)
        self._done("write")

    def zero(self, offset: int, length: int, *, fua: bool = False, hole: bool = True) -> None:
        flags = wire.FUA * fua | wire.NO_HOLE * (not hole)
        self.send(wire.CMD_ZERO, offset, length, flags=flags)
        self._done("write of zeros")

    def trim(self, offset: int, length: int, *, fua: bool = False) -> None:
        self.send(wire.CMD_TRIM, offset, length, flags=wire.FUA * fua)
        self._done("trim")

    def flush(self) -> None:
        """Durable is what was acknowledged before. Nothing to do where nothing is ever held back
        (the server offers no flush)."""
        if self.offer.can(wire.CAN_FLUSH):
            self.send(wire.CMD_FLUSH)
            self._done("flush")

    def extents(self, offset: int, length: int) -> Iterator[Extent]:
        """Holes and zeros of a stretch; together they are exactly as long as it is."""
        while length:
            self.send(wire.CMD_STATUS, offset, min(length, wire.LENGTH_MOST))
            for extent in self._done("question for extents").extents:
                part = min(extent.length, length)
                yield Extent(part, extent.flags)
                offset, length = offset + part, length - part

    def close(self) -> None:
        """Say goodbye, if it can still be heard."""
        with suppress(ConvoyError):
            self._stream.write(Command(0, wire.CMD_DISC, 0, 0, 0).packed())
        self._stream.close()

    def end(self) -> None:
        """Cut it off now, also for a thread that waits in it."""
        self._stream.end()

    def _done(self, what: str) -> Reply:
        reply = self.reply()
        if reply.error:
            raise error_of(reply.error, f"{self._stream.what}: {what}")
        return reply


def exports(
    address: Address, *, tls: ssl.SSLContext | None = None, connect: timedelta = CONNECT
) -> list[tuple[str, str]]:
    """Names and descriptions of what a server shows."""
    stream = address.connect(connect, connect)
    try:
        _begin(stream, address, tls)
        found = list(asking.listed(stream))
        asking.leave(stream)
    finally:
        stream.close()
    return found


def look(
    address: Address, *, tls: ssl.SSLContext | None = None, connect: timedelta = CONNECT
) -> Offer:
    """What an export is, without logging in to it."""
    stream = address.connect(connect, connect)
    try:
        _begin(stream, address, tls)
        found = asking.choose(stream, address.export, go=False)
        asking.leave(stream)
    finally:
        stream.close()
    return found


def _begin(stream: Stream, address: Address, tls: ssl.SSLContext | None) -> None:
    asking.greet(stream)
    if address.tls:
        asking.secure(stream, tls or ssl.create_default_context(), address.host)
