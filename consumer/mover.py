"""What every kind of migration must be able to do to one unit, and what it may touch meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from common.model import Migration, Receipt, Unit
from common.settings import Settings

SOURCE, TARGET = ("source",), ("target",)
BOTH = (*SOURCE, *TARGET)


class Memory(Protocol):
    """Marks of the unit's migration, written under the unit's fence (see `common.store.marks`).
    Those that are `passing` are of no use to later generations."""

    def read(self, group: str, name: str) -> list[bytes]: ...
    def names(self, group: str) -> list[str]: ...
    def put(self, group: str, name: str, blob: bytes, *, passing: bool = False) -> None: ...
    def append(self, group: str, name: str, blob: bytes, *, passing: bool = False) -> None: ...
    def drop(self, group: str, name: str) -> None: ...


class Lease(Protocol):
    """The hold on a unit."""

    def still_mine(self) -> None:
        """Cheap, asked before every visible write. Stale once the lease cannot be relied on,
        Held when the operator wants the unit back."""

    def confirm(self) -> None:
        """Ask the store itself, now; before an intent becomes an act."""

    def spend(self, *, bytes: int = 0, requests: int = 0, sides: Sequence[str] = BOTH) -> None:
        """Account for traffic on one side or both; waits while the migration's limits say so."""

    def show(self, *, items: int = 0, bytes: int = 0) -> None:
        """Progress for people to see, added up; carried by the next beat."""


@dataclass(frozen=True, slots=True)
class Reach:
    """All that a mover may touch."""

    migration: Migration
    lease: Lease
    memory: Memory
    settings: Settings


Job = Callable[[Unit, Reach], Receipt]


class Mover(Protocol):
    """One kind's jobs. Each may be run twice, at once, or after a crash, with the same outcome.

    A mover never touches the store, the queue, the clock or other units, never retries a whole
    unit by itself, and never writes to the source. `tests/conformance` holds every mover to this.
    """

    @property
    def jobs(self) -> Mapping[str, Job]: ...
