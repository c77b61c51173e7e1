"""Migrations as they were a moment ago, so that a short unit does not cost a look at each of them.

Only good news is believed: whoever is told "held", "over" or nothing at all looks afresh.
"""

from __future__ import annotations

from common.clock import Clock
from common.errors import Missing
from common.model import Migration
from common.store.migrations import Migrations

FRESH = 0.2  # seconds; a wish that nobody told of may reach the next unit so much later


class Recent:
    """What one consumer read lately."""

    def __init__(self, migrations: Migrations, clock: Clock) -> None:
        self._migrations, self._clock = migrations, clock
        self._last: tuple[float, Migration] | None = None  # units of one follow each other

    def glance(self, name: str) -> Migration | None:
        """The migration as it was read lately; None if it was not."""
        if self._last is None or self._last[1].id != name:
            return None
        at, migration = self._last
        return migration if self._clock.tick() - at < FRESH else None

    def look(self, name: str) -> Migration | None:
        """The migration as it is; None if there is none."""
        self._last, at = None, self._clock.tick()
        try:
            migration = self._migrations.get(name)
        except Missing:
            return None
        self._last = at, migration
        return migration

    def forget(self) -> None:
        """Somebody told news."""
        self._last = None
