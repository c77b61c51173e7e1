"""Advances migrations: gathers facts, asks the kind's judge, applies its event."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import structlog

from common.errors import Conflict
from common.lifecycle.registry import LIFECYCLES
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
        facts = self._facts(migration)
        event = PLANNERS[migration.kind].decide(facts)
        if event is None:
            return migration
        try:
            complete = _completes(migration, event, facts)
            moved = self.migrations.advance(migration, event, by="conductor", **complete)
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


def _completes(migration: Migration, event: StrEnum, facts: Facts) -> dict[str, Any]:
    """Notes, in the write that ends a complete generation, that older ones may go."""
    table = LIFECYCLES[migration.kind]
    ends = table.after(table.state(migration.phase), event) in table.ends()
    whole = ends and not facts.open and not facts.quarantined
    return {"prunes": migration.generation} if whole else {}
