"""Reads a long range in stretches, several at once, and hands them on in order.

One connection rarely fills a line, and never while its bytes are being digested.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future

from common.endpoints.s3.buffers import Buffers

STRETCH = 8 << 20  # bytes
DEPTH = 4  # stretches of one object on their way at once
Fill = Callable[[int, memoryview], None]


class Ahead:
    """What one source reads with."""

    def __init__(self, lanes: Executor, buffers: Buffers) -> None:
        self._lanes, self._buffers = lanes, buffers

    def read(self, fill: Fill, start: int, end: int) -> Iterator[memoryview]:
        """The bytes from `start` to `end`; `fill` fills a view with what is from an offset on.
        Each piece is valid until the next is asked for."""
        waiting: deque[tuple[Future[None], bytearray, int]] = deque()
        try:
            while start < end or waiting:
                while start < end and len(waiting) < DEPTH:
                    buffer = self._buffers.spare(STRETCH, must=not waiting)
                    if buffer is None:
                        break
                    size = min(STRETCH, end - start)
                    future = self._lanes.submit(fill, start, memoryview(buffer)[:size])
                    waiting.append((future, buffer, size))
                    start += size
                future, buffer, size = waiting[0]
                future.result()
                yield memoryview(buffer)[:size]
                waiting.popleft()
                self._buffers.give(buffer)
        finally:
            for future, buffer, _ in waiting:
                if not future.cancel():
                    future.exception()  # nobody writes into it any more
                self._buffers.give(buffer)
