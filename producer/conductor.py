"""Advances migrations: gathers facts, asks the kind's judge, applies its event."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from common.errors import Conflict
from common.lifecycle.units import State
from common.model import Migration
from common.store.events import Events
from common.store.migrations import Migrations
from common.store.units import Units
from producer.planner import Facts
from producer.registry import PLANNERS

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Conductor:
    """Level-triggered: looks again and again, keeps nothing."""

    migrations: Migrations
    units: Units
    events: Events

    def look(self, migration: Migration) -> Migration:
        """The migration, advanced if its facts say so. Losing a race is no error."""
        event = PLANNERS[migration.kind].decide(self._facts(migration))
        if event is None:
            return migration
        try:
            moved = self.migrations.advance(migration, event, by="conductor")
        except Conflict:
            return migration
        log.info("migration.advanced", migration=moved.id, phase=moved.phase)
        self.events.add(moved.id, "migration.advanced", by="conductor", phase=moved.phase)
        return moved

    def _facts(self, migration: Migration) -> Facts:
        some = self.units.some
        return Facts(
            phase=migration.phase,
            open=some(migration, State.QUEUED) or some(migration, State.RUNNING),
            quarantined=some(migration, State.QUARANTINED),
        )
