"""The one thread on the guest's path: waits for sockets, and sends what gathered once per turn.

A hand-written epoll loop: measured, the transports of asyncio halve the bandwidth. Whatever waits
(a login, a copy, the store) has a thread of its own and hands its outcome over by `call`.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable

import structlog

from common.errors import Refused
from common.failpoints import failpoint

log = structlog.get_logger(__name__)
BUFFER = 1 << 20
PARTS = 512  # of one sendmsg; the kernel takes 1024
Data = bytes | bytearray | memoryview


class Loop:
    """Runs until it is told to stop."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._ends: dict[int, End] = {}
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._calls: deque[Callable[[], None]] = deque()
        self._ticks: list[tuple[float, float, Callable[[], None]]] = []
        self._full: set[End] = set()
        self.each: Callable[[], None] = nothing  # done at the end of every turn
        self._over = self._closed = False
        self._lock = threading.Lock()

    def call(self, act: Callable[[], None]) -> None:
        """Do it in the loop's thread, soon. From any thread; nothing once the loop is closed."""
        self._calls.append(act)
        with self._lock:
            if not self._closed:
                os.eventfd_write(self._wake, 1)

    def every(self, seconds: float, act: Callable[[], None]) -> None:
        self._ticks.append((time.monotonic() + seconds, seconds, act))

    def stop(self) -> None:
        """From any thread."""
        self._over = True
        self.call(lambda: None)

    def run(self) -> None:
        while not self._over:
            self.turn()

    def close(self) -> None:
        """Cut off every connection."""
        for end in list(self._ends.values()):
            end.close()
        with self._lock:
            if not self._closed:
                self._closed = True
                self._epoll.close()
                os.close(self._wake)

    def turn(self) -> None:
        """Wait for something to happen, and carry all of it out."""
        for number, event in self._epoll.poll(self._wait()):
            if number == self._wake:
                os.eventfd_read(self._wake)
            elif end := self._ends.get(number):
                end.happened(event)
        while self._calls:
            self._calls.popleft()()
        self._tick()
        self.each()
        while self._full:
            self._full.pop().flush()
            failpoint("trans.sent")

    def _wait(self) -> float:
        if not self._ticks:
            return 1.0
        return max(0.0, min(due for due, _, _ in self._ticks) - time.monotonic())

    def _tick(self) -> None:
        now = time.monotonic()
        for n, (due, seconds, act) in enumerate(self._ticks):
            if due <= now:
                self._ticks[n] = (now + seconds, seconds, act)
                act()

    def add(self, end: End) -> None:
        self._ends[end.number] = end
        self._epoll.register(end.number, select.EPOLLIN)

    def watch(self, end: End, mask: int) -> None:
        self._epoll.modify(end.number, mask)

    def drop(self, end: End) -> None:
        if self._ends.pop(end.number, None):
            self._epoll.unregister(end.number)
            self._full.discard(end)

    def gathered(self, end: End) -> None:
        self._full.add(end)


class End:
    """Our end of a connection. `parse` takes messages from the front of what came: it returns how
    many bytes it used, or 0 for more; or it asks by `fill` for the rest of a payload."""

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        parse: Callable[[memoryview], int],
        gone: Callable[[], None],
    ) -> None:
        sock.setblocking(False)
        self.number = sock.fileno()
        self._loop, self._sock, self._parse, self._gone = loop, sock, parse, gone
        self._buffer = memoryview(bytearray(BUFFER))
        self._from = self._to = 0
        self._into: memoryview | None = None
        self._filled: Callable[[], None] | None = None
        self._out: deque[Data] = deque()
        self._paused = self._waiting = self._closed = False
        loop.add(self)

    def send(self, *parts: Data) -> None:
        """Send at the end of this turn, or as soon as the other side takes it."""
        if not self._closed:
            self._out.extend(parts)
            if not self._waiting:
                self._loop.gathered(self)

    def fill(self, into: memoryview, then: Callable[[], None]) -> None:
        """What comes next belongs there; `then` when it is full."""
        self._into, self._filled = into, then

    def pause(self) -> None:
        """Take nothing more off the line."""
        if not self._paused and not self._closed:
            self._paused = True
            self._watch()

    def resume(self) -> None:
        if self._paused and not self._closed:
            self._paused = False
            self._watch()
            self._loop.call(self._go_on)  # messages may be here already

    def close(self) -> None:
        """Without a word to `gone`."""
        if not self._closed:
            self._closed = True
            self._loop.drop(self)
            self._sock.close()

    def happened(self, event: int) -> None:
        if event & select.EPOLLOUT:
            self.flush()
        if event & ~select.EPOLLOUT and not self._closed:
            self._receive()

    def flush(self) -> None:
        """Send what gathered."""
        out = self._out
        try:
            while out and not self._closed:
                parts = [out[n] for n in range(min(len(out), PARTS))]
                self._sent(self._sock.sendmsg(parts))
        except BlockingIOError:
            pass
        except OSError:
            self._lost()
            return
        if self._waiting != bool(out) and not self._closed:
            self._waiting = bool(out)
            self._watch()

    def _sent(self, many: int) -> None:
        out = self._out
        while many:
            first = out.popleft()
            if many < len(first):
                out.appendleft(memoryview(first)[many:])
                return
            many -= len(first)
        while out and not len(out[0]):
            out.popleft()

    def _watch(self) -> None:
        reading = 0 if self._paused else select.EPOLLIN
        self._loop.watch(self, reading | (select.EPOLLOUT if self._waiting else 0))

    def _receive(self) -> None:
        try:
            if self._into is not None:
                many = self._sock.recv_into(self._into)
            else:
                many = self._sock.recv_into(self._buffer[self._to :])
        except BlockingIOError:
            return
        except OSError:
            many = 0
        if not many:
            self._lost()
            return
        if self._into is not None:
            self._into = self._into[many:]
            self._full()
        else:
            self._to += many
        self._go_on()

    def _full(self) -> None:
        if self._into is not None and not len(self._into):
            then, self._into, self._filled = self._filled, None, None
            assert then
            then()

    def _go_on(self) -> None:
        """Take all whole messages that are here."""
        try:
            while self._from < self._to and not self._paused and not self._closed:
                if self._into is not None:
                    self._pour()
                    continue
                used = self._parse(self._buffer[self._from : self._to])
                if not used:
                    break
                self._from += used
        except Refused as error:  # by the protocol; anything else is ours, and ends us
            log.warning("nbd.broken", why=str(error))
            self._lost()
            return
        if self._from == self._to:
            self._from = self._to = 0
        elif self._from > BUFFER // 2:
            left = self._to - self._from
            self._buffer[:left] = bytes(self._buffer[self._from : self._to])
            self._from, self._to = 0, left

    def _pour(self) -> None:
        """A payload's first bytes came with its head."""
        assert self._into is not None
        many = min(len(self._into), self._to - self._from)
        self._into[:many] = self._buffer[self._from : self._from + many]
        self._from += many
        self._into = self._into[many:]
        self._full()

    def _lost(self) -> None:
        if not self._closed:
            self.close()
            self._gone()


def nothing() -> None:
    """Nothing is to be done."""


def in_thread(name: str, act: Callable[[], None]) -> threading.Thread:
    """Something that waits."""
    thread = threading.Thread(target=act, name=name, daemon=True)
    thread.start()
    return thread
