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
        self._read: dict[str, tuple[float, Migration]] = {}

    def glance(self, name: str) -> Migration | None:
        """The migration as it was read lately; None if it was not."""
        at, migration = self._read.get(name, (0.0, None))
        return migration if self._clock.tick() - at < FRESH else None

    def look(self, name: str) -> Migration | None:
        """The migration as it is; None if there is none."""
        self._read = {}  # one after the other is the rule; nothing piles up
        at = self._clock.tick()
        try:
            migration = self._migrations.get(name)
        except Missing:
            return None
        self._read[name] = at, migration
        return migration

    def forget(self) -> None:
        """Somebody told news."""
        self._read = {}
