"""What tests are made of: a store with its repositories, a clock to turn, units to move."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from common.clock import Clock
from common.lifecycle.users import Event
from common.model import Draft, Kind, Migration, Receipt, Unit
from common.pressure import Pressure
from common.queue.broker import Broker
from common.settings import Settings
from common.store.base import Store
from common.store.consumers import Consumers
from common.store.events import Events
from common.store.failures import Failures
from common.store.marks import Marks
from common.store.migrations import Migrations
from common.store.units import Units
from common.throttle import Throttles
from consumer.heartbeat import Heartbeat
from consumer.mover import Job, Mover, Reach
from consumer.recent import Recent
from consumer.runner import Crew


@dataclass(slots=True)
class Turned:
    """A clock that stands until it is turned."""

    now: float = 1_000_000.0
    ticks: float = 0.0

    def clock(self) -> Clock:
        return Clock(wall=lambda: self.now, tick=lambda: self.ticks, sleep=self._pass)

    def turn(self, by: timedelta) -> None:
        self.now += by.total_seconds()
        self.ticks += by.total_seconds()

    def _pass(self, seconds: float) -> None:
        self.turn(timedelta(seconds=seconds))


@dataclass(frozen=True)
class Jobs:
    """A mover made of functions; what a kind is to the runner."""

    jobs: Mapping[str, Job]


@dataclass
class Ground:
    """All repositories over one store, on one clock."""

    store: Store
    turned: Turned = field(default_factory=Turned)

    def __post_init__(self) -> None:
        clock = self.clock = self.turned.clock()
        self.migrations = Migrations(self.store, clock)
        self.units = Units(self.store, clock)
        self.failures, self.marks = Failures(self.store), Marks(self.store)
        self.events = Events(self.store, clock)
        self.consumers = Consumers(self.store, clock)

    def moving(
        self,
        drafts: Iterable[Draft] = (Draft("move", "ann"),),
        *,
        source: str = "file:///old",
        tenant: str = "",
        limits: Mapping[str, str] | None = None,
    ) -> Migration:
        """A migration with these units, ready to be moved."""
        migration = self.migrations.create(
            Kind.USERS, source, "file:///new", tenant=tenant, limits=limits
        )
        self.units.plan(migration, drafts)
        return self.migrations.advance(migration, Event.PLANNED, by="test")

    def only(self, migration: Migration) -> Unit:
        """The one unit of a migration."""
        [doc] = self.units.of(migration)
        unit = self.units.get(doc["id"])
        assert unit is not None
        return unit

    def heartbeat(self, settings: Settings, broker: Broker, name: str = "c01") -> Heartbeat:
        """A consumer's heartbeat, not started: tests beat by hand."""
        self.broker = broker
        return Heartbeat(
            name,
            units=self.units,
            migrations=self.migrations,
            consumers=self.consumers,
            throttle=Throttles(broker, self.clock),
            settings=settings,
            clock=self.clock,
        )

    def crew(
        self, job: Job, settings: Settings, heartbeat: Heartbeat, *, name: str = "move"
    ) -> Crew:
        """A consumer whose only job is `job`."""
        return self.crew_of({Kind.USERS: Jobs({name: job})}, settings, heartbeat)

    def crew_of(
        self, movers: Mapping[Kind, Mover], settings: Settings, heartbeat: Heartbeat
    ) -> Crew:
        """A consumer with these movers, under no pressure."""
        return Crew(
            recent=Recent(self.migrations, self.clock),
            units=self.units,
            failures=self.failures,
            events=self.events,
            marks=self.marks,
            heartbeat=heartbeat,
            meter=heartbeat.meter,
            pressure=Pressure(self.broker),
            movers=movers,
            settings=settings,
            clock=self.clock,
            store=self.store,
        )


def settings_for(home: Path, **fields: object) -> Settings:
    """Settings on these fields alone, whatever the environment says."""
    return Settings.model_validate({"home": home, "lease": timedelta(seconds=8), **fields})


def says(receipt: Receipt | Exception, seen: list[Unit] | None = None) -> Job:
    """A job that notes its unit and ends with `receipt`."""

    def job(unit: Unit, reach: Reach) -> Receipt:
        if seen is not None:
            seen.append(unit)
        reach.lease.still_mine()
        if isinstance(receipt, Exception):
            raise receipt
        return receipt

    return job


def waits(turned: Turned, by: timedelta, then: Callable[[Reach], Receipt]) -> Job:
    """A job during which time passes."""

    def job(unit: Unit, reach: Reach) -> Receipt:
        turned.turn(by)
        return then(reach)

    return job
