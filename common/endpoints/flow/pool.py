"""Connections to one server, kept and shared by the requests of one event loop.

A request whose kept connection turns out to be closed before anything came back is sent once more
on a fresh one, if its body can be: a body that flows cannot.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from common.endpoints.flow.connection import Broken, Connection
from common.endpoints.flow.reply import Reply
from common.endpoints.wire import Origin, Timeouts
from common.errors import Backpressure, Refused, Transient

SMALL = 64 * 1024


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent along: bytes, or a flow of known length."""

    length: int
    data: bytes = b""
    flow: AsyncIterator[bytes] | None = None


NOTHING = Body(0)


class Pool:
    """The way to one server."""

    def __init__(
        self, origin: Origin, limits: Timeouts, *, context: ssl.SSLContext | None = None
    ) -> None:
        self.origin, self._limits, self._context = origin, limits, context
        self._idle: list[Connection] = []
        self._free = asyncio.Semaphore(limits.pool)

    async def ask(
        self, method: str, target: str, headers: Mapping[str, str], body: Body = NOTHING
    ) -> Reply:
        """One request; the answer's body is still to be read, or closed."""
        head = _head(method, target, headers, body)
        try:
            async with asyncio.timeout(self._limits.first_byte.total_seconds()):
                await self._free.acquire()
        except TimeoutError:
            raise Backpressure(
                f"{method} {self.origin}: all {self._limits.pool} connections are busy",
                retry_in=timedelta(seconds=1),
                hint="raise the setting `pool`",
            ) from None
        try:
            return await self._ask(method, head, body)
        except BaseException:
            self._free.release()
            raise

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()

    async def _ask(self, method: str, head: bytes, body: Body) -> Reply:
        connection = self._kept()
        if connection is not None:
            try:
                return await self._once(connection, method, head, body)
            except Broken:
                if body.flow is not None:
                    raise
        fresh = await Connection.open(self.origin, self._limits, self._context)
        return await self._once(fresh, method, head, body)

    async def _once(self, connection: Connection, method: str, head: bytes, body: Body) -> Reply:
        try:
            if body.flow is None:
                await connection.send(head + body.data)
            else:
                with suppress(Broken):  # it may have been refused before it was sent whole
                    await _pour(connection, head, body)
            reply = Reply(connection, method, self._give)
            await reply.begin()
        except BaseException:
            connection.close()
            raise
        return reply

    def _kept(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.dead:
                return connection
            connection.close()
        return None

    def _give(self, connection: Connection, lasting: bool) -> None:
        if lasting:
            self._idle.append(connection)
        else:
            connection.close()
        self._free.release()


async def _pour(connection: Connection, head: bytes, body: Body) -> None:
    """Send a body as it comes; exactly as much as was announced."""
    assert body.flow is not None
    waiting, sent = head, 0
    async for piece in body.flow:
        sent += len(piece)
        if len(piece) < SMALL and len(waiting) < SMALL:
            waiting += piece
            continue
        await connection.send(waiting)
        waiting = piece
    if sent != body.length:
        raise Transient(f"{connection.origin}: a body that is not as long as announced")
    await connection.send(waiting)


def _head(method: str, target: str, headers: Mapping[str, str], body: Body) -> bytes:
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body.length or method in ("PUT", "POST"):
        lines.append(f"content-length: {body.length}")
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1 or "\0" in text:
        raise Refused(f"{method}: a header that would break the request")
    return (text + "\r\n\r\n").encode("latin-1")
