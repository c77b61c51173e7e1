"""The heartbeat: renews the lease of the unit in hand and watches the operator's wishes.

One thread per consumer. It never decides about a unit; it only makes `still_mine` tell the truth:
a lease that could not be renewed for three of its quarters is given up by ourselves, before the
leader can give the unit to somebody else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

import structlog

from common.clock import Clock
from common.errors import ConvoyError, Held, Stale
from common.lifecycle.registry import LIFECYCLES
from common.model import Hold, Migration, Unit
from common.settings import Settings
from common.store.consumers import Consumers
from common.store.migrations import Migrations
from common.store.units import Units
from common.throttle import Throttle
from consumer.meter import Meter
from consumer.mover import BOTH

log = structlog.get_logger(__name__)
GLANCE = 0.5  # seconds between two looks at whether the host is going down


def over(migration: Migration) -> bool:
    """Has the migration come to an end?"""
    table = LIFECYCLES[migration.kind]
    return table.state(migration.phase) in table.ends()


class UnitLease:
    """The hold on one unit, as the mover sees it (`consumer.mover.Lease`)."""

    def __init__(
        self, unit: Unit, units: Units, throttle: Throttle, lease: timedelta, clock: Clock
    ) -> None:
        self._unit, self._units, self._throttle, self._clock = unit, units, throttle, clock
        self._patience = lease.total_seconds() * 0.75
        self._renewed = clock.tick()
        self._end: ConvoyError | None = None
        self._lock = threading.Lock()
        self._items = self._bytes = 0

    def still_mine(self) -> None:
        if self._end is not None:
            raise self._end
        if self._clock.tick() - self._renewed > self._patience:
            raise Stale(f"unit {self._unit.id}: the lease could not be renewed in time")

    def confirm(self) -> None:
        self.still_mine()
        self.renew()
        self.still_mine()

    def spend(self, *, bytes: int = 0, requests: int = 0, sides: Sequence[str] = BOTH) -> None:
        self._throttle.spend(sides, bytes, requests, meanwhile=self.still_mine)

    def show(self, *, items: int = 0, bytes: int = 0) -> None:
        with self._lock:
            self._items += items
            self._bytes += bytes

    def renew(self) -> None:
        """One compare-and-set; Stale ends the lease, a store that is away only ages it."""
        before = self._clock.tick()  # the leader may have seen the beat as early as this
        try:
            self._units.beat(self._unit, live_items=self._items, live_bytes=self._bytes)
        except Stale as stale:
            self._end = stale
            raise
        self._renewed = before

    def end(self, why: ConvoyError) -> None:
        """From now on `still_mine` raises `why`."""
        self._end = self._end or why

    def limit(self, migration: Migration) -> None:
        """Take over the operator's present limits."""
        self._throttle.set(migration.limits)


class Signal(Protocol):
    """How a consumer says to its host that it lives; `talking` to the store, which may be away."""

    def __call__(self, *, unit: str, talking: bool) -> None: ...


def _unsigned(*, unit: str, talking: bool) -> None:
    """Nobody watches."""


class Heartbeat:
    """The thread of one consumer."""

    def __init__(
        self,
        name: str,
        *,
        units: Units,
        migrations: Migrations,
        consumers: Consumers,
        throttle: Callable[[str], Throttle],
        settings: Settings,
        clock: Clock | None = None,
        leaving: Callable[[], bool] = lambda: False,
        facts: dict[str, object] | None = None,
        meter: Meter | None = None,
        sign: Signal = _unsigned,
    ) -> None:
        self.name, self._sign = name, sign
        self._units, self._migrations, self._consumers = units, migrations, consumers
        self._throttle, self._settings = throttle, settings
        self._clock, self._leaving, self._facts = clock or Clock(), leaving, facts or {}
        self.meter = meter or Meter(self._clock)
        self._held: tuple[UnitLease, Unit, Migration] | None = None
        self._wake = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread and sign off."""
        self._over = True
        self._wake.set()
        self._thread.join(timeout=5)

    def hurry(self) -> None:
        """Look at once: somebody said that a record changed."""
        self._wake.set()

    @contextmanager
    def hold(self, unit: Unit, migration: Migration) -> Iterator[UnitLease]:
        """Keep the lease of `unit` alive inside the block."""
        throttle = self._throttle(migration.id)
        lease = UnitLease(unit, self._units, throttle, self._settings.lease, self._clock)
        lease.limit(migration)
        self._held = (lease, unit, migration)
        try:
            yield lease
        finally:
            self._held = None

    def _run(self) -> None:
        while not self._over:
            self._beat()
            next_ = self._clock.tick() + self._settings.beat.total_seconds()
            while (left := next_ - self._clock.tick()) > 0 and not self._wake.wait(
                min(left, GLANCE)
            ):
                self._hand_over()
            self._wake.clear()

    def _hand_over(self) -> None:
        """A host that goes down does not wait for the next beat."""
        if (held := self._held) and self._leaving():
            held[0].end(Held("the host is going down", retry_in=timedelta(0)))

    def _beat(self) -> None:
        held = self._held
        unit = held[1].id if held else ""
        self._sign(unit=unit, talking=True)
        try:
            if held:
                self._watch(*held)
            facts = self._facts | {"counters": self.meter.read()}
            self._consumers.beat(self.name, unit=unit, **facts)
        except Stale as stale:
            log.warning("lease.lost", unit=held[1].id if held else "", why=str(stale))
        except ConvoyError as error:  # the lease ages; whether it can go on is its holder's matter
            log.warning("store.away", why=str(error))
        self._sign(unit=unit, talking=False)

    def _watch(self, lease: UnitLease, unit: Unit, claimed: Migration) -> None:
        lease.renew()
        migration = self._migrations.get(unit.migration)
        lease.limit(migration)
        self._hand_over()
        if migration.hold is Hold.PAUSED:
            lease.end(Held("paused", retry_in=timedelta(0)))
        elif migration.generation != claimed.generation or over(migration):
            lease.end(Held(f"the migration is {migration.phase} now", retry_in=timedelta(0)))
