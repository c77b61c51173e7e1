"""What watchdogs of a host remember between two rounds: one file, replaced as a whole.

Ticks mean nothing after the next boot: then everything is forgotten. So is what cannot be read,
which costs a back-off and no more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from common.process import boot
from ops.host.files import replace
from ops.host.judge import Past

FILE = "run/watchdog.json"


@dataclass(slots=True)
class Memory:
    """The past of every post, and when the last round was."""

    posts: dict[str, Past] = field(default_factory=dict)
    round: float = 0.0  # tick of the last one
    said: dict[str, str] = field(default_factory=dict)  # alarms about the host that still hold

    def of(self, role: str, name: str) -> Past:
        """What is remembered of one post."""
        return self.posts.get(f"{role}/{name}", Past())

    def keep(self, role: str, name: str, past: Past) -> None:
        """Remember it; nothing is kept of a post without a past."""
        if past == Past():
            self.posts.pop(f"{role}/{name}", None)
        else:
            self.posts[f"{role}/{name}"] = past


def read(home: Path) -> Memory:
    """What is remembered since the last boot."""
    try:
        found = json.loads((home / FILE).read_bytes())
        if found["boot"] != boot():
            return Memory()
        posts = {key: _past(value) for key, value in found["posts"].items()}
        return Memory(posts, float(found["round"]), dict(found["said"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Memory()


def write(home: Path, memory: Memory) -> None:
    """Remember it until the next boot."""
    posts = {key: asdict(past) for key, past in memory.posts.items()}
    found = {"boot": boot(), "round": memory.round, "said": memory.said, "posts": posts}
    replace(home / FILE, json.dumps(found))


def _past(found: Mapping[str, Any]) -> Past:
    known = {field.name for field in fields(Past)}
    values = {name: value for name, value in found.items() if name in known}
    return Past(**values | {"starts": tuple(values.get("starts", ()))})
