"""Watches a migration from outside: how far it is, how fast, how long it will take.

Looking costs the store something, so a look is taken only when looking has cost at most a tenth
of the time. Rates are those of the last half minute. Nothing here changes anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from common.clock import Stillness
from common.lifecycle.users import Phase
from common.model import Hold, Migration, Sums
from ops.desk import Desk
from ops.report import FINAL, SWITCH, VERIFY, overall, total
from ops.wishes import ended

SPAN = 30.0  # seconds over which rates are taken
LEAST, MOST = 0.2, 10.0  # seconds between two looks
SHARE = 9  # of our time goes to other things for each one that looking takes
GLANCE = 0.05  # seconds between two turns of following
USER_JOBS = ("user", VERIFY)


class End(StrEnum):
    """Why following ended."""

    ENDED = "ended"  # done or cancelled
    STUCK = "stuck"  # nothing can go on by itself: a person has to look
    DRAINED = "drained"  # the units in hand are finished, no others start
    GONE = "gone"  # the fleet that we shared is no longer there


class Sample(NamedTuple):
    """Counters at one moment of the monotonic clock."""

    at: float
    units: int
    items: int
    bytes: int


class Window:
    """The counters of the last half minute, for rates. Counters that fall count as standing."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()

    def add(self, sample: Sample) -> None:
        self._samples.append(sample)
        while len(self._samples) > 2 and sample.at - self._samples[1].at >= SPAN:
            self._samples.popleft()

    def rates(self) -> tuple[float, float, float]:
        """Units, items and bytes per second."""
        first, last = self._samples[0], self._samples[-1]
        if (spent := last.at - first.at) <= 0:
            return 0.0, 0.0, 0.0
        units, items, size = (
            max(0, b - a) / spent for a, b in zip(first[1:], last[1:], strict=True)
        )
        return units, items, size


@dataclass(frozen=True, slots=True)
class Progress:
    """One look at a migration."""

    migration: Migration
    sums: Sums
    users: int  # done
    users_total: int
    items: int
    bytes: int
    unit_rate: float
    item_rate: float
    byte_rate: float
    failed: int  # items
    consumers: int  # that gave a sign of life

    @property
    def eta(self) -> timedelta | None:
        """By the units that are left; None while nothing can be said."""
        if self.unit_rate <= 0 or self.migration.phase == Phase.PLANNING:
            return None
        return timedelta(seconds=self.sums.open / self.unit_rate)

    @property
    def share(self) -> float:
        """How much of the units is done, 0 to 1."""
        return self.sums.done / self.sums.total if self.sums.total else 0.0


@dataclass(slots=True)
class Watcher:
    """Looks again and again, as often as it may."""

    desk: Desk
    id: str
    _window: Window = field(default_factory=Window)
    _signs: Stillness | None = None
    _next: float = 0.0

    @property
    def due(self) -> bool:
        return self.desk.clock.tick() >= self._next

    def look(self) -> Progress:
        """Look now, and note when the next look may be taken."""
        tick = self.desk.clock.tick
        began = tick()
        migration = self.desk.migrations.get(self.id)
        jobs = self.desk.units.by_job(migration)
        consumers = self._alive()
        spent = tick() - began
        self._next = tick() + min(MOST, max(LEAST, spent * SHARE))
        return self._progress(migration, jobs, consumers, began)

    def _progress(
        self, migration: Migration, jobs: Mapping[str, Sums], consumers: int, at: float
    ) -> Progress:
        sums, counts = total(jobs), overall(jobs)
        items = counts.moved + counts.skipped + counts.mended + sums.live_items
        size = counts.bytes + sums.live_bytes
        self._window.add(Sample(at, sums.done, items, size))
        rates = self._window.rates()
        done, many = users(jobs)
        return Progress(
            migration, sums, done, many, items, size, *rates, counts.failed, consumers=consumers
        )

    def _alive(self) -> int:
        if self._signs is None:
            self._signs = Stillness(self.desk.clock)
        rows = self.desk.consumers.all()
        lease = self.desk.settings.lease
        return sum(self._signs.of(row["id"], row["beat"]) < lease for row in rows)


def users(jobs: Mapping[str, Sums]) -> tuple[int, int]:
    """How many users are done, of how many. With hooks a user is done after the final pass, and
    one that was cut for it when it is switched."""
    many = sum(jobs[job].total for job in USER_JOBS if job in jobs)
    last = [FINAL] if FINAL in jobs else [job for job in USER_JOBS if job in jobs]
    switches = jobs.get(SWITCH, Sums())
    return sum(jobs[job].done for job in last) - (switches.total - switches.done), many


def end_of(desk: Desk, seen: Progress) -> End | None:
    """Is there nothing left to wait for?"""
    if ended(seen.migration):
        return End.ENDED
    if seen.migration.hold is Hold.DRAINING and not seen.sums.running:
        return End.DRAINED
    if seen.migration.phase == Phase.PLANNING or seen.sums.running or not seen.sums.quarantined:
        return None
    if seen.sums.queued and not desk.units.stuck(seen.migration):
        return None
    return End.STUCK


def follow(
    desk: Desk,
    id: str,
    *,
    show: Callable[[Progress], object],
    tend: Callable[[], object],
    gone: Callable[[], bool] = lambda: False,
) -> End:
    """Show progress until there is nothing left to wait for; `tend` is called all the while."""
    watcher = Watcher(desk, id)
    while True:
        tend()
        if watcher.due:
            seen = watcher.look()
            show(seen)
            if end := end_of(desk, seen):
                return end
            if gone():
                return End.GONE
        desk.clock.sleep(GLANCE)
