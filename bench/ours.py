"""Convoy in the two states that matter: the whole command, and a fleet that is already up.

The command starts a Redis, a producer and consumers, which takes seconds that weigh only in short
runs; a fleet of many machines is always up. Both are shown, neither is corrected.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.spending import Spent, run, used
from common.clock import Clock
from common.model import Migration
from common.settings import Settings
from common.store.base import Store
from common.store.connect import connect
from common.store.consumers import Consumers
from common.store.events import Events
from common.store.migrations import Migrations
from common.store.units import Units
from ops.local import Local
from producer.intake import Intake, Order

ROOT = Path(__file__).parents[1]
GLANCE = 0.01  # seconds between two looks whether it is done
PATIENCE = 120.0  # seconds for consumers to sign on


class Incomplete(Exception):
    """A migration of ours ended without everything having arrived."""


def command(source: str, target: str, home: Path, env: Mapping[str, str], *options: str) -> Spent:
    """`convoy migrate users`, from nothing to nothing. Its exit code says whether all arrived."""
    argv = [sys.executable, "-P", "-m", "ops.cli", "migrate", "users"]
    argv += ["--source", source, "--target", target, "--json", *options]
    return run([argv], {**env, "CONVOY_HOME": str(home), "PYTHONPATH": str(ROOT)})


@dataclass(slots=True)
class Fleet:
    """A fleet that is up: its members, and the records it works from."""

    local: Local
    store: Store

    @property
    def pids(self) -> list[int]:
        """Its Redis, its producer and its consumers."""
        redis = [self.local._redis.pid] if self.local._redis else []
        return [*redis, *(post.child.pid for post in self.local.posts)]

    def move(self, source: str, target: str, **options: object) -> Spent:
        """From the order to the phase `done`."""
        settings, store = self.local.settings, self.store
        migrations = Migrations(store)
        intake = Intake(migrations, Units(store), Events(store, Clock()), settings)
        began, before = time.monotonic(), used(self.pids) + time.process_time()
        ordered = intake.accept(Order(source, target, options=options)).migration
        self._await(migrations, ordered)
        return Spent(time.monotonic() - began, used(self.pids) + time.process_time() - before)

    def _await(self, migrations: Migrations, ordered: Migration) -> None:
        units = Units(self.store)
        looks = 0
        while (seen := migrations.get(ordered.id)).phase != "done":
            self.local.tend()
            if (looks := looks + 1) % 100 == 0 and units.stuck(seen):
                raise Incomplete(f"{ordered.id}: {units.sums(seen)}")
            time.sleep(GLANCE)


@contextmanager
def fleet(home: Path, env: Mapping[str, str], *, consumers: int = 0) -> Iterator[Fleet]:
    """A fleet of this machine in `home`, up when the block begins and gone when it ends."""
    before = dict(os.environ)
    os.environ.update(env)
    try:
        with Local(Settings(home=home), consumers=consumers) as local:
            store = connect(local.settings.state())
            _await_consumers(Consumers(store, Clock()), local)
            yield Fleet(local, store)
            store.close()
    finally:
        os.environ.clear()
        os.environ.update(before)


def _await_consumers(consumers: Consumers, local: Local) -> None:
    """All of them gave a sign of life since we look; those of an earlier fleet do not count."""
    before = {row["id"]: row["beat"] for row in consumers.all()}
    deadline = time.monotonic() + PATIENCE
    while sum(row["beat"] != before.get(row["id"]) for row in consumers.all()) < local.consumers:
        if time.monotonic() > deadline:
            raise TimeoutError(f"no consumers; see {local.settings.home}/log")
        time.sleep(GLANCE)
