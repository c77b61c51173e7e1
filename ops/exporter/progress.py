"""What units did, summed so that it never falls: a unit that is tried again counts anew, and a
migration that ends is looked at once more, so that its last items are not lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from common.model import Kind, Migration, Sums

Tallied = tuple[Migration, Sums]


@dataclass(slots=True)
class Odometer:
    """Items and bytes moved by kind since it was made; what is there at first is counted too."""

    _totals: dict[Kind, tuple[int, int]] = field(default_factory=dict)
    _seen: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)

    def add(self, tallied: Sequence[Tallied]) -> None:
        """Count what is new; forget whoever is not there any more."""
        seen = {}
        for migration, sums in tallied:
            key, now = (migration.id, migration.generation), _moved(sums)
            was = self._seen.get(key, (0, 0))
            total = self._totals.get(migration.kind, (0, 0))
            more = [max(0, new - old) for new, old in zip(now, was, strict=True)]
            self._totals[migration.kind] = (total[0] + more[0], total[1] + more[1])
            seen[key] = (max(now[0], was[0]), max(now[1], was[1]))
        self._seen = seen

    def of(self, kind: Kind) -> tuple[int, int]:
        """Items and bytes."""
        return self._totals.get(kind, (0, 0))


def mark(tallied: Sequence[Tallied]) -> str:
    """Changes whenever something moves. Claims do not: a unit that kills all its holders is no
    progress."""
    return ";".join(sorted(f"{m.id}/{m.generation}:{_done(sums)}" for m, sums in tallied))


def _moved(sums: Sums) -> tuple[int, int]:
    return sums.counts.moved, sums.counts.bytes_moved


def _done(sums: Sums) -> str:
    parts: Mapping[str, int] = {
        "total": sums.total,
        "done": sums.done,
        "quarantined": sums.quarantined,
        "items": sums.counts.items,
        "live": sums.live_items,
        "bytes": sums.live_bytes,
    }
    return ",".join(map(str, parts.values()))
