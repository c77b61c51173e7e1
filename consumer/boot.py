"""Puts one consumer process together, after the fork; reads the settings, opens the store."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version

import structlog

from common import failpoints, notify, presence, process
from common.clock import Clock
from common.errors import Denied, Transient
from common.model import Kind
from common.presence import Signs
from common.pressure import Pressure
from common.queue.broker import Broker, News
from common.settings import Settings
from common.store.connect import connect
from common.store.consumers import Consumers
from common.store.events import Events
from common.store.failures import Failures
from common.store.marks import Marks
from common.store.migrations import Migrations
from common.store.units import Units
from common.throttle import Throttles
from consumer.heartbeat import Heartbeat, Signal
from consumer.meter import Meter
from consumer.mover import Mover
from consumer.recent import Recent
from consumer.registry import MOVERS
from consumer.runner import Crew

log = structlog.get_logger(__name__)
ROLE = "consumer"
_NEWS = timedelta(seconds=1)


def crew(
    settings: Settings,
    name: str,
    *,
    leaving: Callable[[], bool] = lambda: False,
    overruns: tuple[type[BaseException], ...] = (),
    turned: Callable[[], float] = lambda: 0.0,
    movers: Mapping[Kind, Mover] = MOVERS,
) -> Crew:
    """Everything that `runner.run` needs, with the heartbeat started."""
    arm(settings)
    store, clock = connect(settings.state(), durable=True), Clock()
    units, migrations = Units(store, clock), Migrations(store, clock)
    broker, recent, meter = Broker(settings.broker()), Recent(migrations, clock), Meter(clock)
    heartbeat = Heartbeat(
        name,
        units=units,
        migrations=migrations,
        consumers=Consumers(store, clock),
        throttle=Throttles(broker, clock),
        settings=settings,
        clock=clock,
        leaving=leaving,
        facts={"host": settings.node, "pid": os.getpid(), "version": ours()},
        meter=meter,
        sign=signs(settings, name, turned),
    )
    made = Crew(
        recent=recent,
        units=units,
        failures=Failures(store),
        events=Events(store, clock),
        marks=Marks(store),
        heartbeat=heartbeat,
        meter=meter,
        pressure=Pressure(broker),
        movers=movers,
        settings=settings,
        clock=clock,
        store=store,
        overruns=overruns,
    )
    heartbeat.start()  # last: who gives signs of life must be able to work
    listen(settings, heartbeat, recent)
    return made


def signs(settings: Settings, name: str, turned: Callable[[], float]) -> Signal:
    """What the heartbeat says to this host: to its watchdog, and to systemd where that listens.

    `turned` is when the loop of the parent last turned, 0 while it is not to be judged.
    """
    board, lease = Signs(settings.home, ROLE, name), settings.lease

    def give(*, unit: str, talking: bool) -> None:
        last = turned()
        board.give(patience=lease, talking=talking, unit=unit, turned=last)
        if not last or time.monotonic() - last < lease.total_seconds():
            notify.tell(notify.ALIVE)

    return give


def attend(settings: Settings, name: str) -> None:
    """Hold the post of this name for life; Conflict if somebody does already.

    A home that cannot be used is no reason not to work: then nobody watches.
    """
    try:
        presence.take(settings.home, ROLE, name, version=process.build(ours()))
    except Denied as error:
        log.warning("presence.unknown", why=str(error))


def listen(settings: Settings, heartbeat: Heartbeat, recent: Recent) -> None:
    """Look afresh, and hurry the heartbeat, at news. Without a broker it just beats on."""

    def ears() -> None:
        news = News(settings.broker())
        while True:
            try:
                if news.wait(_NEWS):
                    recent.forget()
                    heartbeat.hurry()
            except Transient as away:
                log.warning("broker.away", why=str(away))
                news.close()
                threading.Event().wait(_NEWS.total_seconds())
                news = News(settings.broker())

    threading.Thread(target=ears, name="news", daemon=True).start()


def arm(settings: Settings) -> None:
    """Arm the failpoints of a fault test; without the setting there are none."""
    for entry in filter(None, settings.failpoints.split(",")):
        name, _, action = entry.partition("=")
        failpoints.arm(name.strip(), action.strip())


def ours() -> str:
    """The version of this installation."""
    try:
        return version("convoy")
    except PackageNotFoundError:
        return "unpackaged"
