"""Serves one connection: negotiates, then carries out requests one after the other.

Requests of one connection are answered in their order; several connections run at once. Nothing
that a client sends is believed: lengths, ranges and kinds are checked before a byte is stored,
and what cannot be skipped ends the connection.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Iterable
from ssl import SSLContext

from common.endpoints.nbd import wire
from common.endpoints.nbd.answering import ALLOCATION_ID, Agreed, Answering
from common.endpoints.nbd.asking import Offer
from common.endpoints.nbd.export import Export, Exports
from common.endpoints.nbd.stream import FOREVER, Over, Stream
from common.endpoints.nbd.wire import Command, Extent, malformed, number_of
from common.errors import ConvoyError

_ALLOWED = {  # flags by the kind of request
    wire.CMD_READ: wire.DF,
    wire.CMD_WRITE: wire.FUA,
    wire.CMD_FLUSH: 0,
    wire.CMD_TRIM: wire.FUA,
    wire.CMD_ZERO: wire.FUA | wire.NO_HOLE,
    wire.CMD_STATUS: wire.REQ_ONE,
}
_WRITES = {wire.CMD_WRITE, wire.CMD_TRIM, wire.CMD_ZERO}


def serve(stream: Stream, exports: Exports[Export], tls: SSLContext | None = None) -> None:
    """Serve a client until it leaves, or breaks the protocol (then an error of ours)."""
    try:
        agreed = Answering(stream, exports, tls).run()
        if agreed is None or agreed.export is None:
            return
        try:
            stream.patience(FOREVER)  # a disk may be idle for as long as it likes
            Serving(stream, agreed, agreed.export).run()
        finally:
            agreed.export.close()
    except Over:
        return


class Serving:
    """The requests of one connection."""

    def __init__(self, stream: Stream, agreed: Agreed[Export], export: Export) -> None:
        self._stream, self._agreed, self._export = stream, agreed, export
        self._does: dict[int, Callable[[Command], None]] = {
            wire.CMD_READ: self._read,
            wire.CMD_FLUSH: self._flush,
            wire.CMD_TRIM: self._trim,
            wire.CMD_ZERO: self._zero,
            wire.CMD_STATUS: self._status,
        }

    def run(self) -> None:
        """Until the client disconnects."""
        while True:
            magic, *fields = wire.COMMAND.unpack(self._stream.read(wire.COMMAND.size))
            command = Command(*fields)
            if magic != wire.REQUEST:
                raise malformed("a request that is none")
            if command.type == wire.CMD_DISC:
                return
            data = self._payload(command)
            number = wrong(command, self._export.offer, extents=bool(self._agreed.allocation))
            if number:
                self._fail(command, number)
                continue
            try:
                self._carry_out(command, data)
            except Over:
                raise
            except ConvoyError as error:
                self._fail(command, number_of(error))

    def _payload(self, command: Command) -> bytearray | None:
        """What comes with a write; it must be taken off the line before anything is answered."""
        if command.type != wire.CMD_WRITE:
            return None
        if command.length > wire.PAYLOAD_MOST:
            raise malformed(f"a write of {command.length} bytes at once")
        return self._stream.read(command.length)

    def _carry_out(self, command: Command, data: bytearray | None) -> None:
        if data is not None:
            fua = bool(command.flags & wire.FUA)
            self._export.write(command.offset, data, fua=fua)
            self._good(command)
            return
        self._does[command.type](command)

    def _read(self, command: Command) -> None:
        data = self._export.read(command.offset, command.length)
        if not self._agreed.structured:
            self._stream.write(wire.REPLY.pack(wire.SIMPLE, 0, command.cookie), data)
            return
        head = self._chunk(command, wire.CHUNK_DATA, 8 + len(data))
        self._stream.write(head + struct.pack(">Q", command.offset), data)

    def _flush(self, command: Command) -> None:
        self._export.flush()
        self._good(command)

    def _trim(self, command: Command) -> None:
        fua = bool(command.flags & wire.FUA)
        self._export.trim(command.offset, command.length, fua=fua)
        self._good(command)

    def _zero(self, command: Command) -> None:
        fua, hole = bool(command.flags & wire.FUA), not command.flags & wire.NO_HOLE
        self._export.zero(command.offset, command.length, hole=hole, fua=fua)
        self._good(command)

    def _status(self, command: Command) -> None:
        one = command.flags & wire.REQ_ONE
        found = merged(self._export.extents(command.offset, command.length), 1 if one else 4096)
        body = struct.pack(">I", ALLOCATION_ID) + b"".join(struct.pack(">II", *e) for e in found)
        self._stream.write(self._chunk(command, wire.CHUNK_STATUS, len(body)) + body)

    def _good(self, command: Command) -> None:
        if self._agreed.structured:
            self._stream.write(self._chunk(command, wire.CHUNK_NONE, 0))
        else:
            self._stream.write(wire.REPLY.pack(wire.SIMPLE, 0, command.cookie))

    def _fail(self, command: Command, number: int) -> None:
        if self._agreed.structured:
            body = struct.pack(">IH", number, 0)
            self._stream.write(self._chunk(command, wire.CHUNK_ERROR, len(body)) + body)
        else:
            self._stream.write(wire.REPLY.pack(wire.SIMPLE, number, command.cookie))

    def _chunk(self, command: Command, kind: int, length: int) -> bytes:
        return wire.CHUNK.pack(wire.STRUCTURED, wire.DONE, kind, command.cookie, length)


def merged(extents: Iterable[Extent], most: int) -> list[Extent]:
    """Neighbours of the same kind as one; the first `most` of them, at least one."""
    found: list[Extent] = []
    for extent in extents:
        if found and found[-1].flags == extent.flags:
            found[-1] = Extent(found[-1].length + extent.length, extent.flags)
        elif len(found) == most:
            break
        else:
            found.append(extent)
    return found


def wrong(command: Command, offer: Offer, *, extents: bool = False) -> int:
    """The protocol's number for what is wrong with a request; 0 if nothing is."""
    allowed = _ALLOWED.get(command.type)
    if allowed is None or command.flags & ~allowed:
        return errno.EINVAL
    if command.type in _WRITES and offer.can(wire.READ_ONLY):
        return errno.EPERM
    if command.type == wire.CMD_FLUSH:
        return errno.EINVAL if command.offset or command.length else 0
    if command.type == wire.CMD_READ and command.length > wire.PAYLOAD_MOST:
        return errno.EOVERFLOW
    if command.type == wire.CMD_STATUS and not extents:
        return errno.EINVAL
    least = offer.blocks.least
    if not command.length or command.offset % least or command.length % least:
        return errno.EINVAL
    if command.offset + command.length > offer.size:
        return errno.ENOSPC if command.type in _WRITES else errno.EINVAL
    return 0
