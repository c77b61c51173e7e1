"""What is true of the whole fleet at one moment: pure values, for metrics and alarms alike.

What could not be looked at is None, never zero: an alarm must not be resolved by ignorance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from common.lifecycle.units import State
from common.model import Kind


@dataclass(frozen=True, slots=True)
class Work:
    """One kind's units of all migrations that are not at an end, and what they did."""

    units: Mapping[State, int] = field(default_factory=dict)
    open: int = 0  # queued or running, of migrations that nobody holds
    items: int = 0  # moved since we look; never falls
    bytes: int = 0
    due: float | None = None  # for how many seconds the longest due unit has been due
    still: float = 0.0  # seconds since anything of what is open moved

    @property
    def quarantined(self) -> int:
        return self.units.get(State.QUARANTINED, 0)


@dataclass(frozen=True, slots=True)
class Records:
    """What the store says."""

    works: Mapping[Kind, Work]
    phases: Mapping[tuple[Kind, str], int]  # migrations
    wanted: int = 0  # consumers
    alive: int = 0
    lapsing: int = 0  # units whose holder has been silent for half a lease or longer
    alarmed: Mapping[str, str] = field(default_factory=dict)  # posts, and what the watchdog says
    meters: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # by living consumer


@dataclass(frozen=True, slots=True)
class Queue:
    """What the broker says."""

    waiting: Mapping[Kind, int]
    unacknowledged: int = 0
    oldest: float | None = None  # seconds since the oldest of those was handed out


@dataclass(frozen=True, slots=True)
class Facts:
    """One look. None: it could not be reached."""

    records: Records | None
    queue: Queue | None
    idle: bool = False  # a machine without addresses on which nothing runs: no queue is no fault
    spent: float = 0.0  # seconds that the look took
