"""Structured replies: several chunks for one request, each checked against what was asked."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from common.endpoints.nbd import wire
from common.endpoints.nbd.stream import Stream
from common.endpoints.nbd.wire import Command, Extent, malformed

Asked = tuple[Command, memoryview | None]  # and where its bytes are to be put
_EXTENT = struct.Struct(">II")


class Reply(NamedTuple):
    """A server's answer; `error` is 0 or the protocol's number."""

    cookie: int
    error: int = 0
    extents: tuple[Extent, ...] = ()


class Chunks:
    """One structured reply. Chunks of several replies may not be mixed: there is one request at
    a time under way on connections that agreed on them."""

    def __init__(
        self, stream: Stream, asked: Callable[[int], Asked], allocation: int | None
    ) -> None:
        self._stream, self._asked, self._allocation = stream, asked, allocation
        self._error, self._filled = 0, 0
        self._extents: tuple[Extent, ...] = ()

    def read(self) -> Reply:
        """The rest of it; its first magic number was read."""
        cookie = -1
        for n in range(wire.STATUS_MOST):
            if n and struct.unpack(">I", self._stream.read(4)) != (wire.STRUCTURED,):
                raise malformed("a reply that ends in the middle")
            flags, kind, about, length = struct.unpack(">HHQI", self._stream.read(16))
            command, into = self._asked(about)
            if cookie not in (-1, about) or length > wire.PAYLOAD_MOST + 8:
                raise malformed("a chunk that does not fit its reply")
            cookie = about
            self._take(command, into, kind, length)
            if flags & wire.DONE:
                return self._whole(command)
        raise malformed("a reply without an end")

    def _take(self, command: Command, into: memoryview | None, kind: int, length: int) -> None:
        if kind & 1 << 15:
            self._error = self._chunk_error(length) or self._error
        elif kind == wire.CHUNK_STATUS and command.type == wire.CMD_STATUS:
            self._extents = self._chunk_status(command, length)
        elif kind in (wire.CHUNK_DATA, wire.CHUNK_HOLE) and command.type == wire.CMD_READ:
            self._filled += self._chunk_data(command, into, kind, length)
        elif kind != wire.CHUNK_NONE or length:
            raise malformed(f"a chunk of kind {kind}")

    def _whole(self, command: Command) -> Reply:
        if not self._error and command.type == wire.CMD_READ and self._filled != command.length:
            raise malformed("a read of which something is missing")
        if not self._error and command.type == wire.CMD_STATUS and not self._extents:
            raise malformed("no extents")
        return Reply(command.cookie, self._error, self._extents)

    def _chunk_error(self, length: int) -> int:
        if not 6 <= length <= wire.NAME_MOST + 16:
            raise malformed("an error that is none")
        body = self._stream.read(length)
        return struct.unpack_from(">I", body)[0] or 5

    def _chunk_status(self, command: Command, length: int) -> tuple[Extent, ...]:
        if length < 12 or (length - 4) % 8 or length > 4 + 8 * wire.STATUS_MOST:
            raise malformed("extents that are none")
        body = self._stream.read(length)
        if struct.unpack_from(">I", body)[0] != self._allocation:
            raise malformed("extents that were not asked for")
        found = tuple(Extent(*pair) for pair in _EXTENT.iter_unpack(body[4:]))
        total = sum(extent.length for extent in found[:-1])
        if not all(extent.length for extent in found) or total >= command.length:
            raise malformed("extents that lie outside")
        return found

    def _chunk_data(self, command: Command, into: memoryview | None, kind: int, length: int) -> int:
        if length < 8 or (kind == wire.CHUNK_HOLE and length != 12):
            raise malformed("data that is none")
        (offset,) = struct.unpack(">Q", self._stream.read(8))
        size = length - 8
        if kind == wire.CHUNK_HOLE:
            (size,) = struct.unpack(">I", self._stream.read(4))
        start = offset - command.offset
        if start < 0 or not size or start + size > command.length:
            raise malformed("data that lies outside")
        part = (into if into is not None else nowhere(command))[start : start + size]
        if kind == wire.CHUNK_HOLE:
            part[:] = bytes(size)
        else:
            self._stream.read_into(part)
        return size


def nowhere(command: Command) -> memoryview:
    """For bytes that nobody waits for."""
    return memoryview(bytearray(command.length))
