"""The report of a migration's present generation: what arrived, what did not, and why.

Built from the store alone, so that any terminal says the same at any time. It never says
complete unless every line of the list, every unit and every item came out right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from heapq import merge
from itertools import chain, groupby, islice
from operator import add, itemgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from common.digest import Sum
from common.lifecycle.units import State
from common.lifecycle.users import Phase
from common.model import Counts, Failure, Migration, Sums
from common.store.base import Doc
from common.store.migrations import Brief
from ops.desk import Desk

VERIFY, FINAL, SWITCH, PROOF = "verify", "final", "switch", "proof"
LISTED = 10_000  # failures named in a report; `convoy failures` streams all
NOTICED = 1_000  # notices of units repeated in a report
REMARKED = 100  # kinds of remarks

Report = dict[str, Any]
Row = tuple[str, str, Failure | str]  # unit, user, and one failure or why the unit is parked


class Proofs(NamedTuple):
    """What the receipts of all units say together."""

    digest: str
    notices: list[str]
    last: float = 0.0  # when the last unit that ended was at work (seconds since the epoch)
    remarks: Mapping[str, int] = MappingProxyType({})


def report(desk: Desk, migration: Migration) -> Report:
    """Gather and compose; flat in memory however many units and failures there are."""
    jobs = desk.units.by_job(migration)
    proofs = _proofs(desk, migration, final=FINAL in jobs)
    rows = failures(desk, migration)
    listed = list(islice(rows, LISTED))
    more = sum(1 for _ in rows)
    return compose(migration, jobs, proofs, listed, more=more, now=desk.clock.wall())


def heading(migration: Migration | Brief) -> Report:
    """Which migration it is and where it stands: how every list, page and report begins."""
    return {
        "id": migration.id,
        "kind": migration.kind.value,
        "tenant": migration.tenant,
        "source": migration.source,
        "target": migration.target,
        "generation": migration.generation,
        "phase": migration.phase,
        "hold": migration.hold and migration.hold.value,
    }


def compose(
    migration: Migration,
    jobs: Mapping[str, Sums],
    proofs: Proofs,
    listed: list[Report],
    *,
    more: int,
    now: float,
) -> Report:
    """The report as one JSON object; pure."""
    sums, counts = total(jobs), overall(jobs)
    failed = len(listed) + more
    stopped = migration.phase == Phase.MOVING and sums.total and not sums.open
    ended = migration.ended or (proofs.last if stopped else now)
    done: Report = {
        **heading(migration),
        "pass": migration.options.get("pass", "move"),
        "check": migration.options.get("check", "md5"),
        "complete": migration.phase == Phase.DONE and not (failed or sums.quarantined or sums.open),
        "units": units_of(sums),
        "items": items_of(counts),
        "bytes": {"total": counts.bytes, "moved": counts.bytes_moved},
        "digest": proofs.digest if sums.total == sums.done else "",
        "started": migration.started,
        "ended": migration.ended,
        "seconds": round(max(0.0, ended - migration.started), 3),
        "refused": migration.refused,
        "failures": listed,
        "failures_total": failed,
        "notices": [*migration.notices, *proofs.notices],
        "remarks": dict(proofs.remarks),
    }
    if done["pass"] == VERIFY:
        done["verified"] = {"agree": counts.skipped, "differ": counts.failed}
    return done


def units_of(sums: Sums) -> dict[str, int]:
    """A generation's units by state."""
    return {
        "total": sums.total,
        "queued": sums.queued,
        "running": sums.running,
        "done": sums.done,
        "quarantined": sums.quarantined,
    }


def items_of(counts: Counts) -> dict[str, int]:
    """What became of the items."""
    return {
        "total": counts.items,
        "moved": counts.moved,
        "skipped": counts.skipped,
        "mended": counts.mended,
        "failed": counts.failed,
    }


def total(jobs: Mapping[str, Sums]) -> Sums:
    """All jobs together."""
    every = list(jobs.values())
    return Sums(
        queued=sum(s.queued for s in every),
        running=sum(s.running for s in every),
        done=sum(s.done for s in every),
        quarantined=sum(s.quarantined for s in every),
        counts=reduce(add, (s.counts for s in every), Counts()),
        live_items=sum(s.live_items for s in every),
        live_bytes=sum(s.live_bytes for s in every),
    )


