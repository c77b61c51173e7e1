"""Removes what no generation can need any more: units, failures and work lists of old ones.

When a generation ends complete, those before the last few are over for good: nothing claims their
units, and what later generations must know, the manifests, is no part of them. A little is removed
at every look of the leader, so that nobody waits; whoever leads next goes on. It never touches a
manifest, the present generation, or a migration that has not ended complete since.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from common.settings import Settings
from common.store.failures import Failures
from common.store.marks import Marks
from common.store.migrations import Migrations
from common.store.units import Units

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pruner:
    """One round at a time; keeps nothing, because the store says what is left to do."""

    migrations: Migrations
    units: Units
    failures: Failures
    marks: Marks
    settings: Settings

    def round(self) -> int:
        """Remove at most `prune` records of each sort; how many there were."""
        removed = 0
        for migration, complete in self.migrations.prunable(limit=1):
            removed = self._prune(migration, complete - self.settings.generations + 1)
            if not removed:
                self.migrations.pruned(migration, complete)
                log.info("migration.pruned", migration=migration, complete=complete)
        return removed

    def _prune(self, migration: str, before: int) -> int:
        limit = self.settings.prune
        return sum(
            repository.prune(migration, before=before, limit=limit)
            for repository in (self.units, self.failures, self.marks)
        )
