"""Counts what one consumer process does, for its metrics; goes with the process.

Names are `what/which`: `units/moved`, `items/skipped`, `failures/Denied`, `microseconds/move`. What
may stand behind the slash is a closed set, so that what is shown stays small. Nothing is judged by
these figures: the truth about units is in the store.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from common.clock import Clock
from common.errors import ConvoyError
from common.model import Counts


class Meter:
    """Written by whoever works, read by the heartbeat."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def read(self) -> dict[str, int]:
        """All counters since the process started."""
        with self._lock:
            return dict(self._counts)

    def unit(self, outcome: str) -> None:
        """A delivery ended."""
        self._add({f"units/{outcome}": 1})

    def work(self, counts: Counts) -> None:
        """What a finished or failed pass over a unit did."""
        done = {"moved": counts.moved, "skipped": counts.skipped, "failed": counts.failed}
        self._add({f"items/{which}": many for which, many in done.items()})
        self._add({"bytes/moved": counts.bytes_moved})

    def failure(self, error: ConvoyError) -> None:
        """A unit was given back or parked because of this."""
        self._add({f"failures/{type(error).__name__}": 1})

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time what is done inside the block."""
        began = self._clock.tick()
        try:
            yield
        finally:
            self._add({f"microseconds/{name}": round((self._clock.tick() - began) * 1e6)})

    def _add(self, more: dict[str, int]) -> None:
        with self._lock:
            self._counts.update({name: many for name, many in more.items() if many})
