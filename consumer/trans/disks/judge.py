"""The judge of one disk: told what guest, sides and mover say, it tells what to do next.

It holds no socket, thread or clock, so that a test can bring it into every state there is (small
ones, exhaustively: tests/props/test_disk_protocol.py). The rules it keeps:

- A copy and a write to the same slice exclude each other, as do overlapping writes.
- A slice stands in the write-intent log before a write to it is sent, until both sides answered
  well and were flushed since.
- The guest hears what the source said. A target that failed costs it nothing but a copy.
- A side that was lost is used again only once its old session is known to be dead: until then
  what was sent there may still arrive.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from common.errors import IllegalTransition
from consumer.trans.disks.exclusion import (
    BOTH,
    COPY,
    FLUSH,
    READ,
    SOURCE,
    TARGET,
    WRITE,
    Exclusion,
    Op,
)
from consumer.trans.disks.slices import DIRTY, Log, Slices

OURS = -1  # the session of what no guest asked for
SETTLE = 1 << 63  # the id of our own flush; there is one at a time


class Send(NamedTuple):
    """Send it to these sides."""

    op: Op
    sides: int


class Answer(NamedTuple):
    """Tell who asked; a guest's session is alive still."""

    op: Op
    good: bool


class Copy(NamedTuple):
    """The mover may copy this slice; nobody writes to it until `copied` is told."""

    op: Op


Effect = Send | Answer | Copy


