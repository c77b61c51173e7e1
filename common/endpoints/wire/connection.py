"""One TCP connection, plain or TLS, on which every single wait is bounded and nothing else is.

Waits are kept by the kernel (SO_RCVTIMEO, SO_SNDTIMEO) in slices of the shortest limit, so that
the usual case costs no poll and no look at a clock. A wait is over only when nothing moved, also
not in the send queue: a peer that slowly takes what the kernel holds for it is not silent. TLS
runs over memory BIOs, because idleness is about bytes on the line and not about whole records.
"""

from __future__ import annotations

import socket
import ssl
import struct
import termios
from collections.abc import Callable
from datetime import timedelta
from fcntl import ioctl
from typing import TypeVar

from common.endpoints.wire.limits import Timeouts
from common.endpoints.wire.origin import Origin
from common.errors import ConvoyError, Denied, Transient

Bytes = bytes | bytearray | memoryview
CHUNK = 64 * 1024
RECORDS = 256 * 1024  # encrypted at once
SLICES = 4  # a limit is kept to a quarter of itself
T = TypeVar("T")


class Silent(Transient):
    """The other side said nothing, or took nothing, for as long as a limit allows."""

    hint = "it is tried again later; look at the server and the network, or raise the limit"


def translated(exc: OSError, origin: Origin) -> ConvoyError:
    """What a socket or TLS error means to us."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return Denied(
            f"{origin}: its certificate is not trusted: {exc.verify_message}",
            hint="correct the name, or name the right CA bundle in the profile (ca_bundle)",
        )
    if isinstance(exc, TimeoutError):
        return Silent(f"{origin}: no connection within the limit")
    return Transient(f"{origin}: {exc.strerror or exc}")


def connect(origin: Origin, limits: Timeouts, context: ssl.SSLContext | None) -> Plain:
    """A connection that is ready to send; raises errors of ours only."""
    try:
        address = (origin.host, origin.port)
        sock = socket.create_connection(address, limits.connect.total_seconds())
    except OSError as exc:
        raise translated(exc, origin) from exc
    if origin.scheme == "http":
        return Plain(sock, origin, limits)
    secure = Secure(sock, origin, limits, context or ssl.create_default_context())
    try:
        secure.handshake()
    except BaseException:
        secure.close()
        raise
    return secure


class Plain:
    """Bytes over TCP."""

    def __init__(self, sock: socket.socket, origin: Origin, limits: Timeouts) -> None:
        self.origin, self.limits = origin, limits
        self.used = False  # has an answer come over it?
        self._sock = sock
        shortest = min(limits.first_byte, limits.idle_read, limits.idle_write)
        self._slice = shortest / SLICES
        span = struct.pack("ll", self._slice.seconds, max(1000, self._slice.microseconds))
        sock.settimeout(None)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, span)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, span)

    def send(self, head: bytes, body: Bytes | None) -> None:
        """All of both. ConnectionError if the other side is gone, Silent if it takes nothing."""
        if not body:
            self._send_all(memoryview(head))
            return
        both = [head, body]
        try:
            sent = self._sock.sendmsg(both)
        except BlockingIOError:
            sent = self._patiently(
                lambda: self._sock.sendmsg(both), self.limits.idle_write, "took nothing"
            )
        if sent < len(head):
            self._send_all(memoryview(head)[sent:])
            sent = len(head)
        self._send_all(memoryview(body)[sent - len(head) :])

    def _send_all(self, data: memoryview) -> None:
        while data:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                sent = self._patiently(
                    lambda left=data: self._sock.send(left),  # type: ignore[misc]
                    self.limits.idle_write,
                    "took nothing",
                )
            data = data[sent:]

    def receive(self, limit: timedelta) -> bytes:
        """Some bytes; none at the end of the stream."""
        try:
            return self._sock.recv(CHUNK)
        except BlockingIOError:
            return self._patiently(lambda: self._sock.recv(CHUNK), limit, "said nothing")

    def receive_into(self, view: memoryview, limit: timedelta) -> int:
        """As many bytes as there are for `view`; 0 at the end of the stream."""
        try:
            return self._sock.recv_into(view)
        except BlockingIOError:
            return self._patiently(lambda: self._sock.recv_into(view), limit, "said nothing")

    def hurry(self) -> None:
        """Acknowledge at once what comes next (the kernel forgets it every time): a sender that
        waits for the acknowledgement of half a packet costs 40 ms otherwise."""
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def dead(self) -> bool:
        """Has the other side closed it, or said what nobody asked for?"""
        try:
            self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        self._sock.close()

    def _patiently(self, act: Callable[[], T], limit: timedelta, what: str) -> T:
        """A slice has passed: do `act` until it does something, Silent if nothing moves."""
        waited, queued = 1, self._queued()
        while waited * self._slice < limit:
            try:
                return act()
            except BlockingIOError:
                waited += 1
            left = self._queued()
            if left < queued:
                waited, queued = 0, left
        raise Silent(f"{self.origin}: {what} for {limit.total_seconds():g} s")

    def _queued(self) -> int:
        """Bytes of ours that the other side's kernel has not acknowledged."""
        answer = ioctl(self._sock, termios.TIOCOUTQ, b"\0\0\0\0")
        return int.from_bytes(answer, "little")


class Secure(Plain):
    """Bytes over TLS over TCP."""

    def __init__(
        self, sock: socket.socket, origin: Origin, limits: Timeouts, context: ssl.SSLContext
    ) -> None:
        super().__init__(sock, origin, limits)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=origin.host)

    def handshake(self) -> None:
        """Agree on keys and check the certificate."""
        try:
            self._drive(self._tls.do_handshake, self.limits.connect)
        except OSError as exc:
            raise translated(exc, self.origin) from exc

    def send(self, head: bytes, body: Bytes | None) -> None:
        self._tls.write(head)
        rest = memoryview(body or b"")
        while True:
            piece, rest = rest[:RECORDS], rest[RECORDS:]
            if piece:
                self._tls.write(piece)
            self._flush()
            if not rest:
                return

    def receive(self, limit: timedelta) -> bytes:
        return self._drive(lambda: self._tls.read(CHUNK), limit)

    def receive_into(self, view: memoryview, limit: timedelta) -> int:
        data = self._drive(lambda: self._tls.read(len(view)), limit)
        view[: len(data)] = data
        return len(data)

    def _drive(self, act: Callable[[], T], limit: timedelta) -> T:
        while True:
            try:
                done = act()
            except ssl.SSLWantReadError:
                self._flush()
                if data := super().receive(limit):
                    self._in.write(data)
                else:
                    self._in.write_eof()
            except ssl.SSLEOFError as exc:  # no farewell: what came may be cut short
                raise ConnectionError("the encrypted stream was cut") from exc
            else:
                if self._out.pending:
                    self._flush()
                return done

    def _flush(self) -> None:
        if data := self._out.read():
            self._send_all(memoryview(data))
