"""The table of alarms: a condition over the facts, for how long it must hold, how grave it is, and
the page that ends it. Pure; what is not known raises nothing and resolves nothing.

The rules for Prometheus (`ops/prometheus/alerts.yml`) say the same; a test holds them together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from common.quantities import show_span
from ops.exporter.facts import Facts

STILL = timedelta(minutes=2)  # nothing moves
OLD = timedelta(days=1)  # a unit that is due
NAMED = 5  # posts in one notice
PAGES = "docs/runbooks"
Condition = Callable[[Facts], str | None]  # what is wrong; "": nothing; None: cannot be known


class Severity(StrEnum):
    CRITICAL = "critical"  # users wait: somebody gets up
    WARNING = "warning"  # somebody looks tomorrow


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table."""

    name: str
    condition: Condition
    lasts: timedelta
    severity: Severity
    page: str

    @property
    def runbook(self) -> str:
        return f"{PAGES}/{self.page}.md"


def no_progress(facts: Facts) -> str | None:
    """Units are open, nobody holds them, and nothing moves."""
    if facts.records is None:
        return None
    return _joined(
        f"no progress of {kind.value} for {show_span(work.still)}, {work.open} units are open"
        for kind, work in facts.records.works.items()
        if work.open and work.still >= STILL.total_seconds()
    )


def quarantined(facts: Facts) -> str | None:
    """Units wait for a person."""
    if facts.records is None:
        return None
    return _joined(
        f"units of {kind.value} in quarantine: {work.quarantined}"
        for kind, work in facts.records.works.items()
        if work.quarantined
    )


def consumers_missing(facts: Facts) -> str | None:
    """Fewer consumers live than there should be."""
    if facts.records is None:
        return None
    alive, wanted = facts.records.alive, facts.records.wanted
    return f"{alive} of {wanted} consumers are alive" if alive < wanted else ""


def post_alarmed(facts: Facts) -> str | None:
    """A watchdog cannot keep something alive by itself."""
    if facts.records is None:
        return None
    said = [f"{post}: {why}" for post, why in sorted(facts.records.alarmed.items())]
    more = [f"and {len(said) - NAMED} more"] if len(said) > NAMED else []
    return _joined(said[:NAMED] + more)


def queue_empty(facts: Facts) -> str | None:
    """Units are due, and nobody puts them into the queue."""
    if facts.records is None or (facts.queue is None and not facts.idle):
        return None
    waiting = facts.queue.waiting if facts.queue else {}
    return _joined(
        f"units of {kind.value} have been due for {show_span(work.due)}, and its queue is empty"
        for kind, work in facts.records.works.items()
        if work.due and not waiting.get(kind)
    )


def backlog(facts: Facts) -> str | None:
    """The fleet is too small for what it was given."""
    if facts.records is None:
        return None
    return _joined(
        f"a unit of {kind.value} has been due for {show_span(work.due)}"
        for kind, work in facts.records.works.items()
        if work.due and work.due > OLD.total_seconds()
    )


def store_away(facts: Facts) -> str | None:
    return "the store does not answer" if facts.records is None else ""


def broker_away(facts: Facts) -> str | None:
    return "the broker does not answer" if facts.queue is None and not facts.idle else ""


_NOW, _MINUTE = timedelta(0), timedelta(minutes=1)
RULES: Sequence[Rule] = (
    Rule("NoProgress", no_progress, _NOW, Severity.CRITICAL, "no-progress"),
    Rule("QueueEmpty", queue_empty, 2 * _MINUTE, Severity.CRITICAL, "queue-empty"),
    Rule("StoreAway", store_away, _MINUTE, Severity.CRITICAL, "store-away"),
    Rule("BrokerAway", broker_away, _MINUTE, Severity.CRITICAL, "broker-lost"),
    Rule("ConsumersMissing", consumers_missing, 3 * _MINUTE, Severity.WARNING, "consumers-die"),
    Rule("PostAlarmed", post_alarmed, _NOW, Severity.WARNING, "consumers-die"),
    Rule("Quarantine", quarantined, _NOW, Severity.WARNING, "quarantine"),
    Rule("Backlog", backlog, 10 * _MINUTE, Severity.WARNING, "backlog"),
)


def _joined(found: Iterable[str]) -> str:
    return "; ".join(found)