class Judge:
    """One disk while its task is active. Not for use by several threads."""

    def __init__(self, states: Iterable[int], slice_bytes: int, log: Log) -> None:
        self.slices = Slices(states, log)
        self.line = Exclusion(slice_bytes)
        self.up = BOTH
        self.frozen = False
        self.sessions: set[int] = set()
        self._due: dict[int, int] = {}  # who has not answered yet
        self._bad: dict[int, int] = {}  # who answered badly, or cannot any more
        self._settling: set[int] = set()
        self._recent: set[int] = set()  # written since the last settlement began

    @property
    def drained(self) -> bool:
        """Is nothing under way, and does nothing wait?"""
        return not self.line.inflight and not self.line.pending

    @property
    def switchable(self) -> bool:
        """May the disk be switched now? Both sides are the same and nothing can change that."""
        return self.frozen and self.drained and self.slices.clean and self.up == BOTH

    @property
    def welcoming(self) -> bool:
        """May a guest's connection begin? Not while a write of one that is gone may still be
        carried out: the guest would see what was there before, and then the write."""
        known = {*self.sessions, OURS}
        return not self.frozen and all(op.session in known for op in self.line.inflight.values())

    def begun(self, session: int) -> None:
        """A guest's connection."""
        if not self.welcoming:
            raise IllegalTransition(f"session {session} begins while another still ends")
        self.sessions.add(session)

    def ended(self, session: int) -> list[Effect]:
        """It is gone. What was sent for it goes on excluding others until the sides answered."""
        self.sessions.discard(session)
        return self._start(self.line.forget(session))

    def freeze(self) -> None:
        """No further request from the guest; what was asked before goes on."""
        self.frozen = True

    def thaw(self) -> None:
        """It was not switched after all."""
        self.frozen = False

    def asked(self, op: Op) -> list[Effect]:
        """A guest's request."""
        if self.frozen or op.session not in self.sessions:
            raise IllegalTransition(f"{op} while no guest may ask")
        return self._start([op]) if self.line.enter(op) else []

    def copy(self, op: Op) -> list[Effect]:
        """The mover asks for a slice: Copy when nobody writes to it, Answer if there is nothing
        to do. Nothing at all (ask again later) while a side is away."""
        [k] = self.line.slices(op)
        if self.slices.states[k] != DIRTY:
            return [Answer(op, good=True)]
        if self.up != BOTH:
            return [Answer(op, good=False)]
        return self._start([op]) if self.line.enter(op) else []

    def copied(self, op: Op, *, same: bool) -> list[Effect]:
        """The mover is done with it, and nothing that it sent can still arrive: the target has
        answered all of it, or was told to be `lost` first."""
        [k] = self.line.slices(op)
        self.slices.copied(k, same=same)
        return [Answer(op, good=same), *self._start(self.line.leave(op))]

    def answered(self, id: int, side: int, *, good: bool) -> list[Effect]:
        """A side's answer to what was sent to it."""
        if not self._due.get(id, 0) & side:
            return []  # of a session that was lost
        self._due[id] &= ~side
        if not good:
            self._bad[id] = self._bad.get(id, 0) | side
        return self._ended(id) if not self._due[id] else []

    def lost(self, side: int) -> list[Effect]:
        """The connection to a side broke, or it did not answer in time.

        What the target owes is not waited for; what the source owes is asked of it again.
        """
        self.up &= ~side
        self.slices.doubt()
        self._settling.clear()
        effects: list[Effect] = []
        for id_ in [id_ for id_, due in self._due.items() if due & side]:
            if side is TARGET or id_ == SETTLE:
                effects += self.answered(id_, side, good=False)
        return effects

    def back(self, side: int) -> list[Effect]:
        """A new session is open, and nothing of the old one can arrive any more."""
        self.up |= side
        owed = [self.line.inflight[id_] for id_, due in self._due.items() if due & side]
        return [Send(op, side) for op in owed]

    def gone(self) -> list[Effect]:
        """The source stays away for too long: the guest is told that its requests failed."""
        effects: list[Effect] = []
        for id_ in [id_ for id_, due in self._due.items() if due & SOURCE]:
            effects += self.answered(id_, SOURCE, good=False)
        return effects

    def settle(self, *, everything: bool = False) -> list[Effect]:
        """Flush both sides; what was in step before then leaves the log.

        Slices that were written since the last time are left in, unless `everything` is wanted:
        they will be written again, and marking costs the guest time.
        """
        if SETTLE in self._due or self.up != BOTH:
            return []
        keep = set() if everything else self._recent
        self._settling = {k for k in self.slices.hot() - keep if not self.line.busy(k)}
        self._recent = set()
        return self._start([self._flush()]) if self._settling else []

    def _flush(self) -> Op:
        op = Op(SETTLE, FLUSH, session=OURS)
        self.line.enter(op)
        return op

    def _start(self, ops: Iterable[Op]) -> list[Effect]:
        """These have begun."""
        effects: list[Effect] = []
        for op in ops:
            if op.what is COPY:
                effects += self._hold(op)
            else:
                effects += self._send(op)
        return effects

    def _hold(self, op: Op) -> list[Effect]:
        [k] = self.line.slices(op)
        if self.up != BOTH or self.slices.states[k] != DIRTY:  # while it waited
            good = self.slices.states[k] != DIRTY
            return [Answer(op, good), *self._start(self.line.leave(op))]
        self.slices.hold(k)
        return [Copy(op)]

    def _send(self, op: Op) -> list[Effect]:
        sides = SOURCE if op.what is READ else SOURCE | self.up
        if op.what >= WRITE:
            touched = self.line.slices(op)
            self.slices.written(touched, both=bool(sides & TARGET))
            self._settling.difference_update(touched)
            self._recent.update(touched)
        self._due[op.id] = sides
        return [Send(op, sides & self.up)] if sides & self.up else []

    def _ended(self, id: int) -> list[Effect]:
        op, bad = self.line.inflight[id], self._bad.pop(id, 0)
        del self._due[id]
        if bad and op.what >= WRITE:
            self.slices.dirty(self.line.slices(op))
        if op.what is FLUSH:
            self._flushed(op, bad)
        effects: list[Effect] = []
        if op.session in self.sessions:
            effects.append(Answer(op, good=not bad & SOURCE))
        return effects + self._start(self.line.leave(op))

    def _flushed(self, op: Op, bad: int) -> None:
        if bad:
            self.slices.doubt()
        elif op.id == SETTLE:
            self.slices.flushed(self._settling)
        if op.id == SETTLE:
            self._settling = set()
