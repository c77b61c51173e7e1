"""One migration from near: its phases, units, heat map, throughput, failures and history.

Whatever would cost more with the size of the migration is bounded: read in pages, drawn from a
sample, or cut off with a word that there is more. What is dear is kept for a while (`Kept`).
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice, pairwise
from typing import Any, TypeVar

from common.clock import Clock
from common.lifecycle.registry import LIFECYCLES
from common.lifecycle.units import State
from common.model import Migration, Sums
from common.store.base import Doc
from ops import report as reports
from ops import wishes
from ops.centre.rows import Row, seal, unseal
from ops.desk import Desk

QUICK = 20_000  # units that are counted while somebody waits
SAMPLE = 20_000  # units that a heat map is made of, if there are more
CELLS = 1_000
POINTS = 720  # of a graph
LISTED = 10_000  # failures that are grouped
GROUPS, EXAMPLES = 100, 5
PAGE = 500
MIRRORED = {  # events that stand in the record's own history as well
    f"migration.{word}" for word in (*wishes.WORDS.values(), "cancelled", "limited", "planned")
}
T = TypeVar("T")
_VARIABLE = re.compile(r"'[^']*'|\"[^\"]*\"|/[^\s:,;]+|\b[0-9a-f]{8,}\b|\d+")


@dataclass(slots=True)
class Keeping:
    """One dear answer, and until when it is good."""

    until: float = -math.inf
    value: Any = None
    turn: threading.Lock = field(default_factory=threading.Lock)


@dataclass(slots=True)
class Kept:
    """Dear answers, kept for as long as their cost says; of too many, the longest unasked go."""

    clock: Clock
    most: int = 200
    least: float = 1.0  # seconds
    share: int = 9
    _kept: dict[Any, Keeping] = field(default_factory=dict)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def of(self, key: Any, make: Callable[[], T]) -> T:
        """What `make` says, or said a while ago. Those who ask the same wait for the one of them
        who makes it; nobody waits for another answer."""
        with self._turn:
            keeping = self._kept.pop(key, None) or Keeping()
            self._kept[key] = keeping  # the youngest now
            while len(self._kept) > self.most:
                del self._kept[next(iter(self._kept))]
        with keeping.turn:
            began = self.clock.tick()
            if began >= keeping.until:
                keeping.value = make()
                spent = self.clock.tick() - began
                keeping.until = began + spent + max(self.least, spent * self.share)
            found: T = keeping.value
            return found


def whole(
    here: Desk, migration: Migration, row: Row | None, jobs: Mapping[str, Sums] | None
) -> dict[str, Any]:
    """All that there is to say of one migration but lists. A huge one is as it was counted last
    (`jobs`), and its figures are None before that."""
    if migration.planned <= QUICK:
        jobs = here.units.by_job(migration)
    return (
        (row or {})
        | _numbers(jobs)
        | reports.heading(migration)
        | {
            "name": migration.id,
            "over": wishes.ended(migration),
            "started": migration.started,
            "ended": migration.ended,
            "since": migration.since,
            "options": dict(migration.options),
            "limits": dict(migration.limits),
            "planned": migration.planned,
            "refused": migration.refused,
            "refusals": [list(refusal) for refusal in migration.refusals[:PAGE]],
            "notices": list(migration.notices),
            "past": [dict(generation) for generation in migration.past],
            "phases": phases(migration),
            "gate": None,  # no kind of this version waits for an approval
        }
    )


def _numbers(jobs: Mapping[str, Sums] | None) -> dict[str, Any]:
    if jobs is None:
        return {"units": None, "items": None, "bytes": None, "jobs": {}}
    counts = reports.overall(jobs)
    return {
        "units": reports.units_of(reports.total(jobs)),
        "items": reports.items_of(counts),
        "bytes": {"total": counts.bytes, "moved": counts.bytes_moved},
        "jobs": {job: reports.units_of(sums) for job, sums in jobs.items()},
    }


def phases(migration: Migration) -> dict[str, Any]:
    """The state diagram: from the table that governs it, with the present state."""
    table = LIFECYCLES[migration.kind]
    names = dict.fromkeys(
        [table.start.value, *(state.value for e in table.edges for state in (e.source, e.target))]
    )
    ends = {state.value for state in table.ends()}
    return {
        "nodes": [{"id": n, "start": n == table.start.value, "end": n in ends} for n in names],
        "edges": [
            {"from": e.source.value, "to": e.target.value, "event": e.event.value}
            for e in table.edges
        ],
        "present": migration.phase,
    }


def units(
    here: Desk, migration: Migration, *, state: State | None, text: str, limit: int, after: str
) -> dict[str, Any]:
    """A page of units in the order of their IDs; `text` is a unit's ID or a user, whole."""
    limit = max(1, min(limit, PAGE))
    behind = str(unseal(after, [str])[0]) if after else ""
    found = list(
        here.unit_looks.page(migration, state=state, text=text, behind=behind, limit=limit + 1)
    )
    more = len(found) > limit
    found = found[:limit]
    return {
        "rows": [_unit(doc) for doc in found],
        "next": seal([found[-1]["id"]]) if more else "",
    }


