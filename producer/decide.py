"""The conductor's judgements that are the same for every kind; pure functions of facts."""

from __future__ import annotations

from enum import StrEnum

from common.lifecycle.users import Event, Phase
from producer.planner import Facts


def users(facts: Facts) -> StrEnum | None:
    """Done when every planned unit is done: nothing open, nothing in quarantine."""
    if facts.phase == Phase.MOVING and not facts.open and not facts.quarantined:
        return Event.MOVED
    return None
