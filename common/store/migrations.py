"""Migrations at rest. `advance` is the only way a phase ever changes.

One document per migration, over all its generations. Holds and limits are operator's wishes on
the record; what units did is summed from the units, never kept here twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from common import ids
from common.clock import Clock
from common.errors import Conflict, Missing
from common.lifecycle.registry import LIFECYCLES
from common.model import Hold, Kind, Migration
from common.store.base import Doc, Filter, Store, above, among, at_least

PAST_KEPT = 50  # generations that stay on the record


@dataclass(frozen=True, slots=True)
class Brief:
    """What a list shows of a migration, without its history: small whatever happened to it."""

    id: str
    kind: Kind
    source: str
    target: str
    tenant: str
    phase: str
    version: int
    generation: int
    created: float
    started: float
    ended: float | None
    hold: Hold | None
    limits: Mapping[str, Any]
    planned: int
    refused: int

    @property
    def over(self) -> bool:
        """Is its present generation at an end?"""
        table = LIFECYCLES[self.kind]
        return table.state(self.phase) in table.ends()


_BRIEF = tuple(field.name for field in dataclasses.fields(Brief) if field.name != "id")


class Migrations:
    """The repository of migrations."""

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        self._documents = store.collection("migrations")
        self._clock = clock or Clock()

    def create(
        self,
        kind: Kind,
        source: str,
        target: str,
        *,
        tenant: str = "",
        options: Mapping[str, Any] | None = None,
        limits: Mapping[str, Any] | None = None,
    ) -> Migration:
        """The migration of this kind, source and target: a new one, or the one there is."""
        now = self._clock.wall()
        self._documents.insert(
            {
                "id": ids.migration_id(kind, source, target),
                "kind": kind.value,
                "source": source,
                "target": target,
                "phase": LIFECYCLES[kind].start.value,
                "version": 0,
                "generation": 1,
                "since": now,
                "touched": now,
                "created": now,
                "started": now,
                "ended": None,
                "tenant": tenant,
                "hold": None,
                "options": dict(options or {}),
                "limits": dict(limits or {}),
                "planned": 0,
                "cursor": None,
                "notices": [],
                "refused": 0,
                "refusals": [],
                "past": [],
                "history": [],
            }
        )
        return self.get(ids.migration_id(kind, source, target))

    def get(self, migration: str) -> Migration:
        """One migration; Missing if there is none of this name."""
        doc = self._documents.get(migration)
        if doc is None:
            raise Missing(f"no migration {migration!r}", hint="see `convoy list`")
        return _load(doc)

    def history(self, migration: str) -> list[Doc]:
        """Who did what and when, oldest first."""
        doc = self._documents.get(migration)
        return list(doc["history"]) if doc else []

    def all(self) -> Iterator[Migration]:
        """Every migration, the newest generation first."""
        for doc in self._documents.find({}, order=("-started",)):
            yield _load(doc)

    def briefs(self, *, touched: float | None = None) -> Iterator[Brief]:
        """Every migration in short; or those whose record changed at this time or later, by the
        clock of whoever changed it."""
        where: Filter = {} if touched is None else {"touched": at_least(touched)}
        for doc in self._documents.find(where, fields=_BRIEF):
            yield _brief(doc)

    def active(self) -> list[Migration]:
        """Those whose phase is no end."""
        found = []
        for kind, table in LIFECYCLES.items():
            open_ = {table.start, *table.reachable(table.start)} - table.ends()
            phases = among(sorted(state.value for state in open_))
            found += list(self._documents.find({"kind": kind.value, "phase": phases}))
        return [_load(doc) for doc in found]

    def by_phase(self) -> dict[tuple[Kind, str], int]:
        """How many migrations of each kind are in which phase, those at an end too."""
        rows = self._documents.tally({}, by=("kind", "phase"))
        return {(Kind(str(kind)), str(phase)): many for (kind, phase), many, _ in rows}

    def advance(
        self, seen: Migration, event: StrEnum, *, by: str, why: str = "", **fields: Any
    ) -> Migration:
        """Apply `event` to the migration exactly as `seen`; Conflict if it moved since.

        The table decides what is legal, the filter decides who wins, and the history line lands
        in the same write, so that a transition can be neither lost nor unrecorded.
        """
        table, now = LIFECYCLES[seen.kind], self._clock.wall()
        after = table.after(table.state(seen.phase), event)
        fields.setdefault("ended", now if after in table.ends() else None)
        target = after.value
        line = {"at": now, "from": seen.phase, "event": event.value, "to": target}
        return self._write(
            seen, {"phase": target, "since": now, **fields}, line | {"by": by, "why": why}
        )

    def renew(self, seen: Migration, event: StrEnum, *, by: str, **fields: Any) -> Migration:
        """Begin the next generation; what this one was stays on the record in short."""
        brief = {"generation": seen.generation, "phase": seen.phase, "started": seen.started}
        now = self._clock.wall()
        fresh: Doc = {"started": now, "ended": None, "hold": None, "planned": 0, "cursor": None}
        past = [
            *map(dict, seen.past),
            {**brief, "ended": seen.ended, "options": dict(seen.options)},
        ]
        return self.advance(
            seen,
            event,
            by=by,
            generation=seen.generation + 1,
            past=past[-PAST_KEPT:],
            refused=0,
            refusals=[],
            **fresh,
            **fields,
        )

    def amend(
        self, seen: Migration, *, by: str, what: str, why: str = "", **fields: Any
    ) -> Migration:
        """Change wishes (hold, limits, options), not the phase; recorded like a transition."""
        line = {"at": self._clock.wall(), "event": what, "by": by} | ({"why": why} if why else {})
        return self._write(seen, fields, line)

    def _write(self, seen: Migration, fields: Mapping[str, Any], line: Doc) -> Migration:
        doc = self._documents.change(
            {"id": seen.id, "phase": seen.phase, "version": seen.version},
            set={"touched": self._clock.wall(), **fields},
            inc={"version": 1},
            push={"history": line},
        )
        if doc is None:
            raise Conflict(f"migration {seen.id} is no longer {seen.phase} at v{seen.version}")
        return _load(doc)

    def prunable(self, *, limit: int) -> list[tuple[str, int]]:
        """Migrations of which older generations may be removed: (id, the complete one)."""
        found = self._documents.find({"prunes": above(0)}, limit=limit, fields=("prunes",))
        return [(doc["id"], doc["prunes"]) for doc in found]

    def pruned(self, migration: str, complete: int) -> None:
        """Nothing is left that this complete generation made superfluous."""
        self._documents.change({"id": migration, "prunes": complete}, set={"prunes": None})

    def progress(self, migration: str, generation: int, *, planned: int, cursor: str) -> None:
        """Note how far planning got; only a hint for the next attempt, units are idempotent."""
        self._documents.change(
            {"id": migration, "generation": generation},
            set={"planned": planned, "cursor": cursor, "touched": self._clock.wall()},
        )


def _brief(doc: Doc) -> Brief:
    fields = {name: doc[name] for name in _BRIEF} | {
        "id": doc["id"],
        "kind": Kind(doc["kind"]),
        "hold": Hold(doc["hold"]) if doc["hold"] else None,
        "created": doc["created"] or doc["started"],  # older records say only the latter
    }
    return Brief(**fields)


def _load(doc: Doc) -> Migration:
    return Migration(
        id=doc["id"],
        kind=Kind(doc["kind"]),
        source=doc["source"],
        target=doc["target"],
        phase=doc["phase"],
        version=doc["version"],
        generation=doc["generation"],
        since=doc["since"],
        started=doc["started"],
        ended=doc["ended"],
        tenant=doc["tenant"],
        hold=Hold(doc["hold"]) if doc["hold"] else None,
        options=doc["options"],
        limits=doc["limits"],
        planned=doc["planned"],
        cursor=doc["cursor"],
        notices=tuple(doc["notices"]),
        refused=doc["refused"],
        refusals=tuple((line, text, reason) for line, text, reason in doc["refusals"]),
        past=tuple(doc["past"]),
    )
