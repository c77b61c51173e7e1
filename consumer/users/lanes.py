"""Works on many items with several threads at once, each taking the next when it is free.

With one lane it all happens in the calling thread. What an item raises ends the work: no lane
takes another one, and the error is raised when all have come to a stop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
_NO_MORE = object()


class Lanes:
    """So many threads, alive while the block runs."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, "lane") if count > 1 else None

    def __enter__(self) -> Lanes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._pool:
            self._pool.shutdown()

    def each(self, act: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """What `act` makes of each item, in any order."""
        if self._pool is None or len(items) < 2:
            return [act(item) for item in items]
        work = _Work(act, iter(items))
        lanes = [self._pool.submit(work.run) for _ in range(min(self.count, len(items)))]
        try:
            wait(lanes)
        finally:
            work.stop()
        for lane in lanes:
            lane.result()
        return work.done


class _Work:
    """Items that several lanes take one by one: cheaper than handing each of them over."""

    def __init__(self, act: Callable[[Any], Any], items: Iterator[Any]) -> None:
        self.done: list[Any] = []
        self._act, self._items = act, items
        self._lock = threading.Lock()

    def run(self) -> None:
        try:
            while (item := self._next()) is not _NO_MORE:
                self.done.append(self._act(item))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Let no lane take another item."""
        with self._lock:
            self._items = iter(())

    def _next(self) -> Any:
        with self._lock:
            return next(self._items, _NO_MORE)
