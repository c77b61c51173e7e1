"""A small world: two folders, a store, and a consumer that works in this very process."""

from __future__ import annotations

from pathlib import Path

from common.digest import Sum
from common.lifecycle.users import Event
from common.model import Counts, Migration
from common.queue.broker import Broker
from common.queue.messages import Message
from common.settings import Settings
from common.store.sqlite import SqliteStore
from consumer.registry import MOVERS
from consumer.runner import run
from ops.desk import Desk
from producer.registry import PLANNERS
from tests.factories import Ground, settings_for


class World:
    """Two folders, a store, and a consumer that takes whatever is due, until nothing is."""

    def __init__(self, root: Path, broker: Broker, **settings: object) -> None:
        self.root, self.old, self.new = root, root / "old", root / "new"
        self.old.mkdir()
        self.new.mkdir()
        self.settings: Settings = settings_for(root / "home", attempts=2, **settings)
        self.source, self.target = f"file://{self.old}", f"file://{self.new}"
        self.store = SqliteStore(str(root / "state.db"))
        self.ground, self.broker = Ground(self.store), broker

    def migrate(self, *users: str, **options: object) -> Migration:
        """One generation over these users, moved until nothing is due any more."""
        ground, planner = self.ground, PLANNERS[next(iter(PLANNERS))]
        migration = ground.migrations.create(
            next(iter(PLANNERS)), self.source, self.target, options=options
        )
        if migration.version:
            migration = ground.migrations.renew(migration, Event.AGAIN, by="test", options=options)
        ground.units.plan(migration, planner.drafts(users, options))
        migration = ground.migrations.advance(migration, Event.PLANNED, by="test")
        self.work(migration)
        return migration

    def work(self, migration: Migration) -> None:
        ground = self.ground
        heartbeat = ground.heartbeat(self.settings, self.broker)
        crew = ground.crew_of(MOVERS, self.settings, heartbeat)
        for _ in range(50):
            ground.turned.turn(self.settings.backoff_most)
            for unit in ground.units.asleep(migration, behind="", limit=1000):
                if not ground.units.open(migration, unit.after):
                    ground.units.wake(unit)
            due = ground.units.due(migration, 1000)
            if not due:
                return
            for unit in due:
                if unit.after and ground.units.open(migration, unit.after):
                    ground.units.sleep(unit)
                    continue
                run(Message(migration.id, unit.id, unit.epoch), crew)
        raise AssertionError("there is always something due")

    def desk(self) -> Desk:
        """What an operator sees of this world."""
        return Desk(self.settings, self.store, None, self.ground.clock, "test")

    def counts(self, migration: Migration) -> Counts:
        return self.ground.units.sums(migration).counts

    def failures(self, migration: Migration) -> dict[str, str]:
        return {f.item: f.reason for _, _, f in self.ground.failures.of(migration)}

    def jobs(self, migration: Migration) -> list[str]:
        return sorted(doc["job"] for doc in self.ground.units.of(migration))

    def states(self, migration: Migration) -> set[str]:
        return {doc["state"] for doc in self.ground.units.of(migration)}

    def digest(self, migration: Migration) -> str:
        total = Sum()
        for digest in self.ground.units.digests(migration):
            total.merge(digest)
        return total.hex()
