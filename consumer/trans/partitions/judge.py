"""What one copy of a partition may do: pure answers to what it knows of itself.

A write is acknowledged when every host of the primary's configuration has it durably. A copy takes
writes only from the primary of its own epoch, and only after that primary has aligned it: so of two
who believe to be primary, one can acknowledge nothing. Alignment cuts what the primary does not
have; all that was acknowledged is on every host, so nothing acknowledged is ever cut.

The model in tests/props runs these very functions; whoever changes one changes what it proves.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import NamedTuple

from common.errors import Stale
from common.lifecycle.partitions.record import Config


class Copy(NamedTuple):
    """What a copy knows, durably."""

    me: str
    config: Config
    aligned: int = 0  # the epoch in which it was last aligned with its primary

    @property
    def leads(self) -> bool:
        return self.config.primary == self.me and self.me in self.config.hosts


class Lead(NamedTuple):
    """What a primary knows of the others, in memory: a new process begins with nothing."""

    epoch: int
    aligned: tuple[str, ...] = ()
    live: bool = False  # every write goes to the learner, too
    missed: bool = False  # the record says that the learner missed something


class Answer(StrEnum):
    """May a write be acknowledged?"""

    YES = "yes"
    WAIT = "wait"  # some host has not got it
    NOTE = "note"  # first the record must say that the learner missed something


def adopted(copy: Copy, config: Config) -> Copy:
    """The copy under a later configuration; Stale if it knows that one or a later."""
    if config.epoch <= copy.config.epoch:
        raise Stale(f"{copy.me} is at epoch {copy.config.epoch}, not below {config.epoch}")
    return copy._replace(config=config)


def aligns(copy: Copy, epoch: int, sender: str) -> bool:
    """Is this the primary that may make the copy like its own?"""
    return copy.config.epoch == epoch and copy.config.primary == sender


def takes(copy: Copy, epoch: int, sender: str) -> bool:
    """Does the copy take a write from this sender?"""
    known = copy.me in copy.config.learners or copy.aligned == epoch
    return aligns(copy, epoch, sender) and known


def serves(copy: Copy, lead: Lead | None) -> bool:
    """May it take writes from clients? Only when every host was aligned in its epoch."""
    if lead is None or not copy.leads or lead.epoch != copy.config.epoch:
        return False
    return set(copy.config.hosts) <= {copy.me, *lead.aligned}


def answer(copy: Copy, lead: Lead, have: Collection[str]) -> Answer:
    """May a write that `have` is on these be acknowledged?"""
    if not set(copy.config.hosts) <= set(have):
        return Answer.WAIT
    if set(copy.config.learners) <= set(have) or lead.missed:
        return Answer.YES
    return Answer.NOTE


def retires(copy: Copy, epoch: int) -> bool:
    """Is an order to put the copy aside, given at `epoch`, meant for this copy?"""
    return copy.config.epoch < epoch
