"""Where a replica may go: every candidate with every rule that speaks against it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from common.lifecycle.partitions.record import Record
from producer.partitions.facts import Candidate, Knobs, View


class Verdict(NamedTuple):
    """A candidate, why not, and which tokens are out just now; chosen is one with neither."""

    candidate: Candidate
    reasons: tuple[str, ...]
    lacking: tuple[str, ...]


def verdicts(record: Record, view: View, knobs: Knobs) -> list[Verdict]:
    """All candidates, the best first: in the source's nodeset, then its zone, then most free."""
    near = next((c for c in view.candidates if c.host == record.source), None)
    found = [
        Verdict(c, tuple(_against(record, c, view, knobs)), tuple(_lacking(record, c, view)))
        for c in view.candidates
    ]
    return sorted(found, key=lambda verdict: _order(verdict, near))


def chosen(record: Record, view: View, knobs: Knobs) -> Verdict | None:
    """The best candidate that nothing speaks against, and if possible one that need not wait."""
    fit = [verdict for verdict in verdicts(record, view, knobs) if not verdict.reasons]
    return next((v for v in fit if not v.lacking), fit[0] if fit else None)


def keys(record: Record, target: Candidate) -> tuple[str, ...]:
    """The token documents of a move. They are kept in the record as they are, never taken apart:
    a disk's path may hold whatever it likes."""
    source = (f"source {record.source} {record.source_disk}",) if record.source else ()
    return (f"nodeset {target.nodeset}", *source, f"target {target.host} {target.disk}")


def _order(verdict: Verdict, near: Candidate | None) -> tuple[object, ...]:
    some = verdict.candidate
    away = (some.nodeset != near.nodeset, some.zone != near.zone) if near else (False, False)
    return (bool(verdict.reasons), *away, -some.free_bytes, some.host, some.disk)


def _against(record: Record, some: Candidate, view: View, knobs: Knobs) -> Iterable[str]:
    if some.host in record.hosts:
        yield "holds a replica already"
    elif view.of(some.host).epoch and some.host not in record.learners:
        yield "has an old copy, which was not put aside yet"
    if not some.alive:
        yield "gives no sign of life"
    if not some.writable:
        yield "its disk takes no writes"
    if some.draining:
        yield "is being decommissioned"
    if some.host in record.excluded:
        yield "was tried and failed"
    if record.specified and some.host != record.specified:
        yield f"is not {record.specified}, which was asked for"
    if some.free_bytes < knobs.least_free_bytes:
        yield f"has less than {knobs.least_free_bytes} bytes free"


def _lacking(record: Record, some: Candidate, view: View) -> Iterable[str]:
    entry = (record.id, record.attempt)
    for key in keys(record, some):
        tokens = view.tokens.get(key)
        if tokens and not tokens.free and not tokens.has(entry):
            yield key
