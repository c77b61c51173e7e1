"""The two clocks, handed in wherever time matters so that tests can turn them."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Clock:
    """`wall`: seconds since the epoch, for records. `tick`: monotonic seconds, for judgement."""

    wall: Callable[[], float] = time.time
    tick: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(slots=True)
class Stillness:
    """For how long has a counter stood still, by this process' own monotonic clock?

    The one judge of every lease: nobody compares wall clocks of two machines (they lie).
    """

    clock: Clock
    _seen: dict[Hashable, tuple[object, float]] = field(default_factory=dict)

    def of(self, key: Hashable, counter: object) -> timedelta:
        """Time since `counter` last differed from what was seen under `key`; zero at first."""
        now = self.clock.tick()
        last = self._seen.get(key)
        if last is None or last[0] != counter:
            self._seen[key] = (counter, now)
            return timedelta(0)
        return timedelta(seconds=now - last[1])

    @classmethod
    def after(cls, clock: Clock, seen: dict[Hashable, tuple[object, float]]) -> Stillness:
        """Go on from what another process of this boot had `seen`."""
        return cls(clock, dict(seen))

    def seen(self) -> dict[Hashable, tuple[object, float]]:
        """Every counter, and the tick at which it moved last: to go on from in another process."""
        return dict(self._seen)

    def keep(self, keys: set[Hashable]) -> None:
        """Forget every key that is not in `keys`, so that memory stays flat."""
        for gone in self._seen.keys() - keys:
            del self._seen[gone]
