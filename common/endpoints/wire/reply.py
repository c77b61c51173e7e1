"""One HTTP/1.1 answer: its head, and its body as it comes. Trusts nothing that it reads.

The head, a line and a body that is asked for whole are bounded in size; a body that ends early,
contradicts itself or is no HTTP is a Transient error, never a short body. A connection goes back
to the pool only when the answer has been read to its very end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from common.endpoints.wire.connection import Plain, translated
from common.errors import Permanent, Transient

HEAD = 64 * 1024
LINE = 8 * 1024
BUFFER = 256 * 1024
INTERIM = 8  # "100 Continue" and the like, before the answer itself
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: .*)?", re.DOTALL)
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")


class Reply:
    """What came back. Read it whole, in chunks, or close it."""

    __slots__ = ("_connection", "_left", "_release", "_rest", "again", "headers", "status", "what")

    def __init__(
        self, connection: Plain, what: str, release: Callable[[Plain, bool], None], begun: bytes
    ) -> None:
        self._connection, self._release, self._rest = connection, release, begun
        self.what = what
        self.again = False  # the request was sent a second time: the first may have had effect
        self.status, self.headers = self._head()
        self._left = self._length()

    @property
    def length(self) -> int | None:
        """Bytes of the body that are still to come, if the server says so."""
        return self._left if self._left >= 0 else None

    def read(self, most: int) -> bytes | bytearray:
        """The whole body. Permanent if it is longer than `most`."""
        if 0 <= self._left == len(self._rest) and self._left <= most:
            data, self._rest = self._rest, b""
            self._end(whole=True)
            return data
        if self._left > most:
            self.close()
            raise self._too_long(most)
        if self._left >= 0:
            whole = bytearray(self._left)
            self._read_known(memoryview(whole))
            return whole
        whole = bytearray()
        for chunk in self.chunks():
            whole += chunk
            if len(whole) > most:
                self.close()
                raise self._too_long(most)
        return whole

    def fill(self, view: memoryview) -> None:
        """The whole body, which is known to be as long as `view`, into it."""
        if self._left != len(view):
            self.close()
            raise Transient(f"{self.what}: the answer has another length than expected")
        self._read_known(view)

    def chunks(self) -> Iterator[memoryview]:
        """The body in pieces; each is valid until the next is asked for."""
        pieces = self._known if self._left >= 0 else self._framed if self._chunked() else self._open
        try:
            yield from pieces(memoryview(bytearray(BUFFER)))
        except OSError as exc:
            self.close()
            raise translated(exc, self._connection.origin) from exc
        except BaseException:
            self.close()
            raise
        self._end(whole=True)

    def close(self) -> None:
        """Done with it, read or not."""
        self._end(whole=self._left == 0)

    def _end(self, *, whole: bool) -> None:
        if self._release is not _released:
            self._connection.used = True
            self._release(self._connection, whole and self._lasting())
            self._release = _released
            self._left = 0

    def _too_long(self, most: int) -> Permanent:
        return Permanent(f"{self.what}: the answer is longer than {most} bytes")

    def _cut(self) -> Transient:
        return Transient(f"{self.what}: the answer was cut short")

    def _malformed(self, how: str) -> Transient:
        return Transient(f"{self.what}: the answer is no HTTP: {how}")

    # -- head ---------------------------------------------------------------------------------

    def _head(self) -> tuple[int, dict[str, str]]:
        for _ in range(INTERIM):
            match, headers = self._next_head()
            status = int(match[2])
            if status >= 200:
                if match[1] == b"0":
                    headers.setdefault("connection", "close")
                return status, headers
        raise self._malformed("interim answers without an end")

    def _next_head(self) -> tuple[re.Match[bytes], dict[str, str]]:
        while (end := self._rest.find(b"\r\n\r\n")) < 0:
            if len(self._rest) > HEAD:
                raise self._malformed("a head without an end")
            self._more()
        lines = self._rest[:end].split(b"\r\n")
        self._rest = self._rest[end + 4 :]
        match = _STATUS.fullmatch(lines[0])
        if match is None or end > HEAD:
            raise self._malformed("a status line or head of no known form")
        return match, self._fields(lines[1:])

    def _fields(self, lines: list[bytes]) -> dict[str, str]:
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.decode("utf-8", "surrogateescape").partition(":")
            if not colon or not name or name != name.strip():
                raise self._malformed("a header of no known form")
            name, value = name.lower(), value.strip()
            if name in headers:
                if name == "content-length" and headers[name] != value:
                    raise self._malformed("two lengths")
                if name != "content-length":
                    value = f"{headers[name]}, {value}"
            headers[name] = value
        return headers

    def _length(self) -> int:
        """Bytes of the body; -1 if only its end tells."""
        if self._bodiless():
            return 0
        text = self.headers.get("content-length")
        if self._chunked() or text is None:
            return -1
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise self._malformed("a length that is no number")
        return int(text)

    def _bodiless(self) -> bool:
        return self.status in (204, 304) or self.what.startswith("HEAD ")

    def _chunked(self) -> bool:
        return self.headers.get("transfer-encoding", "").lower() == "chunked"

    def _lasting(self) -> bool:
        framed = "content-length" in self.headers or self._chunked() or self._bodiless()
        return (
            framed and not self._rest and "close" not in self.headers.get("connection", "").lower()
        )

    # -- body ---------------------------------------------------------------------------------

    def _more(self) -> None:
        data = self._connection.receive(self._connection.limits.idle_read)
        if not data:
            raise self._cut()
        self._rest += data

    def _into(self, view: memoryview) -> int:
        if self._rest:
            taken = min(len(self._rest), len(view))
            view[:taken] = self._rest[:taken]
            self._rest = self._rest[taken:]
            return taken
        self._connection.hurry()
        return self._connection.receive_into(view, self._connection.limits.idle_read)

    def _read_known(self, view: memoryview) -> None:
        try:
            self._fill(view)
        except OSError as exc:
            self.close()
            raise translated(exc, self._connection.origin) from exc
        except BaseException:
            self.close()
            raise
        self._end(whole=True)

    def _fill(self, view: memoryview) -> None:
        while view:
            got = self._into(view)
            if not got:
                raise self._cut()
            view = view[got:]

    def _known(self, buffer: memoryview) -> Iterator[memoryview]:
        while self._left:
            got = self._into(buffer[: self._left])
            if not got:
                raise self._cut()
            self._left -= got
            yield buffer[:got]

    def _open(self, buffer: memoryview) -> Iterator[memoryview]:
        while got := self._into(buffer):
            yield buffer[:got]

    def _framed(self, buffer: memoryview) -> Iterator[memoryview]:
        while left := self._chunk_size():
            while left:
                got = self._into(buffer[:left])
                if not got:
                    raise self._cut()
                left -= got
                yield buffer[:got]
            if self._line():
                raise self._malformed("a chunk longer than it says")
        trailers = 0
        while line := self._line():
            trailers += len(line)
            if trailers > HEAD:
                raise self._malformed("trailers without an end")

    def _chunk_size(self) -> int:
        size = self._line().partition(b";")[0].strip()
        if not _SIZE.fullmatch(size):
            raise self._malformed("a chunk without a size")
        return int(size, 16)

    def _line(self) -> bytes:
        while (end := self._rest.find(b"\r\n")) < 0:
            if len(self._rest) > LINE:
                raise self._malformed("a line without an end")
            self._more()
        line, self._rest = self._rest[:end], self._rest[end + 2 :]
        return line


def _released(connection: Plain, lasting: bool) -> None:
    """Marks an answer whose connection has been given back."""
