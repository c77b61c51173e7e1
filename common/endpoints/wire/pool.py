"""Connections to one host, kept alive and shared by many threads; one request, one answer.

A connection that was kept alive may have been closed by the other side meanwhile: if nothing at
all comes back on it, the request is sent once more on a fresh one, and the answer says so. There
is no other retry here. Not to be taken across a fork.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple

from common.endpoints.wire.connection import Bytes, Plain, connect, translated
from common.endpoints.wire.limits import Timeouts
from common.endpoints.wire.origin import Origin
from common.endpoints.wire.reply import Reply
from common.errors import Backpressure, Refused, Transient

IDLE = 1.0  # seconds after which a kept connection is looked at before it is used again
ANSWER = 16 << 20  # an answer that is read whole is no longer than this


class Answer(NamedTuple):
    """An answer that has been read whole."""

    status: int
    headers: dict[str, str]
    body: bytes | bytearray
    again: bool  # see `Reply.again`


class Wire:
    """The way to one host."""

    def __init__(
        self, origin: Origin, limits: Timeouts, *, context: ssl.SSLContext | None = None
    ) -> None:
        self._closed = False
        self._idle: deque[tuple[Plain, float]] = deque()
        self._free = threading.Semaphore(limits.pool)
        self.origin, self.limits = origin, limits
        if origin.scheme == "https" and context is None:
            context = ssl.create_default_context()
        self._context = context

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: Bytes | None = None,
        *,
        most: int = ANSWER,
    ) -> Answer:
        """One request whose answer is small and wanted whole."""
        reply = self.open(method, target, headers, body)
        data = reply.read(most)
        return Answer(reply.status, reply.headers, data, reply.again)

    def open(
        self, method: str, target: str, headers: Mapping[str, str], body: Bytes | None = None
    ) -> Reply:
        """One request; the answer's body is still to be read. The connection is busy until then."""
        head = _head(method, target, headers, body)
        what = f"{method} {self.origin}{target.partition('?')[0]}"
        if not self._free.acquire(timeout=self.limits.first_byte.total_seconds()):
            raise Backpressure(
                f"{what}: all {self.limits.pool} connections are busy",
                retry_in=timedelta(seconds=1),
                hint="raise the setting `pool`, or run fewer lanes",
            )
        try:
            return self._open(head, body, what)
        except BaseException:
            self._free.release()
            raise

    def close(self) -> None:
        """Close what is idle, and whatever comes back later."""
        self._closed = True
        while self._idle:
            self._idle.pop()[0].close()

    def __del__(self) -> None:
        self.close()

    def _open(self, head: bytes, body: Bytes | None, what: str) -> Reply:
        connection = self._take()
        begun = self._begin(connection, head, body)
        again = not begun and connection.used
        if again:
            connection.close()
            connection = connect(self.origin, self.limits, self._context)
            begun = self._begin(connection, head, body)
        if not begun:
            connection.close()
            raise Transient(f"{what}: the connection broke before an answer came")
        try:
            reply = Reply(connection, what, self._give, begun)
        except OSError as exc:
            connection.close()
            raise translated(exc, self.origin) from exc
        except BaseException:
            connection.close()
            raise
        reply.again = again
        return reply

    def _begin(self, connection: Plain, head: bytes, body: Bytes | None) -> bytes:
        """Send the request; the first bytes of the answer, none if the connection broke."""
        try:
            # it may be refused before it was sent whole: then there is an answer all the same
            with suppress(ConnectionError):
                connection.send(head, body)
            if body is None:
                connection.hurry()
            return connection.receive(self.limits.first_byte)
        except OSError:
            return b""
        except BaseException:
            connection.close()
            raise

    def _take(self) -> Plain:
        while self._idle:
            try:
                connection, since = self._idle.pop()
            except IndexError:  # another thread was quicker
                break
            if time.monotonic() - since < IDLE or not connection.dead():
                return connection
            connection.close()
        return connect(self.origin, self.limits, self._context)

    def _give(self, connection: Plain, lasting: bool) -> None:
        if lasting and not self._closed:
            self._idle.append((connection, time.monotonic()))
        else:
            connection.close()
        self._free.release()


def _head(method: str, target: str, headers: Mapping[str, str], body: Bytes | None) -> bytes:
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None or method in ("PUT", "POST"):
        lines.append(f"content-length: {len(body) if body is not None else 0}")
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1 or "\0" in text:
        raise Refused(f"{method}: a header that would break the request")
    if " " in target or not target.startswith("/"):
        raise Refused(f"{method}: an address that would break the request")
    return (text + "\r\n\r\n").encode("utf-8", "surrogateescape")
