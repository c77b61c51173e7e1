"""The switch of one bucket from its old store to its new one, and the way back.

Pause and failure are holds with a reason, not phases. While nothing is redirected going back is
withdrawing; afterwards it is a replay of what users changed, with a proof of its own.
"""

from __future__ import annotations

from enum import StrEnum

from common.machine import Edge, Machine


class Phase(StrEnum):
    """What gateways do in each of them: `consumer/trans/buckets/routing.py`."""

    NORMAL = "normal"
    TRACKING = "tracking"
    QUIESCING = "quiescing"
    REDIRECTED = "redirected"
    COPYING = "copying"
    VERIFYING = "verifying"
    SEALING = "sealing"
    DONE = "done"
    CLEANED = "cleaned"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"


class Event(StrEnum):
    """What was observed or asked for."""

    START = "start"
    QUIET = "quiet"
    DRAINED = "drained"
    BUSY = "busy"
    OPEN = "open"
    COPIED = "copied"
    DIFFERED = "differed"
    VERIFIED = "verified"
    SEALED = "sealed"
    CLEAN = "clean"
    WITHDRAW = "withdraw"
    ROLL_BACK = "roll_back"
    RETURNED = "returned"


BUCKETS: Machine[Phase, Event] = Machine(
    "buckets",
    Phase.NORMAL,
    [
        Edge(Phase.NORMAL, Event.START, Phase.TRACKING),
        # no write for a while, or the time for waiting is over
        Edge(Phase.TRACKING, Event.QUIET, Phase.QUIESCING),
        # no write to the old store is under way, it takes none, and every gateway knows
        Edge(Phase.QUIESCING, Event.DRAINED, Phase.REDIRECTED),
        # writes were held for as long as users can bear: they go on, and it is tried again
        Edge(Phase.QUIESCING, Event.BUSY, Phase.TRACKING),
        # an operator, or the wave's rule
        Edge(Phase.REDIRECTED, Event.OPEN, Phase.COPYING),
        Edge(Phase.COPYING, Event.COPIED, Phase.VERIFYING),
        # the old store listed again is not what was copied: the difference is copied
        Edge(Phase.VERIFYING, Event.DIFFERED, Phase.COPYING),
        Edge(Phase.VERIFYING, Event.VERIFIED, Phase.SEALING),
        # every gateway has stopped reading the old store
        Edge(Phase.SEALING, Event.SEALED, Phase.DONE),
        Edge(Phase.DONE, Event.CLEAN, Phase.CLEANED),
        # nothing was ever redirected: nothing is to be carried back
        Edge(Phase.TRACKING, Event.WITHDRAW, Phase.ROLLED_BACK),
        Edge(Phase.QUIESCING, Event.WITHDRAW, Phase.ROLLED_BACK),
        Edge(Phase.REDIRECTED, Event.ROLL_BACK, Phase.ROLLING_BACK),
        Edge(Phase.COPYING, Event.ROLL_BACK, Phase.ROLLING_BACK),
        Edge(Phase.VERIFYING, Event.ROLL_BACK, Phase.ROLLING_BACK),
        Edge(Phase.SEALING, Event.ROLL_BACK, Phase.ROLLING_BACK),
        # every change since the switch is on the old store, and it takes writes again
        Edge(Phase.ROLLING_BACK, Event.RETURNED, Phase.ROLLED_BACK),
    ],
    ends=[Phase.DONE, Phase.CLEANED, Phase.ROLLED_BACK],
)
