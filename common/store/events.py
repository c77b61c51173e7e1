"""Events: what people did and what the fleet decided, for the audit trail and the page."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from common.clock import Clock
from common.legible import legible
from common.store.base import Doc, Scalar, Store, Where


class Events:
    """The repository of events; append only."""

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        self._documents = store.collection("events")
        self._clock = clock or Clock()

    def add(self, migration: str, what: str, *, by: str, why: str = "", **facts: Any) -> None:
        """Note that `by` did `what` to a migration (`noun.past`, like `unit.quarantined`)."""
        line: Doc = {"migration": migration, "at": self._clock.wall(), "what": what, "by": by}
        self._documents.insert(line | {"id": uuid.uuid4().hex, "why": legible(why), **facts})

    def of(self, migration: str) -> Iterator[Doc]:
        """Everything that happened to a migration, oldest first, streamed."""
        return self._documents.find({"migration": migration}, order=("at", "id"))

    def latest(
        self, migration: str, *, limit: int = 0, after: Sequence[Scalar] | None = None
    ) -> Iterator[Doc]:
        """The newest first; `after` is (at, id) of the last one seen."""
        where: Where = {"migration": migration}
        return self._documents.find(where, order=("-at", "-id"), limit=limit, after=after)
