"""Partitions at rest: one document each, and every change of it a compare-and-set on its version.

What a record becomes is said by pure functions (`common.lifecycle.partitions.record`, and the
producer's judgements); here it is only written, or not. A record that cannot be found is no order
to remove anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, get_type_hints

from common.clock import Clock
from common.errors import Conflict, Missing
from common.lifecycle.partitions.partition import Restore
from common.lifecycle.partitions.record import Record
from common.store.base import Doc, Store, among, differs

_TYPES = get_type_hints(Record)
_TRIES = 10


class Partitions:
    """The repository of partitions."""

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        self._documents = store.collection("partitions")
        self._clock = clock or Clock()

    def create(self, record: Record) -> bool:
        """A new partition; False if there is one of this id."""
        return self._documents.insert(_doc(record) | {"history": []})

    def get(self, id: str) -> Record:
        """One partition; Missing if there is none of this id."""
        doc = self._documents.get(id)
        if doc is None:
            raise Missing(f"no partition {id!r}", hint="look at the list of partitions")
        return _record(doc)

    def some(self, ids: Iterable[str]) -> list[Record]:
        """Those of these that there are."""
        return [_record(doc) for doc in self._documents.find({"id": among(ids)})]

    def coming_to(self, host: str) -> list[Record]:
        """Those whose decommission aims at this host."""
        return [_record(doc) for doc in self._documents.find({"target": host})]

    def moving(self) -> Iterator[Record]:
        """Those that a decommission or self-heal has in hand."""
        return map(_record, self._documents.find({"restore": differs(Restore.STOP.value)}))

    def all(self) -> Iterator[Record]:
        """Every partition, by id."""
        return map(_record, self._documents.find({}, order=("id",)))

    def history(self, id: str) -> list[Doc]:
        """What it went through, oldest first."""
        doc = self._documents.get(id)
        return list(doc["history"]) if doc else []

    def write(self, record: Record, *, by: str) -> Record:
        """Make the record this; Conflict unless it is at the version just before."""
        line = {"at": self._clock.wall(), "by": by, "status": record.status.value}
        line |= {"step": record.step.value, "epoch": record.epoch, "why": record.why}
        doc = self._documents.change(
            {"id": record.id, "version": record.version - 1},
            set={k: v for k, v in _doc(record).items() if k != "id"},
            push={"history": line},
        )
        if doc is None:
            raise Conflict(f"partition {record.id} is no longer at version {record.version - 1}")
        return record

    def change(self, id: str, act: Callable[[Record], Record], *, by: str) -> Record:
        """What `act` makes of the record as it is, again if somebody else was first."""
        for _ in range(_TRIES):
            try:
                return self.write(act(self.get(id)), by=by)
            except Conflict:
                continue
        raise Conflict(f"partition {id} is changed all the time")


def _doc(record: Record) -> Doc:
    fields = record._asdict().items()
    return {k: list(v) if isinstance(v, tuple) else v for k, v in fields}


def _record(doc: Doc) -> Record:
    return Record(**{name: _as(kind, doc[name]) for name, kind in _TYPES.items()})


def _as(kind: Any, value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else kind(value)
