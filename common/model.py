"""The nouns: frozen values that cross every boundary of the fleet.

Field names are the same in the store, in JSON and on the command line. Times are seconds since
the epoch (float), sizes are bytes (int), identifiers are strings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from common.lifecycle.units import State

EPOCHS = 1_000_000  # of one generation; far above any number of attempts
RANK = EPOCHS // 10  # epochs of one round over a subject


class Kind(StrEnum):
    """The kinds of things this fleet can move."""

    USERS = "users"


class Check(StrEnum):
    """How the skip decides that an item needs no moving."""

    MD5 = "md5"
    MANIFEST = "manifest"
    MTIME = "mtime"
    SIZE = "size"


class Hold(StrEnum):
    """Why a migration's units are not handed out. A hold is not a phase."""

    PAUSED = "paused"  # running units stop at the next item
    DRAINING = "draining"  # running units finish, no new ones start


@dataclass(frozen=True, slots=True)
class Migration:
    """The whole move of one subject from one source to one target, over all generations."""

    id: str
    kind: Kind
    source: str
    target: str
    phase: str
    version: int
    generation: int
    since: float  # when the present phase began
    started: float  # when the present generation began
    ended: float | None
    tenant: str
    hold: Hold | None
    options: Mapping[str, Any]
    limits: Mapping[str, Any]
    planned: int  # units planned so far in this generation
    cursor: str | None  # how far intake got; planning resumes here
    notices: tuple[str, ...] = ()
    refused: int = 0  # lines of the work list that could not be subjects
    refusals: tuple[tuple[int, str, str], ...] = ()  # (line, text, reason) of the first of them
    past: tuple[Mapping[str, Any], ...] = ()  # earlier generations, in short


@dataclass(frozen=True, slots=True)
class Unit:
    """The smallest piece a consumer moves in one go; bounded in items and bytes, so in time."""

    id: str
    migration: str
    generation: int
    kind: Kind
    job: str
    key: str
    group: str
    after: tuple[str, ...]
    wakes: bool
    state: State
    epoch: int
    attempts: int
    owner: str
    beat: int
    reason: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    rank: int = 0

    @property
    def fence(self) -> int:
        """The number that orders all holders of this subject, over all generations.

        Epochs count the holders of one unit only: what comes `after` other units is fenced off by
        none of theirs, however often they were tried; nor is a later round (`rank`) by an earlier.
        """
        after = EPOCHS if self.after else 0
        return fences_of(self.generation) + after + self.rank * RANK + self.epoch


def fences_of(generation: int) -> int:
    """Below all fences of this generation, and above those of every earlier one."""
    return 2 * generation * EPOCHS


@dataclass(frozen=True, slots=True)
class Draft:
    """A unit to be planned: what its identity is derived from, and what its mover must know."""

    job: str
    key: str
    name: str = ""  # tells apart the units of one job and key
    group: str = ""
    after: tuple[str, ...] = ()  # groups of which every unit must be done first
    wakes: bool = False  # others wait for its group
    rank: int = 0  # of the round over its subject, which is fenced above those before
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """One item that did not arrive, why, and what to do about it."""

    item: str
    reason: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """What happened to items; adds up over units and migrations."""

    items: int = 0
    moved: int = 0
    skipped: int = 0
    mended: int = 0
    failed: int = 0
    bytes: int = 0
    bytes_moved: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.items + other.items,
            self.moved + other.moved,
            self.skipped + other.skipped,
            self.mended + other.mended,
            self.failed + other.failed,
            self.bytes + other.bytes,
            self.bytes_moved + other.bytes_moved,
        )


@dataclass(frozen=True, slots=True)
class Sums:
    """A generation's units by state, and what they counted together, once each."""

    queued: int = 0
    running: int = 0
    done: int = 0
    quarantined: int = 0
    counts: Counts = field(default_factory=Counts)
    live_items: int = 0  # of units that are still running
    live_bytes: int = 0

    @property
    def open(self) -> int:
        return self.queued + self.running

    @property
    def total(self) -> int:
        return self.open + self.done + self.quarantined


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of a finished unit: what was looked at, what moved, and its digest.

    `digest` is the order-independent sum over the items' proofs (32 hex digits; see
    `common.digest`), or "" where the chosen check did not read contents. `drafts` are the units
    that this one found out to be necessary (a huge user cut into spans); they are planned
    before the unit is reported done. `again` says why the unit wants another try although it did
    what it could (some items are to be read again). `remarks` are what is to be said of many
    items at once, each with how many (`Target.remarks`).
    """

    counts: Counts = field(default_factory=Counts)
    digest: str = ""
    failures: tuple[Failure, ...] = ()
    notices: tuple[str, ...] = ()
    drafts: tuple[Draft, ...] = ()
    again: str = ""
    remarks: Mapping[str, int] = field(default_factory=dict)
