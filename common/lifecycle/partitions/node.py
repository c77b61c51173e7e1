"""The life of a node's decommission: its disks together, with their statuses."""

from __future__ import annotations

from common.lifecycle.partitions.disk import Event, Status
from common.machine import Edge, Machine

_STARTS = (Status.INITIAL, Status.PAUSED, Status.FAILED, Status.CANCELLED)

NODE: Machine[Status, Event] = Machine(
    "partition node",
    Status.INITIAL,
    [
        *(Edge(status, Event.MARK, Status.MARKED) for status in _STARTS),
        Edge(Status.MARKED, Event.RUN, Status.RUNNING),
        Edge(Status.RUNNING, Event.FINISH, Status.SUCCESS),
        Edge(Status.RUNNING, Event.FAIL, Status.FAILED),
        # one of its disks was cancelled, the others are at an end
        Edge(Status.RUNNING, Event.CANCEL, Status.CANCELLED),
        Edge(Status.MARKED, Event.CANCEL, Status.CANCELLED),
        Edge(Status.MARKED, Event.PAUSE, Status.PAUSED),
        Edge(Status.RUNNING, Event.PAUSE, Status.PAUSED),
        Edge(Status.PAUSED, Event.CANCEL, Status.CANCELLED),
    ],
    ends=[Status.SUCCESS, Status.FAILED, Status.PAUSED, Status.CANCELLED],
)
