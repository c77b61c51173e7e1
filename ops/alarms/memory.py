"""What the alarms remember between two rounds: one file in the home, replaced as a whole.

Ticks mean nothing after the next boot: then silence is measured anew, but what was raised stays
raised and what nobody heard is still told. What cannot be read is forgotten: an alarm told twice
is better than none.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from common.process import boot
from ops.alarms.standing import Notice, Standing
from ops.host import files

FILE = "run/alarms.json"
MOST = 200  # notices that wait for a sink; the oldest go first
Signs = dict[Hashable, tuple[object, float]]


@dataclass(frozen=True, slots=True)
class Untold:
    """A notice, and the sinks that did not take it yet."""

    notice: Notice
    sinks: tuple[str, ...]


@dataclass(slots=True)
class Memory:
    """Everything that outlives a round."""

    signs: Signs = field(default_factory=dict)
    standings: dict[str, Standing] = field(default_factory=dict)
    untold: list[Untold] = field(default_factory=list)


def read(home: Path) -> Memory:
    """What was written last."""
    try:
        found = json.loads((home / FILE).read_bytes())
        memory = Memory(
            {str(key): (counter, float(tick)) for key, (counter, tick) in found["signs"].items()},
            {name: Standing(**fields) for name, fields in found["standings"].items()},
            [Untold(Notice(**u["notice"]), tuple(u["sinks"])) for u in found["untold"]],
        )
        return memory if found["boot"] == boot() else _rebooted(memory)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Memory()


def write(home: Path, memory: Memory) -> None:
    """Keep it; Denied if the home cannot take it."""
    found: dict[str, Any] = {
        "boot": boot(),
        "signs": memory.signs,
        "standings": {name: asdict(value) for name, value in memory.standings.items()},
        "untold": [asdict(untold) for untold in memory.untold[-MOST:]],
    }
    files.replace(home / FILE, json.dumps(found))


def _rebooted(memory: Memory) -> Memory:
    standings = {name: replace(s, since=None) for name, s in memory.standings.items()}
    return Memory({}, standings, memory.untold)
