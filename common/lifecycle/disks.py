"""The life of a disk's migration task, and the changes of the one record that says who may write.

A task's status is told by number, as the field's tools expect it. The record of a disk in the
access catalogue holds its set, its task and its mount epoch together: every right to write is an
epoch granted by a compare-and-set on that record, and the switch is one, too. So of a late commit
and whoever took over meanwhile, one always finds the record changed. Nothing here talks to
anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from common.machine import Edge, Machine


class Status(StrEnum):
    """Aborted and failed are ours; the others have the field's own numbers (`CODES`)."""

    CREATED = "created"
    MIGRATING = "migrating"
    MIGRATED = "migrated"
    ABORTED = "aborted"
    FAILED = "failed"


class Event(StrEnum):
    """What was observed or asked for."""

    ATTACHED = "attached"  # Trans holds the one writer session of both sets
    SWITCHED = "switched"
    ABORT = "abort"
    FAIL = "fail"


NO_TASK = -1
CODES: Mapping[Status, int] = {
    Status.CREATED: 0,
    Status.MIGRATING: 1,
    Status.MIGRATED: 2,
    Status.ABORTED: 3,
    Status.FAILED: 4,
}

TASK: Machine[Status, Event] = Machine(
    "disk task",
    Status.CREATED,
    [
        Edge(Status.CREATED, Event.ATTACHED, Status.MIGRATING),
        Edge(Status.MIGRATING, Event.SWITCHED, Status.MIGRATED),
        Edge(Status.CREATED, Event.ABORT, Status.ABORTED),
        Edge(Status.MIGRATING, Event.ABORT, Status.ABORTED),
        Edge(Status.CREATED, Event.FAIL, Status.FAILED),
        Edge(Status.MIGRATING, Event.FAIL, Status.FAILED),
    ],
    ends=[Status.MIGRATED, Status.ABORTED, Status.FAILED],
)


class Change(NamedTuple):
    """One compare-and-set on a disk's record; every one of them raises its epoch."""

    where: Mapping[str, str | int]
    set: Mapping[str, str]


def mounted(disk: str) -> Change:
    """A guest mounts the disk directly; only while it has no task."""
    return Change({"id": disk, "task": ""}, {})


def begun(disk: str, task: str) -> Change:
    """A task takes the disk; only if it has none. Whoever mounted it before may write no more."""
    return Change({"id": disk, "task": ""}, {"task": task})


def taken(disk: str, task: str) -> Change:
    """A Trans takes over the task, before it opens anything. No commit of its predecessor can
    land behind this."""
    return Change({"id": disk, "task": task}, {})


def switched(disk: str, task: str, epoch: int, target_set: str) -> Change:
    """The commit: from here on the disk lives in the target set. Only by the Trans that holds
    the task's epoch."""
    return Change(
        {"id": disk, "task": task, "epoch": epoch},
        {"set": target_set, "task": "", "switched": task},
    )


def released(disk: str, task: str) -> Change:
    """The task lets go of the disk, which stays where it is."""
    return Change({"id": disk, "task": task}, {"task": ""})
