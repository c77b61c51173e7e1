"""A fleet with consumers of a given Celery app, on a store of any kind; gone with the block."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.clock import Clock
from common.queue.broker import Broker
from common.settings import Settings
from common.store.base import Store
from common.store.connect import connect
from common.store.consumers import Consumers
from common.store.events import Events
from common.store.migrations import Migrations
from common.store.units import Units
from ops.embedded import Redis
from ops.local import ROOT, producer_argv
from ops.processes import Child, Family
from producer.intake import Intake

PATIENCE = 120.0  # seconds for the consumers to sign on
GLANCE = 0.02


@dataclass(slots=True)
class Fleet:
    """Its members and its records."""

    settings: Settings
    store: Store
    broker: Broker
    redis: int  # its process id
    producer: Child | None
    consumers: list[Child]

    @property
    def migrations(self) -> Migrations:
        return Migrations(self.store)

    @property
    def units(self) -> Units:
        return Units(self.store)

    @property
    def intake(self) -> Intake:
        return Intake(self.migrations, self.units, Events(self.store, Clock()), self.settings)

    def manned(self) -> int:
        """How many consumers have signed on."""
        return len(Consumers(self.store, Clock()).all())


@contextmanager
def fleet(
    home: Path, state_url: str, *, app: str = "consumer.app", consumers: int = 2, leads: bool = True
) -> Iterator[Fleet]:
    """A fleet of `consumers` of `app`, up; without a producer if it is not to lead."""
    home.mkdir()
    with Redis(home / "redis") as redis, Family() as family:
        addresses = {"CONVOY_BROKER_URL": redis.url, "CONVOY_STATE_URL": state_url}
        env = {**os.environ, **addresses, "CONVOY_HOME": str(home), "PYTHONPATH": str(ROOT)}
        settings = Settings.model_validate(
            {"broker_url": redis.url, "state_url": state_url, "home": home}
        )
        store = connect(state_url, durable=True)

        def member(name: str, argv: list[str]) -> Child:
            return family.spawn(name, argv, env=env, log=home / f"{name}.log", cwd=ROOT)

        leader = member("producer", producer_argv()) if leads else None
        crew = [member(name, worker(app, name)) for name in _names(consumers)]
        found = Fleet(settings, store, Broker(redis.url), redis.pid, leader, crew)
        _await(found, consumers)
        yield found
        found.broker.close()
        store.close()


def worker(app: str, name: str) -> list[str]:
    """The command of one consumer."""
    argv = [sys.executable, "-P", "-m", "celery", "-A", app, "worker", "-n", f"{name}@%h"]
    return [*argv, "-Q", "users", "--without-gossip", "--without-mingle", "--loglevel", "WARNING"]


def _names(count: int) -> list[str]:
    return [f"c{number:02}" for number in range(1, count + 1)]


def _await(fleet: Fleet, consumers: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while fleet.manned() < consumers:
        if time.monotonic() > deadline:
            raise TimeoutError(f"no consumers; see the logs in {fleet.settings.home}")
        time.sleep(GLANCE)
