"""Puts the producer together and runs it: campaign, sweep, advance, dispatch, again.

Any number may run; one leads. The loop turns fast while there is work and slowly while not.
"""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from common.clock import Clock
from common.errors import ConvoyError
from common.model import Hold, Migration
from common.queue.app import make_app
from common.queue.broker import Broker
from common.queue.messages import Outbox
from common.settings import Settings
from common.store.base import Store
from common.store.connect import connect
from common.store.consumers import Consumers
from common.store.events import Events
from common.store.failures import Failures
from common.store.leaders import Leadership
from common.store.marks import Marks
from common.store.migrations import Migrations
from common.store.units import Units
from producer.conductor import Conductor
from producer.dispatcher import Dispatcher
from producer.pruner import Pruner
from producer.sweeper import Sweeper

log = structlog.get_logger(__name__)
BUSY, IDLE = 0.005, 0.1  # seconds between rounds of the dispatcher, right after work and later
GLANCE = 0.1  # seconds, at least, between two looks at everything
SHARE = 19  # of our time goes to other things for each one that looking takes


@dataclass(slots=True)
class Producer:
    """One candidate; `run` returns when `stop` is set."""

    settings: Settings
    store: Store
    clock: Clock
    stop: threading.Event = field(default_factory=threading.Event)
    sign: Callable[[], None] = lambda: None  # told at every turn that we live

    def run(self) -> None:
        """Lead whenever nobody else does. Survives the loss of store and broker."""
        name = f"{platform.node()}/{os.getpid()}"
        office = Leadership(self.store, "producer", name, self.settings.lease, self.clock)
        crew = _crew(self.settings, self.store, self.clock)
        while not self.stop.is_set():
            self.sign()
            try:
                if office.campaign():
                    self._term(crew)
                else:
                    self.stop.wait(self.settings.beat.total_seconds())
            except ConvoyError as away:  # a wrong key is mended while we wait, too
                log.warning("producer.waits", why=str(away))
                self.stop.wait(1)
        try:
            office.resign()
        except ConvoyError as error:
            log.warning("producer.unresigned", why=str(error))

    def _term(self, crew: Crew) -> None:
        """Lead for one beat: sweep and advance at least once a second, dispatch in between."""
        tick = self.clock.tick
        most = min(self.settings.sweep, self.settings.beat).total_seconds()
        renew = tick() + self.settings.beat.total_seconds()
        pause = BUSY
        while not self.stop.is_set() and tick() < renew:
            self.sign()
            began = tick()
            active = crew.look()
            look = tick() + min(most, max(GLANCE, (tick() - began) * SHARE))
            while not self.stop.is_set() and tick() < look:
                published = crew.dispatcher.round(active, consumers=crew.consumers)
                pause = BUSY if published else min(pause * 2, IDLE)
                self.stop.wait(pause)


@dataclass(slots=True)
class Crew:
    """The leader's hands."""

    migrations: Migrations
    units: Units
    sweeper: Sweeper
    conductor: Conductor
    dispatcher: Dispatcher
    pruner: Pruner
    settings: Settings
    consumers: int = 0

    def look(self) -> list[Migration]:
        """Sweep, advance every migration; those whose units may be published."""
        self.sweeper.sweep()
        self.consumers = self.sweeper.alive()
        active = [self.conductor.look(migration) for migration in self.migrations.active()]
        for migration in active:
            self.units.hasten(migration, self.settings.backoff_most + self.settings.resend)
            self.dispatcher.wake(migration)
        self.pruner.round()
        return [m for m in active if m.hold not in (Hold.PAUSED, Hold.DRAINING) and not m.ended]


def _crew(settings: Settings, store: Store, clock: Clock) -> Crew:
    migrations, units = Migrations(store, clock), Units(store, clock)
    events, broker = Events(store, clock), Broker(settings.broker())
    return Crew(
        migrations=migrations,
        units=units,
        sweeper=Sweeper(units, Consumers(store, clock), events, settings, clock),
        conductor=Conductor(migrations, units, events),
        dispatcher=Dispatcher(units, Outbox(make_app(settings)), broker, settings),
        pruner=Pruner(migrations, units, Failures(store), Marks(store), settings),
        settings=settings,
    )


def producer(settings: Settings) -> Producer:
    """A producer on the addresses of the settings."""
    return Producer(settings, connect(settings.state(), durable=True), Clock())
