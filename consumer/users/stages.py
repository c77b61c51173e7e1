"""The rounds over one user within a generation: first, last (frozen), proof (both sides read).

A huge user is cut anew in each, and its units must not be taken for those of another round: they
have other jobs and groups, and fences above those of the rounds before.
"""

from __future__ import annotations

from typing import NamedTuple

from common.model import Unit


class Stage(NamedTuple):
    """One round. `prefix` begins the names of its jobs, `suffix` ends those of its groups."""

    prefix: str
    suffix: str
    rank: int

    def groups(self, user: str) -> tuple[str, str, str]:
        """Of all its units: spans and whatever cut them, huge files, what closes them."""
        return (user + self.suffix, f"{user}{self.suffix}/files", f"{user}{self.suffix}/close")


FIRST = Stage("", "", 0)
LAST = Stage("final-", "/final", 1)
PROOF = Stage("proof-", "/proof", 2)


def stage_of(unit: Unit) -> Stage:
    """The round that a unit belongs to, by its job."""
    for stage in (LAST, PROOF):
        if unit.job.startswith(stage.prefix):
            return stage
    return FIRST
