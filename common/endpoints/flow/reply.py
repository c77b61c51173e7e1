"""One answer: its head, and its body as it comes. Trusts nothing that it reads.

A body that ends early is a Transient error, never a short body. The connection goes back to the
pool only when the answer was read to its very end.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable

from common.endpoints.flow.connection import Connection
from common.errors import Permanent, Transient

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: .*)?", re.DOTALL)
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
INTERIM = 8
TRAILERS = 64


class Reply:
    """What came back. Read it whole, in chunks, or close it."""

    def __init__(
        self, connection: Connection, method: str, release: Callable[[Connection, bool], None]
    ) -> None:
        self._connection, self._method, self._release = connection, method, release
        self.status, self.headers = 0, dict[str, str]()
        self._left, self._lasting, self._over = 0, False, False

    async def begin(self) -> None:
        """Read the head."""
        for _ in range(INTERIM):
            head = await self._connection.head()
            match = _STATUS.fullmatch(head[0])
            if match is None:
                raise self._malformed("its first line")
            self.status, self.headers = int(match[2]), _fields(head[1:])
            if self.status >= 200:
                self._frame(modern=match[1] == b"1")
                return
        raise self._malformed("interim answers without an end")

    @property
    def length(self) -> int | None:
        """Bytes of the body, if the server says so."""
        return self._left if self._left >= 0 else None

    async def read(self, most: int) -> bytes:
        """The whole body; Permanent if it is longer than `most`."""
        whole = b""
        async for piece in self.chunks():
            whole += piece
            if len(whole) > most:
                self.close()
                raise Permanent(f"{self._what}: the answer is longer than {most} bytes")
        return whole

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body in pieces."""
        try:
            if self._left >= 0:
                while self._left:
                    piece = await self._connection.some(self._left)
                    self._left -= len(piece)
                    yield piece
            elif self._chunked:
                async for piece in self._framed():
                    yield piece
            else:
                async for piece in self._connection.rest():
                    yield piece
            self._end(lasting=self._lasting)
        finally:
            self.close()

    def close(self) -> None:
        """Done with it, read or not."""
        self._end(lasting=self._lasting and self._left == 0)

    def _end(self, *, lasting: bool) -> None:
        if not self._over:
            self._over = True
            self._release(self._connection, lasting)

    async def _framed(self) -> AsyncGenerator[bytes, None]:
        while True:
            size = (await self._connection.line()).partition(b";")[0].strip()
            if not _SIZE.fullmatch(size):
                raise self._malformed("a chunk without a size")
            left = int(size, 16)
            if not left:
                break
            while left:
                piece = await self._connection.some(left)
                left -= len(piece)
                yield piece
            if await self._connection.line():
                raise self._malformed("a chunk longer than it says")
        for _ in range(TRAILERS):
            if not await self._connection.line():
                return
        raise self._malformed("trailers without an end")

    def _frame(self, *, modern: bool) -> None:
        length = self.headers.get("content-length")
        self._chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        close = "close" in self.headers.get("connection", "").lower()
        bodiless = self._method == "HEAD" or self.status in (204, 304)
        if bodiless:
            self._left = 0
        elif self._chunked or length is None:
            self._left = -1
        elif length.isascii() and length.isdigit() and len(length) < 19:
            self._left = int(length)
        else:
            raise self._malformed("a length that is no number")
        self._lasting = modern and not close and (bodiless or self._chunked or self._left >= 0)

    @property
    def _what(self) -> str:
        return f"{self._method} {self._connection.origin}"

    def _malformed(self, how: str) -> Transient:
        return Transient(f"{self._what}: the answer is no HTTP: {how}")


def _fields(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or not name or name != name.strip():
            raise Transient("an answer with a header of no known form")
        name, value = name.lower(), value.strip()
        if name in headers and name == "content-length" and headers[name] != value:
            raise Transient("an answer with two lengths")
        if name in headers and name != "content-length":
            value = f"{headers[name]}, {value}"
        headers[name] = value
    return headers
