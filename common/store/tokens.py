"""Tokens at rest: one document per nodeset and disk, which names its holders.

Whoever changes one writes what it becomes, on the version that was seen; so the limit is judged on
exactly what is changed.
"""

from __future__ import annotations

from collections.abc import Callable

from common.errors import Conflict
from common.store.base import Store

Held = tuple[tuple[str, int], ...]
_TRIES = 20


class TokenDocuments:
    """The repository of tokens."""

    def __init__(self, store: Store) -> None:
        self._documents = store.collection("tokens")

    def held(self) -> dict[str, Held]:
        """Every document's holders."""
        return {str(doc["id"]): _held(doc["held"]) for doc in self._documents.find({})}

    def change(self, key: str, act: Callable[[Held], Held | None]) -> bool:
        """Make the holders what `act` says of those there are; False if it says None."""
        for _ in range(_TRIES):
            doc = self._documents.get(key)
            if doc is None:
                self._documents.insert({"id": key, "version": 0, "held": []})
                continue
            new = act(_held(doc["held"]))
            if new is None:
                return False
            seen = {"id": key, "version": doc["version"]}
            held = [list(entry) for entry in new]
            if self._documents.change(seen, set={"held": held}, inc={"version": 1}):
                return True
        raise Conflict(f"tokens of {key} are changed all the time")


def _held(entries: list[list[str | int]]) -> Held:
    return tuple((str(id), int(attempt)) for id, attempt in entries)
