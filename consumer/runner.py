"""Claim, move, report: the one place that knows what an error means for a unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import structlog

from common.clock import Clock
from common.errors import (
    Backpressure,
    ConvoyError,
    Denied,
    Held,
    Permanent,
    Stale,
    Transient,
)
from common.failpoints import failpoint
from common.model import Failure, Kind, Migration, Receipt, Unit
from common.pressure import Pressure, declines
from common.queue.messages import Message
from common.settings import Settings
from common.store.base import Store
from common.store.events import Events
from common.store.failures import Failures
from common.store.marks import Marks
from common.store.units import Units
from consumer.heartbeat import Heartbeat, over
from consumer.meter import Meter
from consumer.mover import Mover, Reach
from consumer.recent import Recent

log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """How a delivery ended; Flower and the metrics show it by this name."""

    MOVED = "moved"
    NOT_MINE = "not_mine"  # in other hands, at an end, or of another epoch
    WAITS = "waits"  # the migration is held
    EASES = "eases"  # the other side cannot take more now
    LOST = "lost"  # the lease ended while we worked
    LATER = "later"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Crew:
    """What one consumer process works with, opened once after the fork."""

    recent: Recent
    units: Units
    failures: Failures
    events: Events
    marks: Marks
    heartbeat: Heartbeat
    meter: Meter
    pressure: Pressure
    movers: Mapping[Kind, Mover]
    settings: Settings
    clock: Clock
    store: Store
    overruns: tuple[type[BaseException], ...] = ()  # what a soft time limit raises


def run(message: Message, crew: Crew) -> Outcome:
    """Carry one delivered message to an end. Safe under any number of deliveries.

    Raises nothing that says something about the unit; Transient if the store itself is away (the
    message is spent then, and the dispatcher publishes again).
    """
    outcome = _carry(message, crew)
    crew.meter.unit(outcome.value)
    return outcome


def _carry(message: Message, crew: Crew) -> Outcome:
    if declines(crew.pressure.level(message.migration), message.unit, int(crew.clock.wall())):
        return Outcome.EASES
    with crew.meter.phase("claim"):
        taken = _take(message, crew.recent.glance(message.migration), crew)
        if isinstance(taken, Outcome):  # what was read a moment ago is believed only if it lets us
            taken = _take(message, crew.recent.look(message.migration), crew)
    return taken if isinstance(taken, Outcome) else _begin(*taken, crew)


def _take(
    message: Message, migration: Migration | None, crew: Crew
) -> tuple[Migration, Unit] | Outcome:
    """Claim the unit, if its migration lets units start."""
    if migration is None or not workable(migration):
        return Outcome.WAITS
    unit = crew.units.claim(migration, message.unit, message.epoch, owner=crew.heartbeat.name)
    return (migration, unit) if unit else Outcome.NOT_MINE


def _begin(migration: Migration, unit: Unit, crew: Crew) -> Outcome:
    failpoint("runner.claimed")
    with structlog.contextvars.bound_contextvars(
        migration=unit.migration, unit=unit.id, epoch=unit.epoch, worker=crew.heartbeat.name
    ):
        try:
            return _work(migration, unit, crew)
        except Stale as stale:
            log.info("unit.lost", why=str(stale))
            return Outcome.LOST


def workable(migration: Migration) -> bool:
    """May units of this migration start?"""
    return migration.hold is None and not over(migration)


def backoff(settings: Settings, attempts: int) -> timedelta:
    """The pause before the next attempt: doubled each time, up to `backoff_most`."""
    pause: timedelta = settings.backoff * 2 ** min(attempts - 1, 16)
    return min(pause, settings.backoff_most)


def _work(migration: Migration, unit: Unit, crew: Crew) -> Outcome:
    began = crew.clock.tick()
    try:
        receipt = _move(migration, unit, crew)
    except Stale:
        raise
    except ConvoyError as error:
        return _settle(unit, error, crew)
    except crew.overruns as error:
        return _settle(unit, Transient(f"over the soft time limit: {error!r}"), crew)
    except (Exception, MemoryError) as error:
        log.exception("unit.crashed")
        return _settle(unit, Transient(f"{type(error).__name__}: {error}"), crew)
    crew.meter.work(receipt.counts)
    with crew.meter.phase("report"):
        return _report(migration, unit, receipt, crew, seconds=crew.clock.tick() - began)


def _move(migration: Migration, unit: Unit, crew: Crew) -> Receipt:
    job, most = crew.movers[unit.kind].jobs.get(unit.job), crew.settings.attempts
    if unit.attempts > most:  # earlier consumers died holding it before they could say why
        raise Permanent(f"given up after {most} attempts; the last: {unit.reason or 'no word'}")
    if job is None:
        raise Permanent(
            f"this version knows no job {unit.job!r} of {unit.kind}", hint="upgrade the consumers"
        )
    with crew.heartbeat.hold(unit, migration) as lease, crew.meter.phase("move"):
        memory = FencedMarks(crew.marks, unit)
        return job(unit, Reach(migration, lease, memory, crew.settings))


def _report(
    migration: Migration, unit: Unit, receipt: Receipt, crew: Crew, *, seconds: float
) -> Outcome:
    failpoint("runner.moved")
    crew.units.plan(migration, receipt.drafts)
    crew.failures.replace(unit, receipt.failures)
    failpoint("runner.reporting")
    if receipt.again:
        return _settle(unit, Transient(receipt.again), crew, receipt)
    if receipt.counts.failed:
        why = f"{receipt.counts.failed} items did not arrive"
        crew.units.quarantine(unit, why=why, receipt=receipt)
        log.error("unit.quarantined", why=why)
        return Outcome.QUARANTINED
    crew.units.finish(unit, receipt, seconds=seconds)
    failpoint("runner.finished")
    if unit.wakes or receipt.drafts:
        crew.units.wake(unit)
    log.info("unit.moved", items=receipt.counts.items, bytes=receipt.counts.bytes, seconds=seconds)
    return Outcome.MOVED


def _settle(unit: Unit, error: ConvoyError, crew: Crew, receipt: Receipt | None = None) -> Outcome:
    crew.meter.failure(error)
    match error:
        case Held():
            crew.units.requeue(unit, after=error.retry_in, why=str(error), counts=False)
        case Backpressure():
            crew.pressure.rise(unit.migration)
            crew.units.requeue(unit, after=error.retry_in, why=str(error), counts=False)
        # keys that ran out or a wrong mount are often one host's trouble: others may try
        case Transient() | Denied() if unit.attempts < crew.settings.attempts:
            pause = backoff(crew.settings, unit.attempts)
            crew.units.requeue(unit, after=pause, why=str(error))
        case Permanent() | Transient():
            if receipt is None:
                whole = Failure(unit.key, str(error), error.hint)
                crew.failures.replace(unit, [whole])
            crew.units.quarantine(unit, why=str(error), receipt=receipt)
            log.error("unit.quarantined", why=str(error), attempts=unit.attempts)
            return Outcome.QUARANTINED
        case _:
            raise error
    log.warning("unit.later", why=str(error), attempts=unit.attempts)
    return Outcome.LATER


@dataclass(frozen=True, slots=True)
class FencedMarks:
    """Marks of one unit's migration, written under its fence (`consumer.mover.Memory`)."""

    marks: Marks
    unit: Unit

    def read(self, group: str, name: str) -> list[bytes]:
        return self.marks.read(self.unit.migration, group, name)

    def names(self, group: str) -> list[str]:
        return self.marks.names(self.unit.migration, group)

    def put(self, group: str, name: str, blob: bytes, *, passing: bool = False) -> None:
        where, fence = self.unit.migration, self.unit.fence
        self.marks.put(where, group, name, blob, fence=fence, passing=passing)

    def append(self, group: str, name: str, blob: bytes, *, passing: bool = False) -> None:
        where, fence = self.unit.migration, self.unit.fence
        self.marks.append(where, group, name, blob, fence=fence, passing=passing)

    def drop(self, group: str, name: str) -> None:
        self.marks.drop(self.unit.migration, group, name, fence=self.unit.fence)
