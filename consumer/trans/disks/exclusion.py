"""Who may be under way at the same time: no two that change overlapping bytes, first come first.

Servers may carry out concurrent requests in any order, and the two sides in different ones: so
overlapping writes never are concurrent here, and the copy of a slice excludes every write to it.
A request waits also for an earlier one that waits, else a stream of small writes could starve a
copy, and overtake a write that was asked before. Pure bookkeeping; nothing is sent from here.
"""

from __future__ import annotations

from typing import NamedTuple

# Plain numbers, here as for the sides: they are compared several times for every request.
READ, FLUSH, WRITE, ZERO, COPY = range(5)
"""What a request does. ZERO is WRITE_ZEROES, and TRIM, whose outcome must be the same on both
sides; COPY is that of one slice, checked under the same hold. From WRITE on they change bytes."""

SOURCE, TARGET = 1, 2
BOTH = SOURCE | TARGET


class Op(NamedTuple):
    """A request; `id` is ours and unique among all that are under way."""

    id: int
    what: int
    start: int = 0
    end: int = 0
    session: int = 0


class Exclusion:
    """What is under way and what waits, each in the order in which it was asked."""

    def __init__(self, slice_bytes: int) -> None:
        self._slice = slice_bytes
        self.inflight: dict[int, Op] = {}
        self.pending: list[Op] = []
        self._busy: dict[int, list[Op]] = {}
        self._waiting: dict[int, list[Op]] = {}

    def slices(self, op: Op) -> range:
        """The slices that it touches."""
        return range(op.start // self._slice, -(-op.end // self._slice))

    def busy(self, k: int) -> bool:
        """Is anything under way that changes this slice?"""
        return k in self._busy

    def enter(self, op: Op) -> bool:
        """Begin it, or let it wait; whether it has begun."""
        if op.what >= WRITE:
            if self._meets(op, self._busy) or self._meets(op, self._waiting):
                self.pending.append(op)
                self._note(op, self._waiting)
                return False
            self._note(op, self._busy)
        self.inflight[op.id] = op
        return True

    def leave(self, op: Op) -> list[Op]:
        """It has ended; what begins now, in the order in which it was asked."""
        del self.inflight[op.id]
        if op.what < WRITE:
            return []
        self._strike(op, self._busy)
        return self._promote()

    def forget(self, session: int) -> list[Op]:
        """Strike what this session still waits for; what begins now in its place."""
        gone = [op for op in self.pending if op.session == session]
        self.pending = [op for op in self.pending if op.session != session]
        for op in gone:
            self._strike(op, self._waiting)
        return self._promote()

    def _promote(self) -> list[Op]:
        if not self.pending:
            return []
        waiting, self.pending, self._waiting = self.pending, [], {}
        return [op for op in waiting if self.enter(op)]

    def _meets(self, op: Op, table: dict[int, list[Op]]) -> bool:
        if not table:
            return False
        return any(
            other.start < op.end and op.start < other.end
            for k in self.slices(op)
            for other in table.get(k, ())
        )

    def _note(self, op: Op, table: dict[int, list[Op]]) -> None:
        for k in self.slices(op):
            table.setdefault(k, []).append(op)

    def _strike(self, op: Op, table: dict[int, list[Op]]) -> None:
        for k in self.slices(op):
            table[k].remove(op)
            if not table[k]:
                del table[k]
