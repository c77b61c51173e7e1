"""Opens small files ahead of their reader, so that a cold disk works while the reader does.

The order is the one in which the walk showed them. As long as files are asked for one after the
other more and more of them are opened ahead; whoever leaves files out gets none. It is a guess
that costs next to nothing when it is wrong: whatever is opened is looked at again when it is used.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from itertools import islice
from threading import Lock

from common.endpoints.place import Item, Type

LARGEST = 4 << 20  # bytes: larger files are read ahead by the kernel itself
REMEMBERED = 16_384  # paths kept in order: a unit's worth, so that memory stays flat
DEEPEST = 16  # files opened ahead at most
_NEAR = 64  # how far ahead the next file asked for is looked for


class Ahead:
    """Files opened ahead of `take`. Safe to use from several threads."""

    def __init__(self, open: Callable[[str], int]) -> None:
        self._open = open
        self._order: deque[str] = deque(maxlen=REMEMBERED)  # not asked for yet
        self._ready: dict[str, int] = {}  # the first of these, open
        self._depth = 0
        self._lock = Lock()

    def expect(self, item: Item) -> None:
        """This one comes after those that were expected before."""
        if item.type is Type.FILE and 0 < item.size <= LARGEST:
            with self._lock:
                self._order.append(item.path)

    def take(self, path: str) -> int | None:
        """The handle of `path`, now the caller's, if it was opened ahead."""
        if not self._order:
            return None
        with self._lock:
            passed = self._passed(path)
            fd = self._ready.pop(path, None)
            if passed is not None:
                self._depth = min(self._depth * 2 or 1, DEEPEST) if passed == 0 else 0
                self._fill()
            return fd

    def close(self) -> None:
        """Close what was not asked for."""
        with self._lock:
            self._order.clear()
            while self._ready:
                os.close(self._ready.popitem()[1])

    def _passed(self, path: str) -> int | None:
        """How many were left out before `path`; None if it is not among the next ones."""
        near = [path] if self._order and self._order[0] == path else self._near()
        if path not in near:
            return None
        passed = near.index(path)
        for left_out in (self._order.popleft() for _ in range(passed)):
            if left_out in self._ready:
                os.close(self._ready.pop(left_out))
        self._order.popleft()
        return passed

    def _near(self) -> list[str]:
        return list(islice(self._order, _NEAR))

    def _fill(self) -> None:
        for path in list(islice(self._order, len(self._ready), self._depth)):
            try:
                fd = self._open(path)
            except (OSError, ValueError):
                return  # whoever asks for it will be told
            self._ready[path] = fd
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED)
