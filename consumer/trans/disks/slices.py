"""What is known of every slice of a disk, and the log in which the doubtful ones stand.

A slice is CLEAN only if both sides hold the same, durably. Any other stands in the write-intent
log, which survives us: whoever starts from the log copies all of them again. So the log has one
rule: a slice enters it before anything could make the sides differ, and leaves it only after
both sides were flushed. Nothing here decides when: that is the judge's matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

DIRTY, COPYING, HOT, CLEAN = range(4)
"""To be copied; held by the mover; in step as far as both said, but not flushed; the same."""


class Log(Protocol):
    """The write-intent log of one disk."""

    def mark(self, slices: Iterable[int]) -> None:
        """Durable when it returns: these may differ."""

    def clear(self, slices: Iterable[int]) -> None:
        """These are the same on both sides. May be lost: then they are copied once more."""


class Slices:
    """The map of one disk. Starts from the log: what stands in it is to be copied."""

    def __init__(self, states: Iterable[int], log: Log) -> None:
        self.states = bytearray(states)
        self._log = log
        self._many = [self.states.count(state) for state in (DIRTY, COPYING, HOT, CLEAN)]
        self.floor = 0  # slices from the start of the disk that were clean once; only rises
        self._rise()

    @property
    def clean(self) -> bool:
        """Are both sides the same, everywhere, durably?"""
        return self._many[CLEAN] == len(self.states)

    def many(self, state: int) -> int:
        return self._many[state]

    def written(self, slices: Iterable[int], *, both: bool) -> None:
        """Before a write to these is sent: to both sides, or to the source alone."""
        fresh = [k for k in slices if self.states[k] == CLEAN]
        if fresh:
            self._log.mark(fresh)
        for k in fresh:
            self._become(k, HOT)
        if not both:
            self.dirty(slices)

    def dirty(self, slices: Iterable[int]) -> None:
        """The sides may differ here (all of these stand in the log already)."""
        for k in slices:
            self._become(k, DIRTY)

    def doubt(self) -> None:
        """A side was lost, or could not flush: whatever it had not flushed may be gone."""
        for state in (HOT, COPYING):
            k = self.states.find(state)
            while k >= 0:
                self._become(k, DIRTY)
                k = self.states.find(state, k)

    def hold(self, k: int) -> None:
        """The mover has it."""
        self._become(k, COPYING)

    def copied(self, k: int, *, same: bool) -> None:
        """The mover gives it back. What was doubted meanwhile stays to be copied."""
        if self.states[k] == COPYING:
            self._become(k, HOT if same else DIRTY)

    def hot(self) -> set[int]:
        """All that wait for a flush."""
        found, k = set(), self.states.find(HOT)
        while k >= 0:
            found.add(k)
            k = self.states.find(HOT, k + 1)
        return found

    def flushed(self, slices: Iterable[int]) -> None:
        """Both sides were flushed since these were last touched."""
        sure = [k for k in slices if self.states[k] == HOT]
        self._log.clear(sure)
        for k in sure:
            self._become(k, CLEAN)
        self._rise()

    def _become(self, k: int, state: int) -> None:
        self._many[self.states[k]] -= 1
        self._many[state] += 1
        self.states[k] = state

    def _rise(self) -> None:
        while self.floor < len(self.states) and self.states[self.floor] == CLEAN:
            self.floor += 1
