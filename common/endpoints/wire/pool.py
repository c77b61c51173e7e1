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
        self._early = threading.Semaphore(limits.pool // 2)  # the rest is for whoever cannot wait
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
        head, what = _head(method, target, headers, body), self._what(method, target)
        if not self._free.acquire(timeout=self.limits.first_byte.total_seconds()):
            raise Backpressure(
                f"{what}: all {self.limits.pool} connections are busy",
                retry_in=timedelta(seconds=1),
                hint="raise the setting `pool`, or run fewer lanes",
            )
        return self._begun(head, body, what).reply()

    def ahead(
        self, method: str, target: str, headers: Mapping[str, str], body: Bytes | None = None
    ) -> Begun | None:
        """A request that is sent now and whose answer is asked for later, so that one thread has
        many under way. None if half of the connections are taken by such, or all are busy."""
        head = _head(method, target, headers, body)
        if not self._early.acquire(blocking=False):
            return None
        try:
            if self._free.acquire(blocking=False):
                begun = self._begun(head, body, self._what(method, target))
                begun.early = True
                return begun
        except BaseException:
            self._early.release()
            raise
        self._early.release()
        return None

    def close(self) -> None:
        """Close what is idle, and whatever comes back later."""
        self._closed = True
        while self._idle:
            self._idle.pop()[0].close()

    def __del__(self) -> None:
        self.close()

    def _what(self, method: str, target: str) -> str:
        return f"{method} {self.origin}{target.partition('?')[0]}"

    def _begun(self, head: bytes, body: Bytes | None, what: str) -> Begun:
        try:
            connection = self._take()
            return Begun(self, connection, head, body, what, sent=_send(connection, head, body))
        except BaseException:
            self._free.release()
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


class Begun:
    """A request that was sent; its answer waits until it is asked for, once. Forgotten, it gives
    its connection up: nobody knows then what became of it."""

    early = False  # it was sent before its answer was wanted

    def __init__(
        self,
        wire: Wire,
        connection: Plain,
        head: bytes,
        body: Bytes | None,
        what: str,
        *,
        sent: bool,
    ) -> None:
        self._wire, self._connection, self._sent = wire, connection, sent
        self._head, self._body, self._what = head, body, what
        self._open = True

    def reply(self) -> Reply:
        """The answer; its body is still to be read."""
        self._close()
        try:
            return self._reply()
        except BaseException:
            self._wire._free.release()
            raise

    def answer(self, *, most: int = ANSWER) -> Answer:
        """The answer, which is small and wanted whole."""
        reply = self.reply()
        data = reply.read(most)
        return Answer(reply.status, reply.headers, data, reply.again)

    def __del__(self) -> None:
        if self._close():
            self._connection.close()
            self._wire._free.release()

    def _close(self) -> bool:
        was, self._open = self._open, False
        if was and self.early:
            self._wire._early.release()
        return was

    def _reply(self) -> Reply:
        wire, connection = self._wire, self._connection
        begun = _first(connection) if self._sent else b""
        again = not begun and connection.used
        if again:
            connection.close()
            connection = connect(wire.origin, wire.limits, wire._context)
            sent = _send(connection, self._head, self._body)
            begun = _first(connection) if sent else b""
        if not begun:
            connection.close()
            raise Transient(f"{self._what}: the connection broke before an answer came")
        try:
            reply = Reply(connection, self._what, wire._give, begun)
        except OSError as exc:
            connection.close()
            raise translated(exc, wire.origin) from exc
        except BaseException:
            connection.close()
            raise
        reply.again = again
        return reply


def _send(connection: Plain, head: bytes, body: Bytes | None) -> bool:
    """Send a request; False if the connection broke."""
    try:
        # it may be refused before it was sent whole: then there is an answer all the same
        with suppress(ConnectionError):
            connection.send(head, body)
        if body is None:
            connection.hurry()
    except OSError:
        return False
    except BaseException:
        connection.close()
        raise
    return True


def _first(connection: Plain) -> bytes:
    """The first bytes of the answer, none if the connection broke."""
    try:
        return connection.receive(connection.limits.first_byte)
    except OSError:
        return b""
    except BaseException:
        connection.close()
        raise


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
