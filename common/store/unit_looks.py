"""Looks at units for people: pages, a sample, throughput, who holds what. Changes nothing.

Each is bounded, or one pass over one migration's units that the caller takes as rarely as it
costs. Units themselves are `common/store/units.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile

from common.lifecycle.units import State
from common.model import Migration
from common.store.base import Doc, Filter, Store, differs


class UnitLooks:
    """The repository of units, for those who only look."""

    def __init__(self, store: Store) -> None:
        self._documents = store.collection("units")

    def page(
        self,
        migration: Migration,
        *,
        state: State | None = None,
        text: str = "",
        behind: str = "",
        limit: int,
    ) -> Iterator[Doc]:
        """So many units of the generation behind an ID, in the order of their IDs; `text` is the
        key of all that are wanted, or the ID of one."""
        where: Filter = {"migration": migration.id, "generation": migration.generation}
        if state:
            where["state"] = state.value
        if text:
            where["id" if text.startswith(f"{migration.id}.") else "key"] = text
        after = [behind] if behind else None
        return self._documents.find(where, order=("id",), limit=limit, after=after)

    def by_minute(self, migration: Migration) -> list[tuple[int, int, int, int]]:
        """(minute since the epoch, units, items, bytes) of what was finished, in order of time."""
        where: Filter = {"migration": migration.id, "generation": migration.generation}
        where["state"] = State.DONE.value
        rows = self._documents.tally(where, by=("minute",), sums=("items", "bytes"))
        return sorted(
            (int(minute), many, int(items), int(size))
            for (minute,), many, (items, size) in rows
            if isinstance(minute, int | float)  # those of earlier versions do not say
        )

    def sample(self, migration: Migration, most: int, *, fields: Sequence[str]) -> list[Doc]:
        """At most so many units of the generation: all, or as good as drawn by chance, because
        the order of IDs is that of a hash. One walk along the index of IDs."""
        prefix = f"{migration.id}.{migration.generation}."
        found = self._documents.find({}, order=("id",), after=[prefix], limit=most, fields=fields)
        return list(takewhile(lambda doc: doc["id"].startswith(prefix), found))

    def holders(self) -> Iterator[Doc]:
        """Who holds which unit, since when: id, key, owner and claimed_at of all that run."""
        where: Filter = {"state": State.RUNNING.value, "owner": differs("")}
        return self._documents.find(where, fields=("key", "owner", "claimed_at"))
