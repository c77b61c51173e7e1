"""Looks at store and broker for the exporter and the alarms. Changes nothing, judges nothing.

Its cost is bounded: one tally per migration that is not at an end, and the units and consumers
that are at work now; what has ended is never read again. Connections live for one look, so that
a server that was away, moved or restarted is found again without any care. Silence is measured
by our own monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from common.clock import Clock, Stillness
from common.errors import ConvoyError, Corrupt, Refused
from common.lifecycle.units import State
from common.model import Kind, Migration
from common.queue.broker import Broker
from common.settings import Settings
from common.store.base import Store
from common.store.connect import connect
from common.store.consumers import Consumers
from common.store.events import Events
from common.store.migrations import Migrations
from common.store.units import Units
from ops.desk import addressed
from ops.exporter.facts import Facts, Queue, Records, Work
from ops.exporter.progress import Odometer, Tallied, mark
from ops.host import wanted
from ops.host.journal import ALARMED, CALMED, FLEET
from ops.host.roles import role
from producer.registry import PLANNERS

log = structlog.get_logger(__name__)
LOOK = 500  # events of hosts that are looked at
OLD = timedelta(days=1)


@dataclass(slots=True)
class Observer:
    """Look by look; remembers when each counter moved last. Use from one thread at a time."""

    settings: Settings
    clock: Clock = field(default_factory=Clock)
    signs: Stillness | None = None
    moved: Odometer = field(default_factory=Odometer)
    _watched: dict[str, Migration] = field(default_factory=dict)

    def look(self) -> Facts:
        """All facts of this moment; Refused if the settings name no fleet."""
        began, here = self.clock.tick(), addressed(self.settings)
        records = queue = None
        try:
            with closing(connect(here.state())) as store:
                records = self._records(store, here)
        except Refused:
            raise
        except ConvoyError as error:
            log.warning("store.away", why=str(error))
        try:
            queue = self._queue(here)
        except ConvoyError as error:
            log.warning("broker.away", why=str(error))
        idle = here.broker_url is None
        return Facts(records, queue, idle, spent=self.clock.tick() - began)

    def _records(self, store: Store, here: Settings) -> Records:
        signs = self.signs = self.signs or Stillness(self.clock)
        migrations, units = Migrations(store, self.clock), Units(store, self.clock)
        active = migrations.active()
        ended = [m for id, m in self._watched.items() if id not in {a.id for a in active}]
        tallied = [(m, units.sums(m)) for m in active]
        self.moved.add(tallied + [(m, units.sums(m)) for m in ended])
        self._watched = {m.id: m for m in active}
        keys: set[str] = set()
        works = {kind: self._work(kind, tallied, units, signs, keys) for kind in Kind}
        meters = self._meters(Consumers(store), here, signs, keys)
        lapsing = self._lapsing(units, here, signs, keys)
        known = sum(key.startswith("consumer/") for key in keys)
        signs.keep(set(keys))
        wanted_, phases = _wanted(here, known), migrations.by_phase()
        alarmed = dict(_alarmed(Events(store), since=self.clock.wall() - OLD.total_seconds()))
        return Records(works, phases, wanted_, len(meters), lapsing, alarmed, meters)

    def _work(
        self, kind: Kind, all_: Sequence[Tallied], units: Units, signs: Stillness, keys: set[str]
    ) -> Work:
        tallied = [(m, sums) for m, sums in all_ if m.kind == kind]
        free = [(m, sums) for m, sums in tallied if m.hold is None]
        open_, still, now = sum(sums.open for _, sums in free), 0.0, self.clock.wall()
        if open_:  # idleness is no stillness
            keys.add(key := f"progress/{kind.value}")
            still = signs.of(key, mark(free)).total_seconds()
        due = [at for m, sums in free if sums.queued and (at := units.oldest_due(m)) is not None]
        items, size = self.moved.of(kind)
        return Work(
            units={
                state: sum(getattr(sums, state.value) for _, sums in tallied) for state in State
            },
            open=open_,
            items=items,
            bytes=size,
            due=max(0.0, now - min(due)) if due else None,
            still=still,
        )

    def _meters(
        self, consumers: Consumers, here: Settings, signs: Stillness, keys: set[str]
    ) -> dict[str, Mapping[str, int]]:
        """What each living consumer says of itself; earlier versions say nothing."""
        living = {}
        for consumer in consumers.all():
            keys.add(key := f"consumer/{consumer['id']}")
            if signs.of(key, str(consumer["beat"])) < here.lease:
                living[str(consumer["id"])] = consumer.get("counters") or {}
        return living

    def _lapsing(self, units: Units, here: Settings, signs: Stillness, keys: set[str]) -> int:
        lapsing = 0
        for unit in units.running():
            keys.add(key := f"unit/{unit.id}")
            lapsing += signs.of(key, f"{unit.epoch}.{unit.beat}") >= here.lease / 2
        return lapsing

    def _queue(self, here: Settings) -> Queue | None:
        if here.broker_url is None:
            return None
        with closing(Broker(here.broker())) as broker:
            waiting = dict(_waiting(broker))
            many, oldest = broker.unacknowledged()
        since = None if oldest is None else max(0.0, self.clock.wall() - oldest)
        return Queue(waiting, many, since)


def _alarmed(events: Events, *, since: float) -> Iterator[tuple[str, str]]:
    """Posts that a watchdog raised an alarm about and did not call it off. A host that was booted
    has forgotten: what nobody repeated for a day is over."""
    decided: set[tuple[str, str]] = set()
    for event in events.latest(FLEET, limit=LOOK):
        if event["at"] < since:
            return
        post = str(event.get("role")), str(event.get("post"))
        if event["what"] in (ALARMED, CALMED) and post not in decided:
            decided.add(post)
            if event["what"] == ALARMED:
                yield f"{post[0]} {post[1]}", event["why"]


def _waiting(broker: Broker) -> Iterator[tuple[Kind, int]]:
    for kind in Kind:
        yield kind, broker.waiting(PLANNERS[kind].queue)


def _wanted(here: Settings, known: int) -> int:
    """Consumers of the fleet: as was said, else those that did not sign off, and our host's."""
    if here.wanted:
        return here.wanted
    try:
        wish = wanted.read(here.home, role("consumer"))
    except Corrupt:  # no order to anybody; the watchdog says so
        wish = None
    return max(known, len(wish.posts()) if wish else 0)
