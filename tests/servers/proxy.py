"""A TCP proxy that behaves badly on demand: slow, cut, half dead, or damaging one byte.

It stands before a real server, so that what a test provokes is what a network does. Faults are
set for each direction, count bytes from the beginning of a connection, and apply to connections
that are made while they are set.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

PIECE = 64 * 1024
GLANCE = 0.02  # seconds
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing resets


@dataclass(frozen=True)
class Fault:
    """What goes wrong in one direction. Without arguments: nothing."""

    latency: float = 0  # seconds before anything is passed on
    cut_after: int | None = None  # bytes; then both sides see the connection reset
    end_after: int | None = None  # bytes; then both sides see an orderly end
    hush_after: int | None = None  # bytes; then nothing more comes, but nobody is told
    stall_after: int | None = None  # bytes; then nothing more is taken from the sender either
    flip_at: int | None = None  # the byte at this place arrives changed
    piece: int = PIECE  # bytes passed on at once, and
    pause: float = 0  # seconds between two pieces
    buffer: int | None = None  # bytes that the kernel may hold for us (makes senders wait)


NONE = Fault()


class Proxy:
    """Listens on a port of its own and passes everything on to `upstream`, faults included."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        self._up, self._down, self._spared, self._left = NONE, NONE, 0, 0
        self._closing = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.connections = 0
        self.sent = 0  # bytes that clients sent through us
        self._start(self._accept)

    def set(
        self, *, up: Fault = NONE, down: Fault = NONE, after: int = 0, times: int = 1 << 30
    ) -> None:
        """From now on `after` connections are spared, the next `times` suffer these faults, and
        those behind them nothing."""
        self._up, self._down, self._spared, self._left = up, down, after, times
        size = up.buffer or 256 * 1024
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def close(self) -> None:
        """End all connections and wait for every thread."""
        self._closing.set()
        for sock in [self._listener, *self._sockets]:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(10)

    def _start(self, act: Callable[[], None]) -> None:
        thread = threading.Thread(target=act, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            up, down = self._next()
            try:
                far = socket.create_connection(self._upstream, 10)
            except OSError:
                near.close()
                continue
            for sock in (near, far):
                sock.settimeout(None)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets.add(sock)
            self._start(partial(self._pump, near, far, up, counted=True))
            self._start(partial(self._pump, far, near, down))

    def _next(self) -> tuple[Fault, Fault]:
        if self._spared > 0:
            self._spared -= 1
            return NONE, NONE
        self._left -= 1
        return (self._up, self._down) if self._left >= 0 else (NONE, NONE)

    def _pump(
        self, source: socket.socket, sink: socket.socket, fault: Fault, *, counted: bool = False
    ) -> None:
        passed = 0
        with suppress(OSError, ValueError):  # ValueError: closed by the other direction
            while data := self._receive(source, min(fault.piece, PIECE)):
                if fault.latency and not passed:
                    self._closing.wait(fault.latency)
                if fault.hush_after is not None:
                    data = data[: max(0, fault.hush_after - passed)]
                end = fault.cut_after if fault.cut_after is not None else fault.end_after
                stop = end is not None and passed + len(data) >= end
                sink.sendall(_flipped(data if end is None else data[: end - passed], passed, fault))
                passed += len(data)
                self.sent += len(data) if counted else 0
                if stop:
                    self._end(source, sink, reset=fault.cut_after is not None)
                    return
                if fault.pause:
                    self._closing.wait(fault.pause)
                if fault.stall_after is not None and passed >= fault.stall_after:
                    self._closing.wait()
            if fault.hush_after is None:
                sink.shutdown(socket.SHUT_WR)

    def _receive(self, source: socket.socket, most: int) -> bytes:
        """Never blocked in the kernel for long: what is read from cannot be reset."""
        while not self._closing.is_set():
            if select.select([source], [], [], GLANCE)[0]:
                return source.recv(most)
        return b""

    def _end(self, *pair: socket.socket, reset: bool) -> None:
        for sock in pair:
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            else:
                sock.shutdown(socket.SHUT_RDWR)
            self._sockets.discard(sock)
            sock.close()


def _flipped(data: bytes, passed: int, fault: Fault) -> bytes:
    if fault.flip_at is None or not passed <= fault.flip_at < passed + len(data):
        return data
    changed = bytearray(data)
    changed[fault.flip_at - passed] ^= 1
    return bytes(changed)


@contextmanager
def before(url: str) -> Iterator[Proxy]:
    """A proxy before the server at `url`, until the block ends."""
    parts = urlsplit(url)
    proxy = Proxy((parts.hostname or "127.0.0.1", parts.port or 80))
    try:
        yield proxy
    finally:
        proxy.close()
