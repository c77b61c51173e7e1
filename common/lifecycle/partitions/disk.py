"""The life of a disk's decommission: all of its partitions together."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from common.machine import Edge, Machine


class Status(StrEnum):
    """Where a disk's decommission is."""

    INITIAL = "Initial"
    MARKED = "Marked"
    PAUSED = "Paused"
    RUNNING = "Running"
    SUCCESS = "Success"
    FAILED = "Failed"
    CANCELLED = "DecommissionCancel"


class Event(StrEnum):
    """What was observed or asked for."""

    MARK = "mark"
    RUN = "run"  # a disk token is held; its partitions are marked
    FINISH = "finish"  # none is left on it
    FAIL = "fail"  # all that is left failed
    PAUSE = "pause"
    CANCEL = "cancel"


CODES: Mapping[Status, int] = {
    Status.INITIAL: 0,
    Status.MARKED: 1,
    Status.PAUSED: 2,
    Status.RUNNING: 4,
    Status.SUCCESS: 5,
    Status.FAILED: 6,
    Status.CANCELLED: 7,
}
_STARTS = (Status.INITIAL, Status.PAUSED, Status.SUCCESS, Status.FAILED, Status.CANCELLED)

DISK: Machine[Status, Event] = Machine(
    "partition disk",
    Status.INITIAL,
    [
        *(Edge(status, Event.MARK, Status.MARKED) for status in _STARTS),
        Edge(Status.MARKED, Event.RUN, Status.RUNNING),
        Edge(Status.MARKED, Event.FINISH, Status.SUCCESS),
        Edge(Status.MARKED, Event.FAIL, Status.FAILED),
        Edge(Status.RUNNING, Event.FINISH, Status.SUCCESS),
        Edge(Status.RUNNING, Event.FAIL, Status.FAILED),
        Edge(Status.MARKED, Event.PAUSE, Status.PAUSED),
        Edge(Status.RUNNING, Event.PAUSE, Status.PAUSED),
        Edge(Status.MARKED, Event.CANCEL, Status.CANCELLED),
        Edge(Status.RUNNING, Event.CANCEL, Status.CANCELLED),
        Edge(Status.PAUSED, Event.CANCEL, Status.CANCELLED),
    ],
    ends=[Status.SUCCESS, Status.FAILED, Status.PAUSED, Status.CANCELLED],
)