def overall(jobs: Mapping[str, Sums]) -> Counts:
    """What became of the items, each counted once although hooks make two passes over it."""
    first, last, proof = (
        reduce(add, (s.counts for job, s in jobs.items() if stage(job) == name), Counts())
        for name in ("", FINAL, PROOF)
    )
    if FINAL not in jobs:
        return first
    seen = last if last.items >= first.items else first
    moved = min(seen.items, first.moved + last.moved)
    mended = first.mended + last.mended
    failed = max(first.failed, last.failed + proof.failed)
    return Counts(
        items=seen.items,
        moved=moved,
        skipped=max(0, seen.items - moved - mended - failed),
        mended=mended,
        failed=failed,
        bytes=seen.bytes,
        bytes_moved=min(seen.bytes, first.bytes_moved + last.bytes_moved),
    )


def stage(job: str) -> str:
    """Of which look at a user a job is: the first (""), the final one, or the proof after it."""
    if job in (FINAL, "prove", SWITCH):
        return FINAL if job == FINAL else PROOF
    return job.partition("-")[0] if "-" in job else ""


def failures(desk: Desk, migration: Migration) -> Iterator[Report]:
    """Everything that did not arrive, streamed: refused lines, then items and units by name."""
    refused = (
        _failure("", "", Failure(f"line {line}: {text}", reason, "mend the line and run again"))
        for line, text, reason in migration.refusals
    )
    return chain(refused, _unlisted(migration), _by_unit(desk, migration))


def _unlisted(migration: Migration) -> Iterator[Report]:
    if more := migration.refused - len(migration.refusals):
        text = f"{more} more lines of the list"
        yield _failure("", "", Failure(text, "refused", "mend the ones named and run again"))


def _by_unit(desk: Desk, migration: Migration) -> Iterator[Report]:
    """Both streams come in the order of the units' ids, so that memory stays flat."""
    named: Iterable[Row] = desk.failures.of(migration)
    parked: Iterable[Row] = (
        (doc["id"], doc["key"], doc["reason"])
        for doc in desk.units.of(migration, State.QUARANTINED, fields=("key", "reason"))
    )
    for unit, rows in groupby(merge(named, parked, key=itemgetter(0)), key=itemgetter(0)):
        said, why = False, None
        for _, user, row in rows:
            if isinstance(row, Failure):
                said = True
                yield _failure(unit, user, row)
            else:
                why = Failure(user, row, f"mend the cause, then `convoy requeue {migration.id}`")
        if why and not said:
            yield _failure(unit, why.item, why)


def _failure(unit: str, user: str, failure: Failure) -> Report:
    return {
        "unit": unit,
        "user": user,
        "item": failure.item,
        "reason": failure.reason,
        "advice": failure.advice,
    }


def _proofs(desk: Desk, migration: Migration, *, final: bool) -> Proofs:
    """With hooks only the last pass vouches for a user."""
    whole, last, more = Sum(), 0.0, 0
    notices: list[str] = []
    remarks: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for doc in _ended(desk, migration):
        last = max(last, (doc.get("claimed_at") or 0.0) + (doc.get("seconds") or 0.0))
        if doc["done"] and doc.get("items") and (stage(doc["job"]) == FINAL or not final):
            whole.merge(doc["digest"])
        remarks[stage(doc["job"]) == FINAL].update(dict(doc.get("remarks") or ()))
        for text in doc.get("notices") or ():
            if len(notices) < NOTICED:
                notices.append(f"{doc['key']}: {text}")
            else:
                more += 1
    if more:
        notices.append(f"{more} more notices")
    both = remarks[True] | remarks[False]  # of two passes over an item the one that says more
    return Proofs(whole.hex(), notices, last, dict(sorted(both.items())[:REMARKED]))


def _ended(desk: Desk, migration: Migration) -> Iterator[Doc]:
    fields = ("job", "key", "items", "digest", "notices", "remarks", "claimed_at", "seconds")
    for state in (State.DONE, State.QUARANTINED):
        for doc in desk.units.of(migration, state, fields=fields):
            yield doc | {"done": state is State.DONE}
