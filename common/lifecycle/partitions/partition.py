"""The life of one partition's decommission, and who may act on its membership.

Statuses and special steps are told by number, as tools of the field expect them (`CODES`). What
they call Running has steps of ours inside: a replica is added, filled, proven and only then another
is removed, for one, two and three replicas alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from common.machine import Edge, Machine

RETRIES = 5
ROLLBACKS = 3


class Status(StrEnum):
    """Where a partition's decommission is."""

    INITIAL = "Initial"
    MARKED = "Marked"
    PAUSED = "Paused"
    PREPARE = "DecommissionPrepare"
    RUNNING = "Running"
    SUCCESS = "Success"
    FAILED = "Failed"


class Event(StrEnum):
    """What was observed or asked for."""

    MARK = "mark"
    PREPARE = "prepare"  # a target is chosen and all tokens are held
    START = "start"  # the target is a learner
    FINISH = "finish"  # the source is out, or there was nothing to do
    AGAIN = "again"  # this attempt came to nothing, another one will
    FAIL = "fail"
    PAUSE = "pause"
    CANCEL = "cancel"
    RESET = "reset"  # a person puts a failed one back to its beginnings
    FORGET = "forget"  # all of it is finished and let go of


class Step(StrEnum):
    """Where a running one is; each is persisted before anything is done about it."""

    NONE = "none"
    COPY = "copy"  # the target learns, until the primary says that it holds everything
    JOINED = "joined"  # the target is a host like any other; from here on there is no way back
    LEFT = "left"  # the source is no host any more


class Type(StrEnum):
    """Who wanted it."""

    MANUAL = "ManualDecommission"
    AUTO = "AutoDecommission"
    AUTO_ADD = "AutoAddReplica"
    MANUAL_ADD = "ManualAddReplica"


class Restore(StrEnum):
    """Who may change a partition's membership: nobody, the healer, or a decommission."""

    STOP = "RestoreReplicaMetaStop"
    RUNNING = "RestoreReplicaMetaRunning"
    FORBIDDEN = "RestoreReplicaMetaForbidden"


CODES: Mapping[StrEnum, int] = {
    Status.INITIAL: 0,
    Status.MARKED: 1,
    Status.PAUSED: 2,
    Status.PREPARE: 3,
    Status.RUNNING: 4,
    Status.SUCCESS: 5,
    Status.FAILED: 6,
    Type.MANUAL: 1,
    Type.AUTO: 2,
    Type.AUTO_ADD: 4,
    Type.MANUAL_ADD: 5,
    Restore.STOP: 0,
    Restore.RUNNING: 1,
    Restore.FORBIDDEN: 2,
    Step.NONE: 0,  # SpecialDecommissionInitial
    Step.COPY: 2,  # SpecialDecommissionWaitAddRes
    Step.JOINED: 3,  # SpecialDecommissionWaitAddResFin
    Step.LEFT: 4,  # SpecialDecommissionRemoveOld
}

PARTITION: Machine[Status, Event] = Machine(
    "partition",
    Status.INITIAL,
    [
        Edge(Status.INITIAL, Event.MARK, Status.MARKED),
        Edge(Status.PAUSED, Event.MARK, Status.MARKED),
        Edge(Status.FAILED, Event.MARK, Status.MARKED),
        Edge(Status.MARKED, Event.PREPARE, Status.PREPARE),
        Edge(Status.PREPARE, Event.START, Status.RUNNING),
        Edge(Status.RUNNING, Event.FINISH, Status.SUCCESS),
        # the volume was deleted, or the source had left already
        Edge(Status.MARKED, Event.FINISH, Status.SUCCESS),
        Edge(Status.PREPARE, Event.FINISH, Status.SUCCESS),
        Edge(Status.MARKED, Event.AGAIN, Status.MARKED),  # no target, or no token
        Edge(Status.PREPARE, Event.AGAIN, Status.MARKED),
        Edge(Status.RUNNING, Event.AGAIN, Status.MARKED),
        Edge(Status.FAILED, Event.AGAIN, Status.MARKED),  # rolled back; another target
        Edge(Status.MARKED, Event.FAIL, Status.FAILED),
        Edge(Status.PREPARE, Event.FAIL, Status.FAILED),
        Edge(Status.RUNNING, Event.FAIL, Status.FAILED),
        Edge(Status.MARKED, Event.PAUSE, Status.PAUSED),
        Edge(Status.PREPARE, Event.PAUSE, Status.PAUSED),
        Edge(Status.RUNNING, Event.PAUSE, Status.PAUSED),
        Edge(Status.MARKED, Event.CANCEL, Status.INITIAL),
        Edge(Status.PREPARE, Event.CANCEL, Status.INITIAL),
        Edge(Status.RUNNING, Event.CANCEL, Status.INITIAL),
        Edge(Status.PAUSED, Event.CANCEL, Status.INITIAL),
        Edge(Status.PAUSED, Event.RESET, Status.INITIAL),
        Edge(Status.FAILED, Event.RESET, Status.INITIAL),
        Edge(Status.SUCCESS, Event.FORGET, Status.INITIAL),
    ],
    ends=[Status.INITIAL, Status.PAUSED, Status.FAILED],
)
