"""The life of a migration of users: planned, moved, done; and again as its next generation."""

from __future__ import annotations

from enum import StrEnum

from common.machine import Edge, Machine


class Phase(StrEnum):
    """Pause and failure are holds with a reason, not phases."""

    PLANNING = "planning"
    MOVING = "moving"
    DONE = "done"
    CANCELLED = "cancelled"


class Event(StrEnum):
    """What was observed or asked for."""

    PLANNED = "planned"
    MOVED = "moved"
    CANCEL = "cancel"
    AGAIN = "again"


USERS: Machine[Phase, Event] = Machine(
    "users",
    Phase.PLANNING,
    [
        Edge(Phase.PLANNING, Event.PLANNED, Phase.MOVING),
        Edge(Phase.MOVING, Event.MOVED, Phase.DONE),
        Edge(Phase.PLANNING, Event.CANCEL, Phase.CANCELLED),
        Edge(Phase.MOVING, Event.CANCEL, Phase.CANCELLED),
        # the next generation: same subject, source and target, run again
        Edge(Phase.DONE, Event.AGAIN, Phase.PLANNING),
        Edge(Phase.CANCELLED, Event.AGAIN, Phase.PLANNING),
        Edge(Phase.MOVING, Event.AGAIN, Phase.PLANNING),
    ],
    ends=[Phase.DONE, Phase.CANCELLED],
)