def _unit(doc: Doc) -> Row:
    return {
        "id": doc["id"],
        "user": doc["key"],
        "job": doc["job"],
        "state": doc["state"],
        "attempts": doc["attempts"],
        "epoch": doc["epoch"],
        "owner": doc["owner"],
        "reason": doc["reason"],
        "due_at": doc["due_at"],
        "claimed_at": doc.get("claimed_at"),
        "seconds": doc.get("seconds"),
        "items": doc.get("items"),
        "bytes": doc.get("bytes"),
        "failed": doc.get("failed"),
        "history": doc["history"],
    }


def heat(here: Desk, migration: Migration, cells: int) -> dict[str, Any]:
    """Units in the order of their users, gathered into cells; all of them, or a sample."""
    cells = max(1, min(cells, CELLS))
    fields = ("key", "state", "failed", "job")
    docs = here.unit_looks.sample(migration, SAMPLE, fields=fields)
    sampled = len(docs) == SAMPLE
    if sampled:  # what needs a person is never left to chance
        seen = {doc["id"] for doc in docs}
        parked = here.units.of(migration, State.QUARANTINED, fields=fields)
        docs += [doc for doc in islice(parked, SAMPLE) if doc["id"] not in seen]
    docs.sort(key=lambda doc: (doc["key"], doc["id"]))
    many = min(cells, len(docs))
    bounds = [len(docs) * n // many for n in range(many + 1)] if many else []
    found = [_cell(docs[a:b]) for a, b in pairwise(bounds)]
    return {"cells": found, "units": len(docs), "sampled": sampled}


def _cell(docs: Sequence[Doc]) -> Row:
    states = [doc["state"] for doc in docs]
    return {
        "from": docs[0]["key"],
        "to": docs[-1]["key"],
        "total": len(docs),
        **{state.value: states.count(state.value) for state in State},
        "failed": sum(doc["failed"] or 0 for doc in docs),
    }


def rates(here: Desk, migration: Migration) -> dict[str, Any]:
    """Per second, by minutes in which units were finished; several minutes together if long."""
    rows = here.unit_looks.by_minute(migration)
    if not rows:
        return {"step": 60, "points": []}
    first, last = rows[0][0], rows[-1][0]
    width = -(-(last - first + 1) // POINTS)  # minutes of one point
    sums: dict[int, list[int]] = {}
    for minute, *numbers in rows:
        place = sums.setdefault((minute - first) // width, [0, 0, 0])
        place[:] = [a + b for a, b in zip(place, numbers, strict=True)]
    step = width * 60
    return {"step": step, "points": [_point(first, n, width, sums) for n in range(max(sums) + 1)]}


def _point(first: int, number: int, width: int, sums: Mapping[int, list[int]]) -> Row:
    units_, items, size = (value / (width * 60) for value in sums.get(number, (0, 0, 0)))
    return {"at": (first + number * width) * 60, "units": units_, "items": items, "bytes": size}


def failures(here: Desk, migration: Migration) -> dict[str, Any]:
    """What did not arrive, grouped by why: reasons that differ in names and numbers are one."""
    groups: dict[str, Row] = {}
    many = 0
    rows = reports.failures(here, migration)
    for each in islice(rows, LISTED):
        many += 1
        reason = str(each["reason"]).removeprefix(f"{each['item']}: ")
        key = _VARIABLE.sub("…", reason)
        if key not in groups and len(groups) == GROUPS:
            key = "others"
        group = groups.setdefault(
            key, {"reason": key, "advice": each["advice"], "count": 0, "examples": []}
        )
        group["count"] += 1
        if len(group["examples"]) < EXAMPLES:
            group["examples"].append(each)
    more = next(rows, None) is not None
    ordered = sorted(groups.values(), key=lambda group: -int(group["count"]))
    return {"groups": ordered, "total": many, "more": more}


def history(here: Desk, migration: Migration, *, limit: int, after: str) -> dict[str, Any]:
    """Every change of the record and every event, the newest first."""
    limit = max(1, min(limit, PAGE))
    behind = unseal(after, [(int, float), str]) if after else None
    lines = [
        _line(line, f"{number:06}")
        for number, line in enumerate(here.migrations.history(migration.id))
    ]
    ours = sorted(lines, key=_newest, reverse=True)
    if behind is not None:
        ours = [line for line in ours if _newest(line) < tuple(behind)]
    both = merge(ours, _events(here, migration, behind), key=_newest, reverse=True)
    found = list(islice(both, limit + 1))
    more = len(found) > limit
    found = found[:limit]
    return {"rows": found, "next": seal(_newest(found[-1])) if more else ""}


def _events(here: Desk, migration: Migration, behind: list[Any] | None) -> Iterator[Row]:
    for doc in here.events.latest(migration.id, after=behind):
        if doc["what"] not in MIRRORED:
            facts = {k: v for k, v in doc.items() if k not in _SAID}
            yield _line(doc, doc["id"]) | {"facts": facts}


_SAID = ("id", "migration", "at", "what", "by", "why")


def _line(line: Doc, id: str) -> Row:
    return {
        "id": id,
        "at": line["at"],
        "who": str(line.get("by") or ""),
        "what": str(line.get("what") or line.get("event") or ""),
        "why": str(line.get("why") or ""),
        "from": line.get("from"),
        "to": line.get("to"),
        "facts": {},
    }


def _newest(line: Row) -> tuple[float, str]:
    return line["at"], line["id"]
