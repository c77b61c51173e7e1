"""One connection on which every wait is bounded, and whose errors are ours."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from common.endpoints.wire import Origin, Silent, Timeouts
from common.errors import ConvoyError, Denied, Transient

HEAD = 64 * 1024
PIECE = 256 * 1024


class Broken(Transient):
    """The connection is gone."""


class Connection:
    """Bytes to and from one server."""

    def __init__(
        self,
        origin: Origin,
        limits: Timeouts,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.origin, self._limits = origin, limits
        self._reader, self._writer = streams

    @classmethod
    async def open(
        cls, origin: Origin, limits: Timeouts, context: ssl.SSLContext | None
    ) -> Connection:
        """A connection that is ready to send."""
        secure = None if origin.scheme == "http" else context or ssl.create_default_context()
        with _translated(origin):
            async with asyncio.timeout(limits.connect.total_seconds()):
                streams = await asyncio.open_connection(
                    origin.host, origin.port, ssl=secure, limit=HEAD
                )
        return cls(origin, limits, streams)

    @property
    def dead(self) -> bool:
        """Has the other side closed it?"""
        return self._reader.at_eof() or self._writer.is_closing()

    async def send(self, data: bytes) -> None:
        """All of it, or as much as the other side wants to take for now."""
        with _translated(self.origin):
            self._writer.write(data)
            async with asyncio.timeout(self._limits.idle_write.total_seconds()):
                await self._writer.drain()

    async def head(self) -> list[bytes]:
        """The lines up to the next blank one."""
        with _translated(self.origin):
            async with asyncio.timeout(self._limits.first_byte.total_seconds()):
                raw = await self._reader.readuntil(b"\r\n\r\n")
        return raw[:-4].split(b"\r\n")

    async def line(self) -> bytes:
        """The next line."""
        with _translated(self.origin):
            async with asyncio.timeout(self._limits.idle_read.total_seconds()):
                return (await self._reader.readuntil(b"\r\n"))[:-2]

    async def some(self, most: int) -> bytes:
        """At least one byte, at most so many; Transient at the end of the stream."""
        with _translated(self.origin):
            async with asyncio.timeout(self._limits.idle_read.total_seconds()):
                data = await self._reader.read(min(most, PIECE))
        if not data:
            raise Transient(f"{self.origin}: the answer was cut short")
        return data

    async def rest(self) -> AsyncIterator[bytes]:
        """Everything until the other side closes."""
        while True:
            with _translated(self.origin):
                async with asyncio.timeout(self._limits.idle_read.total_seconds()):
                    data = await self._reader.read(PIECE)
            if not data:
                return
            yield data

    def close(self) -> None:
        """At once; what was not sent is dropped."""
        self._writer.transport.abort()


@contextmanager
def _translated(origin: Origin) -> Iterator[None]:
    try:
        yield
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as exc:
        raise _ours(exc, origin) from exc


def _ours(exc: Exception, origin: Origin) -> ConvoyError:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return Denied(
            f"{origin}: its certificate is not trusted: {exc.verify_message}",
            hint="correct the name, or name the right CA bundle in the profile (ca_bundle)",
        )
    if isinstance(exc, TimeoutError):
        return Silent(f"{origin}: nothing moved for as long as a limit allows")
    if isinstance(exc, asyncio.LimitOverrunError):
        return Transient(f"{origin}: an answer with a head or line that is too long")
    return Broken(f"{origin}: the connection broke: {type(exc).__name__}")
