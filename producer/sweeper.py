"""The leader's judge of leases: a unit whose beat stands still for one lease is due again.

Only the leader judges, by its own monotonic clock; wall clocks of other machines play no part.
"""

from __future__ import annotations

import structlog

from common.clock import Clock, Stillness
from common.errors import Stale
from common.model import Unit
from common.settings import Settings
from common.store.consumers import Consumers
from common.store.events import Events
from common.store.units import Units

log = structlog.get_logger(__name__)
GONE = 20  # leases; a consumer that gave no sign for so long is struck off


class Sweeper:
    """One look at everything that is held."""

    def __init__(
        self, units: Units, consumers: Consumers, events: Events, settings: Settings, clock: Clock
    ) -> None:
        self._units, self._consumers, self._events = units, consumers, events
        self._settings = settings
        self._beats, self._signs = Stillness(clock), Stillness(clock)

    def sweep(self) -> int:
        """Lapse every lease that ran out; how many there were."""
        held: set[str] = set()
        lapsed = 0
        for unit in list(self._units.running()):
            held.add(unit.id)
            if self._beats.of(unit.id, (unit.epoch, unit.beat)) >= self._settings.lease:
                lapsed += self._lapse(unit)
        self._beats.keep(set(held))
        return lapsed

    def alive(self) -> int:
        """How many consumers gave a sign of life within one lease."""
        alive, names = 0, set()
        for name, beat in self._consumers.beats():
            names.add(name)
            still = self._signs.of(name, beat)
            alive += still < self._settings.lease
            if still > self._settings.lease * GONE:
                self._consumers.leave(name)
        self._signs.keep(set(names))
        return alive

    def _lapse(self, unit: Unit) -> bool:
        try:
            self._units.lapse(unit, attempts=self._settings.attempts)
        except Stale:  # a sign of life after all, or finished meanwhile
            return False
        log.warning("unit.lapsed", unit=unit.id, epoch=unit.epoch, worker=unit.owner)
        self._events.add(
            unit.migration, "unit.lapsed", by="leader", unit=unit.id, why=f"{unit.owner} is silent"
        )
        return True
