"""The life of a unit: the same table for every kind."""

from __future__ import annotations

from enum import StrEnum

from common.machine import Edge, Machine


class State(StrEnum):
    """Where a unit is. Waiting, back-off and pause are not states: they are due times and holds."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    QUARANTINED = "quarantined"


class Act(StrEnum):
    """What may happen to a unit."""

    CLAIM = "claim"
    LAPSE = "lapse"
    FINISH = "finish"
    REQUEUE = "requeue"
    QUARANTINE = "quarantine"
    RELEASE = "release"


UNIT: Machine[State, Act] = Machine(
    "unit",
    State.QUEUED,
    [
        Edge(State.QUEUED, Act.CLAIM, State.RUNNING),
        # a unit whose lease lapsed stays running, without an owner, until the next one takes it
        Edge(State.RUNNING, Act.CLAIM, State.RUNNING),
        Edge(State.RUNNING, Act.LAPSE, State.RUNNING),
        Edge(State.RUNNING, Act.FINISH, State.DONE),
        Edge(State.RUNNING, Act.REQUEUE, State.QUEUED),
        Edge(State.RUNNING, Act.QUARANTINE, State.QUARANTINED),
        Edge(State.QUARANTINED, Act.RELEASE, State.QUEUED),
    ],
    ends=[State.DONE, State.QUARANTINED],
)
