"""Memory for pieces of large objects: bounded, and used again instead of being asked for anew."""

from __future__ import annotations

import threading

KEPT = 8  # idle buffers of one size


class Buffers:
    """Up to `most` bytes in use at once. One buffer always fits. Safe from many threads."""

    def __init__(self, most: int) -> None:
        self._most, self._used = most, 0
        self._changed = threading.Condition()
        self._idle: list[bytearray] = []

    def take(self, size: int) -> bytearray:
        """A buffer; waits while there is no room. Whoever waits must hold none."""
        with self._changed:
            self._changed.wait_for(lambda: self._fits(size))
            return self._taken(size)

    def spare(self, size: int, *, must: bool) -> bytearray | None:
        """A buffer if there is room, or if there `must` be; never waits."""
        with self._changed:
            return self._taken(size) if must or self._fits(size) else None

    def give(self, buffer: bytearray) -> None:
        """Done with it."""
        with self._changed:
            self._used -= len(buffer)
            if len(self._idle) < KEPT:
                self._idle.append(buffer)
            self._changed.notify_all()

    def _fits(self, size: int) -> bool:
        return not self._used or self._used + size <= self._most

    def _taken(self, size: int) -> bytearray:
        self._used += size
        while self._idle:
            buffer = self._idle.pop()
            if len(buffer) == size:
                return buffer
        return bytearray(size)
