"""Consumers at rest: who is there, what each is doing, and a counter that shows it lives."""

from __future__ import annotations

from typing import Any

from common.clock import Clock
from common.store.base import Doc, Store


class Consumers:
    """The repository of consumers. Judged alive by the stillness of `beat`, never by `at`."""

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        self._documents = store.collection("consumers")
        self._clock = clock or Clock()

    def beat(self, name: str, **facts: Any) -> None:
        """Give a sign of life; `facts` (host, pid, unit, version, ...) replace the earlier ones."""
        at = self._clock.wall()
        self._documents.change({"id": name}, set={"at": at, **facts}, inc={"beat": 1}, upsert=True)

    def leave(self, name: str) -> None:
        """Sign off."""
        self._documents.remove({"id": name})

    def beats(self) -> list[tuple[str, int]]:
        """The name and the counter of everyone, and nothing else: read often, by the leader."""
        found = self._documents.find({}, order=("id",), fields=("beat",))
        return [(str(doc["id"]), int(doc["beat"])) for doc in found]

    def all(self) -> list[Doc]:
        """Everyone who ever gave a sign and did not sign off."""
        return list(self._documents.find({}, order=("id",)))
