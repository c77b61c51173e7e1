"""A disk, its two sets, its guest and everything in between, as a value that can be compared.

The judge, the map of slices, the exclusion, the gates' admission and the catalogue's changes in
it are the real ones; only wires, disks and processes are played. A disk has as many bytes as the
scenario wants, and a byte holds the number of the write that came last.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from common.endpoints.nbd.admission import Admission, mount
from common.lifecycle import disks
from consumer.trans.disks.exclusion import SOURCE, TARGET, WRITE
from consumer.trans.disks.judge import Judge
from consumer.trans.disks.slices import CLEAN, DIRTY

DISK, TASK, OLD, NEW = "d", "t", "old", "new"
S, T = 0, 1
SIDES = (SOURCE, TARGET)
TRANS = "trans"


class Disk(NamedTuple):
    """One side: what it holds, and what it may hold after its power failed."""

    now: tuple[int, ...]
    after_loss: frozenset[tuple[int, ...]]
    gate: Admission = Admission()
    alive: bool = True  # the sessions of the present mount

    def write(self, start: int, end: int, values: tuple[int, ...]) -> Disk:
        now = self.now[:start] + values + self.now[end:]
        return self._replace(now=now, after_loss=self.after_loss | {now})

    def flush(self) -> Disk:
        return self._replace(after_loss=frozenset([self.now]))


class Message(NamedTuple):
    """What is on its way to a side, or its answer on the way back."""

    side: int
    mount: int
    id: int
    what: int
    start: int
    end: int
    values: tuple[int, ...] = ()
    done: bool = False  # carried out; the answer is on its way
    good: bool = True


class Record(NamedTuple):
    """The disk in the catalogue."""

    set: str = OLD
    task: str = ""
    epoch: int = 1
    switched: str = ""

    def change(self, change: disks.Change) -> Record | None:
        mine = {"id": DISK, **self._asdict()}
        if any(mine[name] != value for name, value in change.where.items()):
            return None
        return self._replace(epoch=self.epoch + 1, **change.set)


class Guest(NamedTuple):
    """What runs on the disk, and what it was promised."""

    to: str = OLD  # OLD, NEW, TRANS, or "" while it is cut off
    granted: str = ""  # the set that the catalogue sent it to, before it got there
    session: int = 1
    mount: int = 0
    next: int = 0  # of its program
    open: tuple[int, ...] = ()  # writes that were not answered, by their place in the program
    shaken: frozenset[int] = frozenset()  # writes that were open when the power failed
    overlap: frozenset[tuple[int, int]] = frozenset()  # which were open at the same time
    legal: tuple[frozenset[int], ...] = ()  # what each byte may hold
    kept: tuple[frozenset[int], ...] = ()  # what each byte may hold after a loss of power


class Trans(NamedTuple):
    """A Trans that lives: its judge as data, and how far it is with what it does besides."""

    epoch: int
    returns: tuple[int, int]
    judge: tuple[Any, ...]
    copying: tuple[tuple[int, str, tuple[int, ...]], ...] = ()  # slice, step, what it read
    finish: str = ""  # "", frozen, fencing, fenced, committing

    def mount(self, side: int) -> int:
        return mount(self.epoch, self.returns[side])


class World(NamedTuple):
    """Everything that decides what may happen next."""

    sides: tuple[Disk, Disk]
    messages: frozenset[Message]
    guest: Guest
    record: Record = Record()
    log: frozenset[int] = frozenset()  # what stands in the write-intent log, durably
    stamp: int = 0  # the epoch that wrote it
    trans: Trans | None = None
    orders: frozenset[tuple[str, int]] = frozenset()  # fences and commits on their way
    faults: int = 0  # how many may still happen
    tasks: int = 1  # how many may still begin
    aborts: int = 0  # may a person still abort?
    reads: int = 0  # how often the guest may still look


@dataclass(slots=True)
class Notes:
    """The log of the judge (`consumer.trans.disks.slices.Log`), over the world's."""

    noted: set[int] = field(default_factory=set)

    def mark(self, slices: Iterable[int]) -> None:
        self.noted.update(slices)

    def clear(self, slices: Iterable[int]) -> None:
        self.noted.difference_update(slices)


def frozen(judge: Judge) -> tuple[Any, ...]:
    """The judge as data."""
    return (
        bytes(judge.slices.states),
        tuple(op for _, op in sorted(judge.line.inflight.items())),
        tuple(judge.line.pending),
        judge.up,
        judge.frozen,
        tuple(sorted(judge.sessions)),
        tuple(sorted(judge._due.items())),
        tuple(sorted(judge._bad.items())),
        tuple(sorted(judge._settling)),
    )


def thawed(cls: type[Judge], data: tuple[Any, ...], slice_bytes: int, notes: Notes) -> Judge:
    """The judge that the data tells of."""
    states, inflight, pending, up, still, sessions, due, bad, settling = data
    judge = cls(states, slice_bytes, notes)
    for op in inflight:
        judge.line.inflight[op.id] = op
        if op.what >= WRITE:
            judge.line._note(op, judge.line._busy)
    judge.line.pending = list(pending)
    for op in pending:
        judge.line._note(op, judge.line._waiting)
    judge.up, judge.frozen, judge.sessions = up, still, set(sessions)
    judge._due = dict(due)
    judge._bad = dict(bad)
    judge._settling = set(settling)
    return judge


def states_of(log: frozenset[int], slices: int) -> list[int]:
    """What a new Trans knows of every slice: only what stands in the log."""
    return [DIRTY if k in log else CLEAN for k in range(slices)]
