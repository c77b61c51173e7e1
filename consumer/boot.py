"""Puts one consumer process together, after the fork; reads the settings, opens the store."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version

import structlog

from common import failpoints
from common.clock import Clock
from common.errors import Transient
from common.model import Kind
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
from consumer.heartbeat import Heartbeat
from consumer.mover import Mover
from consumer.registry import MOVERS
from consumer.runner import Crew

log = structlog.get_logger(__name__)
_NEWS = timedelta(seconds=1)


def crew(
    settings: Settings,
    name: str,
    *,
    leaving: Callable[[], bool] = lambda: False,
    overruns: tuple[type[BaseException], ...] = (),
    movers: Mapping[Kind, Mover] = MOVERS,
) -> Crew:
    """Everything that `runner.run` needs, with the heartbeat started."""
    arm(settings)
    store, clock = connect(settings.state()), Clock()
    units, migrations = Units(store, clock), Migrations(store, clock)
    broker = Broker(settings.broker())
    heartbeat = Heartbeat(
        name,
        units=units,
        migrations=migrations,
        consumers=Consumers(store, clock),
        throttle=Throttles(broker, clock),
        settings=settings,
        clock=clock,
        leaving=leaving,
        facts={"host": platform.node(), "pid": os.getpid(), "version": ours()},
    )
    heartbeat.start()
    listen(settings, heartbeat)
    return Crew(
        migrations=migrations,
        units=units,
        failures=Failures(store),
        events=Events(store, clock),
        marks=Marks(store),
        heartbeat=heartbeat,
        pressure=Pressure(broker),
        movers=movers,
        settings=settings,
        clock=clock,
        store=store,
        overruns=overruns,
    )


def listen(settings: Settings, heartbeat: Heartbeat) -> None:
    """Hurry the heartbeat whenever somebody tells news. Without a broker it just beats on."""

    def ears() -> None:
        news = News(settings.broker())
        while True:
            try:
                if news.wait(_NEWS):
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
