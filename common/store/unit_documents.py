"""How a unit is kept as a document, both ways."""

from __future__ import annotations

from common import ids
from common.lifecycle.units import UNIT, State
from common.model import Draft, Kind, Migration, Unit
from common.store.base import Doc


def fresh(migration: Migration, draft: Draft, now: float) -> Doc:
    doc: Doc = {
        "id": ids.unit_id(migration.id, migration.generation, draft.job, draft.key, draft.name),
        "migration": migration.id,
        "generation": migration.generation,
        "kind": migration.kind.value,
        "job": draft.job,
        "key": draft.key,
        "group": draft.group,
        "after": list(draft.after),
        "wakes": draft.wakes,
        "rank": draft.rank,
        "state": UNIT.start.value,
        "epoch": 1,
        "attempts": 0,
        "owner": "",
        "beat": 0,
        "due_at": None if draft.after else now,
        "reason": "",
        "data": dict(draft.data),
        "history": [],
    }
    return doc


def loaded(doc: Doc) -> Unit:
    return Unit(
        id=doc["id"],
        migration=doc["migration"],
        generation=doc["generation"],
        kind=Kind(doc["kind"]),
        job=doc["job"],
        key=doc["key"],
        group=doc["group"],
        after=tuple(doc["after"]),
        wakes=doc["wakes"],
        state=State(doc["state"]),
        epoch=doc["epoch"],
        attempts=doc["attempts"],
        owner=doc["owner"],
        beat=doc["beat"],
        reason=doc["reason"],
        data=doc["data"],
        rank=doc.get("rank", 0),  # units of earlier versions have none
    )
