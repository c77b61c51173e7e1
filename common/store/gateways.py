"""Gateways: which of them live, and which epoch of each bucket they have confirmed.

A gateway's counter rises while its lease holds; only the leader judges that it stood still. What a
gateway has confirmed is the epoch of the oldest request it still has in hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from common.store.base import Store


@dataclass(frozen=True, slots=True)
class Gateway:
    """One process."""

    id: str
    beat: int
    seen: Mapping[str, int]  # by bucket
    in_hand: Mapping[str, int]  # requests, by bucket
    wrote: Mapping[str, int]  # writes since it started, by bucket


class Gateways:
    """The repository."""

    def __init__(self, store: Store) -> None:
        self._documents = store.collection("gateways")

    def beat(
        self,
        name: str,
        seen: Mapping[str, int],
        in_hand: Mapping[str, int],
        wrote: Mapping[str, int],
    ) -> None:
        """A sign of life, and what is confirmed."""
        fields: dict[str, Any] = {"seen": dict(seen), "in_hand": dict(in_hand)}
        fields["wrote"] = dict(wrote)
        self._documents.change({"id": name}, set=fields, inc={"beat": 1}, upsert=True)

    def leave(self, name: str) -> None:
        """An orderly end: nobody waits for it any more."""
        self._documents.remove({"id": name})

    def all(self) -> Iterator[Gateway]:
        for doc in self._documents.find({}):
            yield Gateway(doc["id"], doc["beat"], doc["seen"], doc["in_hand"], doc["wrote"])
