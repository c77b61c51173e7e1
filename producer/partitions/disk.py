"""The judgements about a disk that is decommissioned, from the records of its partitions.

Done is what the disk is no host of any more: that is read from the records, never counted along.
A partition that somebody else is moving waits for its turn; none is ever left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from common.lifecycle.partitions.disk import Event, Status
from common.lifecycle.partitions.partition import Restore, Type
from common.lifecycle.partitions.partition import Status as Move
from common.lifecycle.partitions.record import Record
from producer.partitions.facts import Knobs

LOW, MEDIUM, HIGH, HIGHEST = 2, 4, 6, 8


class Task(NamedTuple):
    """A disk's decommission."""

    host: str
    disk: str
    term: int
    status: Status = Status.INITIAL
    members: tuple[str, ...] = ()  # the partitions that were on it when it was marked


class Sums(NamedTuple):
    """The partitions of a disk, each in exactly one place."""

    done: int = 0
    running: int = 0
    waiting: int = 0
    paused: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        return sum(self)

    @property
    def progress(self) -> str:
        """As tools of the field print it; rounded down, so that 100.00% is all of it."""
        hundredths = 10_000 * self.done // self.total if self.total else 10_000
        return f"{hundredths // 100}.{hundredths % 100:02d}%"


def place(task: Task, record: Record | None, knobs: Knobs) -> str:
    """Which of `Sums` a member counts in. A partition that was deleted is done."""
    if record is None or task.host not in record.hosts:
        return "done"
    if record.source != task.host or record.term != task.term:
        return "waiting"
    if record.status is Move.FAILED:
        return "failed" if record.rollbacks >= knobs.rollbacks else "running"
    if record.status is Move.PAUSED:
        return "paused"
    going = record.status in (Move.PREPARE, Move.RUNNING, Move.SUCCESS)
    return "running" if going else "waiting"


def sums(task: Task, records: dict[str, Record], knobs: Knobs) -> Sums:
    """All members, counted."""
    places = [place(task, records.get(member), knobs) for member in task.members]
    return Sums(*(places.count(name) for name in Sums._fields))


def judged(task: Task, found: Sums) -> Event | None:
    """Is the disk at an end?"""
    if task.status is not Status.RUNNING:
        return None
    if found.done == found.total:
        return Event.FINISH
    return Event.FAIL if found.done + found.failed == found.total else None


def unmarked(task: Task, records: dict[str, Record], knobs: Knobs) -> list[Record]:
    """Members to be marked now: they wait, and nobody is at them."""
    if task.status is not Status.RUNNING:
        return []
    waiting = (records[m] for m in task.members if m in records)
    return [
        record
        for record in waiting
        if place(task, record, knobs) == "waiting" and record.restore is Restore.STOP
    ]


def weight(record: Record, errors: int) -> int:
    """How urgent an automatic move is: the fewer good copies are left, the more."""
    if record.type in (Type.MANUAL, Type.MANUAL_ADD):
        return LOW
    good = len(record.hosts) - errors
    if record.replicas >= 3 and errors and good <= 1:
        return HIGHEST
    if errors and good <= record.replicas - 1:
        return HIGH
    return HIGH if record.type is Type.AUTO_ADD else MEDIUM


def ordered(records: Iterable[Record]) -> list[Record]:
    """Who asks for tokens first."""
    return sorted(records, key=lambda record: (-record.weight, record.term, record.id))


def mean(disks: list[Sums]) -> str:
    """The progress of a node: that of its disks on the average; done only if all are."""
    shares = [10_000 * found.done // found.total if found.total else 10_000 for found in disks]
    hundredths = sum(shares) // len(shares) if shares else 10_000
    return f"{hundredths // 100}.{hundredths % 100:02d}%"


def joint(statuses: list[Status]) -> Event | None:
    """What the ends of its disks mean for a node that is running."""
    ends = {Status.SUCCESS, Status.FAILED, Status.CANCELLED}
    if not set(statuses) <= ends:
        return None
    if set(statuses) <= {Status.SUCCESS}:
        return Event.FINISH
    return Event.CANCEL if Status.CANCELLED in statuses else Event.FAIL
