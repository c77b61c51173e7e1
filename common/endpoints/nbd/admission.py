"""Who may write to an export: the latest mount, and nobody else.

A mount is a number: the epoch that the catalogue granted, and how often its holder came back
since. The gate of an export keeps the highest it has seen, across its own death, and lets a
later one in only when nothing of the earlier ones can be carried out any more. Pure: what a gate
must drain or keep, it is told by comparing what it had with what it got.
"""

from __future__ import annotations

from typing import NamedTuple

from common.errors import Stale

RETURNS = 1 << 20  # how often one holder may come back


def mount(epoch: int, returns: int = 0) -> int:
    """The number of a mount."""
    return epoch * RETURNS + returns


def last(epoch: int) -> int:
    """The last mount that an epoch can have: to fence off all of them."""
    return mount(epoch, RETURNS - 1)


def epoch_of(mount: int) -> int:
    """The epoch that a mount belongs to."""
    return mount // RETURNS


class Admission(NamedTuple):
    """What a gate knows of one export."""

    mount: int = 0
    fenced: bool = False  # no write of this mount is taken any more

    def login(self, mount: int) -> Admission:
        """A writer asks to be let in; Stale if a later one was there, or it was fenced off.

        If the mount has risen, the gate drains every connection of the one before first.
        """
        if mount < self.mount or (mount == self.mount and self.fenced):
            raise Stale(
                f"mount {mount} is over: {self.mount} came after it",
                hint="nothing to do: whoever holds the disk now goes on",
            )
        return Admission(mount)

    def fence(self, mount: int) -> Admission:
        """No write of `mount`, nor of any before it, is taken any more. Late orders do nothing."""
        return Admission(mount, fenced=True) if mount >= self.mount else self

    def takes(self, mount: int) -> bool:
        """Is a write of this mount carried out?"""
        return mount == self.mount and not self.fenced
