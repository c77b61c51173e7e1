"""How often somebody may try to log in: so many times within a while, by name and by address.

Counted before the password is looked at, so that many tries at once gain nothing. Memory is
bounded: of too many names and addresses the longest silent are forgotten.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from datetime import timedelta

from common.clock import Clock

KEYS = 10_000


class Attempts:
    """Tries by key. For many threads."""

    def __init__(self, clock: Clock, *, most: int, within: timedelta, keys: int = KEYS) -> None:
        self._clock, self._most, self._keys = clock, most, keys
        self._within = within.total_seconds()
        self._tries: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> float:
        """Seconds to wait; 0 if this try is allowed, which is then counted."""
        now = self._clock.tick()
        with self._lock:
            tries = self._tries.setdefault(key, deque())
            self._tries.move_to_end(key)
            while len(self._tries) > self._keys:
                self._tries.popitem(last=False)
            while tries and now - tries[0] >= self._within:
                tries.popleft()
            if len(tries) >= self._most:
                return tries[0] + self._within - now
            tries.append(now)
            return 0.0

    def forgive(self, key: str) -> None:
        """The last try was a right one."""
        with self._lock:
            if tries := self._tries.get(key):
                tries.pop()
            if not tries:
                self._tries.pop(key, None)

    def __len__(self) -> int:
        return len(self._tries)
