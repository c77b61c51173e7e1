"""Items that did not arrive, each by name, in pieces beside their unit.

A unit may refuse thousands of items; its own record keeps only how many. The pieces of an epoch
replace those of earlier epochs, so that what is listed is what the latest look found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from common.legible import legible
from common.model import Failure, Migration, Unit
from common.store.base import Doc, Filter, Store, among, below

PIECE = 500  # failures in one document


class Failures:
    """The repository of failures."""

    def __init__(self, store: Store) -> None:
        self._documents = store.collection("failures")

    def replace(self, unit: Unit, failures: Sequence[Failure]) -> None:
        """Keep exactly these for the unit; what an earlier epoch found is forgotten."""
        for first in range(0, len(failures), PIECE):
            self._documents.insert(_piece(unit, first, failures[first : first + PIECE]))
        if unit.epoch > 1:  # else nobody has looked before
            self._documents.remove({"unit": unit.id, "epoch": below(unit.epoch)})

    def prune(self, migration: str, *, before: int, limit: int) -> int:
        """Remove some failures of generations before this one; how many records."""
        old: Filter = {"migration": migration, "generation": below(before)}
        some = [doc["id"] for doc in self._documents.find(old, limit=limit, fields=("id",))]
        return self._documents.remove({"id": among(some)}) if some else 0

    def of(self, migration: Migration) -> Iterator[tuple[str, str, Failure]]:
        """(unit, key, failure) of the present generation, streamed."""
        where: Filter = {"migration": migration.id, "generation": migration.generation}
        for doc in self._documents.find(where, order=("id",)):
            for item, reason, advice in doc["failures"]:
                yield doc["unit"], doc["key"], Failure(item, reason, advice)


def _piece(unit: Unit, first: int, failures: Sequence[Failure]) -> Doc:
    return {
        "id": f"{unit.id}:{unit.epoch}:{first}",
        "migration": unit.migration,
        "generation": unit.generation,
        "unit": unit.id,
        "key": unit.key,
        "epoch": unit.epoch,
        "failures": [[legible(f.item), legible(f.reason), f.advice] for f in failures],
    }
