"""Speaks HTTP/1.1 with clients: one request after the other on a connection, each read strictly,
answered by whoever is asked, and cut where it could not be told where the next one begins.

It knows nothing of S3 but how a refusal is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from secrets import token_hex
from xml.sax.saxutils import escape

import structlog

from common.errors import ConvoyError
from consumer.trans.buckets import heads
from consumer.trans.buckets.chunks import Chunks, Data
from consumer.trans.buckets.faults import RETRY, Fault, slow_down

log = structlog.get_logger(__name__)
PIECE = 256 * 1024
WAITING = 60.0  # seconds for the next request, or the next piece of a body
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(slots=True)
class Answer:
    """What the client gets: a body that is there, or one that flows."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    flow: AsyncGenerator[bytes, None] | None = None
    length: int | None = None  # of a flow, or said of a body that HEAD leaves out
    drop: Callable[[], None] = lambda: None  # let go of a flow that is not given out after all


class Incoming:
    """A request whose body is still to be read."""

    def __init__(
        self, head: heads.Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.head = head
        self._reader, self._writer = reader, writer
        self._left = max(head.length, 0)
        self._chunks = Chunks() if head.chunked else None
        self._asked = head.headers.get("expect", "").lower() == "100-continue"

    @property
    def read(self) -> bool:
        """Has all of the body been read?"""
        return self._chunks.over if self._chunks else not self._left

    async def body(self) -> AsyncGenerator[bytes, None]:
        """The bytes on the wire, without the framing of HTTP."""
        if self._asked and not self.read:
            self._asked = False
            self._writer.write(_CONTINUE)
            await self._writer.drain()
        while not self.read:
            most = PIECE if self._chunks else min(self._left, PIECE)
            async with asyncio.timeout(WAITING):
                data = await self._reader.read(most)
            if not data:
                raise Fault("IncompleteBody", "The body ended early.", close=True)
            if self._chunks is None:
                self._left -= len(data)
                yield data
                continue
            for event in self._chunks.feed(data):
                if isinstance(event, Data):
                    yield event.data
            if self._chunks.surplus():
                raise Fault("InvalidRequest", "Requests in a row are not known.", close=True)


Handler = Callable[[Incoming], Awaitable[Answer]]


async def converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handle: Handler
) -> None:
    """All requests of one connection."""
    try:
        while await _once(reader, writer, handle):
            pass
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass  # the client has gone, or never spoke HTTP
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _once(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handle: Handler
) -> bool:
    """One request; True if another one may follow."""
    async with asyncio.timeout(WAITING):
        raw = await reader.readuntil(b"\r\n\r\n")
    try:
        head = heads.parse(raw[:-4])
    except Fault as fault:
        await _write(writer, refusal(fault), method="", lasting=False)
        return False
    incoming = Incoming(head, reader, writer)
    answer, cut = await _answered(incoming, handle)
    lasting = head.lasting and incoming.read and not cut
    whole = await _write(writer, answer, method=head.method, lasting=lasting)
    return lasting and whole


async def _answered(incoming: Incoming, handle: Handler) -> tuple[Answer, bool]:
    try:
        return await handle(incoming), False
    except Fault as fault:
        return refusal(fault), fault.close
    except ConvoyError as error:  # a store is away, or says what it should not: fail closed
        log.warning("gateway.failed", why=str(error))
        return refusal(slow_down("A store is out of reach; come again.")), True
    except TimeoutError:
        return refusal(slow_down("Nothing came for too long.")), True


def refusal(fault: Fault) -> Answer:
    """A fault as S3 writes it."""
    name = token_hex(8)
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{fault.code}</Code><Message>{escape(fault.message)}</Message>"
        f"<RequestId>{name}</RequestId></Error>"
    )
    headers = {"content-type": "application/xml", "x-amz-request-id": name}
    if fault.status == 503:
        headers["retry-after"] = RETRY
    return Answer(fault.status, headers, text.encode())


async def _write(
    writer: asyncio.StreamWriter, answer: Answer, *, method: str, lasting: bool
) -> bool:
    """The answer; False if its body could not be given whole."""
    flows = answer.flow is not None and answer.length is None
    lines = [f"HTTP/1.1 {answer.status} {_phrase(answer.status)}"]
    lines += [f"{n}: {v}" for n, v in answer.headers.items() if n != "content-length"]
    if flows:
        lines.append("transfer-encoding: chunked")
    elif answer.status not in (204, 304):
        length = answer.length if answer.length is not None else len(answer.body)
        lines.append(f"content-length: {length}")
    if not lasting:
        lines.append("connection: close")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    if method == "HEAD" or answer.flow is None:
        writer.write(head if method == "HEAD" else head + answer.body)
        await writer.drain()
        return True
    writer.write(head)
    return await _pour(writer, answer.flow, framed=flows)


async def _pour(
    writer: asyncio.StreamWriter, flow: AsyncGenerator[bytes, None], *, framed: bool
) -> bool:
    try:
        async with aclosing(flow):
            async for piece in flow:
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if framed else piece)
                async with asyncio.timeout(WAITING):
                    await writer.drain()
    except (ConvoyError, TimeoutError) as error:  # the head is out: all that is left is to cut it
        log.warning("gateway.cut", why=str(error))
        writer.transport.abort()
        return False
    if framed:
        writer.write(b"0\r\n\r\n")
        await writer.drain()
    return True


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
