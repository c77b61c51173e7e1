"""The facts as Prometheus metrics. Labels come from enums and from consumers' names, which a fleet
has few of; never from users, units or migrations.

What could not be looked at is left out, so that no graph shows a zero that nobody measured;
`convoy_store_up` and `convoy_broker_up` say why.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from common.lifecycle.registry import LIFECYCLES
from common.lifecycle.units import State
from common.model import Kind
from ops.exporter.facts import Facts, Queue, Records
from ops.exporter.look import Observer

FRESH = timedelta(seconds=5)  # however many scrape us, nobody is asked more often
SHARE = 10  # looks may take a tenth of the time, not more
PROMPT = timedelta(seconds=2)  # a look that is quicker is waited for
LATE = timedelta(minutes=1)  # a look that is so much overdue is waited for as well
METERS = {  # of `consumer.meter`: name, label and meaning
    "units": ("units", "outcome", "Deliveries of units, by how they ended"),
    "items": ("items", "outcome", "Items of units that were worked on"),
    "bytes": ("bytes", "outcome", "Bytes of items that were worked on"),
    "failures": ("failures", "reason", "Units given back or parked, by the kind of error"),
    "microseconds": ("seconds", "phase", "Time spent on units, by what was done"),
}


@dataclass(slots=True)
class Cache:
    """The last look, renewed when it is too old and its cost allows. For many threads.

    A look that takes long is taken behind the scrapes, which get the last one meanwhile; but never
    one that is so old that it hides a store that hangs: then they wait, and are seen to.
    """

    observer: Observer
    _last: Facts | None = None
    _at: float = 0.0
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def facts(self) -> Facts:
        """Facts of a moment ago."""
        last = self._last
        if last is None or last.spent < PROMPT.total_seconds() or self._over(last, LATE):
            with self._turn:
                return self._renewed()
        if self._over(last) and self._turn.acquire(blocking=False):
            threading.Thread(target=self._behind, daemon=True).start()
        return last

    def _over(self, last: Facts, more: timedelta = timedelta(0)) -> bool:
        age = max(FRESH.total_seconds(), SHARE * last.spent) + more.total_seconds()
        return self.observer.clock.tick() >= self._at + age

    def _renewed(self) -> Facts:
        if self._last is None or self._over(self._last):
            self._last, self._at = self.observer.look(), self.observer.clock.tick()
        return self._last

    def _behind(self) -> None:
        try:
            self._renewed()
        finally:
            self._turn.release()


@dataclass(frozen=True, slots=True, eq=False)  # a registry keeps it as itself
class Fleet(Collector):
    """What a scrape asks."""

    cache: Cache

    def collect(self) -> Iterable[Metric]:
        return families(self.cache.facts())

    def describe(self) -> Iterable[Metric]:
        """Nothing is looked at when we are registered."""
        return []


def families(facts: Facts) -> Iterator[Metric]:
    """Every metric that these facts allow."""
    yield _gauge("store_up", "1 if the store answers", int(facts.records is not None))
    if not facts.idle:
        yield _gauge("broker_up", "1 if the broker answers", int(facts.queue is not None))
    yield _gauge("look_seconds", "How long the last look at store and broker took", facts.spent)
    if facts.records is not None:
        yield from _works(facts.records)
        yield from _fleet(facts.records)
        yield from _consumers(facts.records)
    if facts.queue is not None:
        yield from _queue(facts.queue)


def _works(records: Records) -> Iterator[Metric]:
    units = GaugeMetricFamily(
        "convoy_units", "Units of migrations that are not at an end", labels=["kind", "state"]
    )
    open_ = _by_kind("open_units", "Units to be done, of migrations that nobody holds")
    due = _by_kind("unit_due_age_seconds", "For how long the longest due unit has been due")
    still = _by_kind("progress_age_seconds", "Since when nothing of what is open moved")
    items = CounterMetricFamily("convoy_items_moved", "Items moved", labels=["kind"])
    size = CounterMetricFamily("convoy_moved_bytes", "Bytes moved", labels=["kind"])
    for kind, work in records.works.items():
        for state in State:
            units.add_metric([kind.value, state.value], work.units.get(state, 0))
        open_.add_metric([kind.value], work.open)
        due.add_metric([kind.value], work.due or 0)
        still.add_metric([kind.value], work.still)
        items.add_metric([kind.value], work.items)
        size.add_metric([kind.value], work.bytes)
    yield from (units, open_, due, still, items, size)


def _fleet(records: Records) -> Iterator[Metric]:
    phases = GaugeMetricFamily("convoy_migrations", "Migrations", labels=["kind", "phase"])
    for kind in Kind:
        table = LIFECYCLES[kind]
        for phase in sorted({table.start, *table.reachable(table.start)}):
            phases.add_metric([kind.value, phase], records.phases.get((kind, phase.value), 0))
    yield phases
    yield _gauge("consumers_wanted", "Consumers that there should be", records.wanted)
    yield _gauge("consumers_alive", "Consumers that gave a sign within a lease", records.alive)
    said = "Posts that a watchdog raised an alarm about, and did not call it off"
    yield _gauge("posts_alarmed", said, len(records.alarmed))
    said = "Units whose holder has been silent for half a lease or longer"
    yield _gauge("leases_lapsing", said, records.lapsing)


def _consumers(records: Records) -> Iterator[Metric]:
    """Counters start again with the process, which Prometheus knows how to read."""
    found = {
        what: CounterMetricFamily(f"convoy_consumer_{name}", said, labels=["consumer", label])
        for what, (name, label, said) in METERS.items()
    }
    for consumer, counters in records.meters.items():
        for key, many in counters.items():
            what, _, which = key.partition("/")
            if what in found:  # a later version may count more than we know
                scaled = many / 1e6 if what == "microseconds" else many
                found[what].add_metric([consumer, which], scaled)
    yield from found.values()


def _queue(queue: Queue) -> Iterator[Metric]:
    waiting = _by_kind("queue_messages", "Messages that no consumer was handed yet")
    for kind, many in queue.waiting.items():
        waiting.add_metric([kind.value], many)
    yield waiting
    said = "Messages that consumers were handed and did not acknowledge"
    yield _gauge("unacknowledged_messages", said, queue.unacknowledged)
    said = "Since when the oldest of these is out"
    yield _gauge("unacknowledged_age_seconds", said, queue.oldest or 0)


def _gauge(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(f"convoy_{name}", said, value=value)


def _by_kind(name: str, said: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"convoy_{name}", said, labels=["kind"])
