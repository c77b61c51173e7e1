"""One disk that Trans serves: carries out what its judge says, and tells it what happened.

Guest and copies meet here, in one process and one thread: so one judge knows of everything that
is under way. Nothing here decides what may be sent when; that is `judge`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from common.endpoints.nbd import wire
from common.endpoints.nbd.asking import Offer
from common.endpoints.nbd.wire import Blocks, Command
from common.errors import Refused
from common.failpoints import failpoint
from consumer.trans.disks.exclusion import (
    BOTH,
    COPY,
    FLUSH,
    READ,
    SOURCE,
    TARGET,
    WRITE,
    ZERO,
    Op,
)
from consumer.trans.disks.guests import Guest
from consumer.trans.disks.judge import OURS, SETTLE, Answer, Copy, Effect, Judge, Send
from consumer.trans.disks.loop import Data, Loop
from consumer.trans.disks.mover import Job, Mover, Outcome, Proof
from consumer.trans.disks.sides import Line, Login, number
from consumer.trans.disks.slices import DIRTY, Log

log = structlog.get_logger(__name__)
SLICE = 1 << 20
COPIES = 1 << 62  # ids of copies begin here; the guest's requests count from 1
MOST_OPEN = 64 << 20  # bytes of writes that may be under way or wait, then the guest is not heard
MISMATCHES = 3  # of one slice under hold, then something is wrong that copying does not mend
_KINDS = {
    wire.CMD_READ: READ,
    wire.CMD_WRITE: WRITE,
    wire.CMD_FLUSH: FLUSH,
    wire.CMD_TRIM: ZERO,
    wire.CMD_ZERO: ZERO,
}


@dataclass(slots=True)
class Request:
    """What a guest asked for."""

    guest: Guest
    command: Command
    payload: Data | None
    error: int = 0
    data: bytearray | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How a disk is to be moved."""

    size: int
    iodepth: int = 1
    proof: Proof = Proof.MD5
    slice_bytes: int = SLICE


class Disk:
    """One disk. Everything but the movers runs in the loop."""

    def __init__(
        self,
        loop: Loop,
        plan: Plan,
        states: Iterable[int],
        notes: Log,
        source: Login,
        target: Login,
        *,
        failed: Callable[[str], None],
    ) -> None:
        self.plan, self.judge = plan, Judge(states, plan.slice_bytes, notes)
        self.judge.up = 0
        self.offer: Offer | None = None
        self.digests: dict[int, str] = {}
        self.lines = {
            SOURCE: Line(loop, SOURCE, source, self),
            TARGET: Line(loop, TARGET, target, self),
        }
        self._loop, self._failed = loop, failed
        self._offers: dict[int, Offer] = {}
        self._requests: dict[int, Request] = {}
        self._guests: dict[int, Guest] = {}
        self._next = self._sessions = 0
        self._open = 0  # bytes of writes under way
        self._copying: set[int] = set()
        self._cursor = 0
        self._wrong: dict[int, int] = {}
        self.moving, self.moved = False, 0
        self._mover = Mover(
            plan.iodepth, plan.proof, lambda outcome: loop.call(lambda: self.copied(outcome))
        )

    def open(self) -> None:
        for line in self.lines.values():
            line.open()

    def close(self) -> None:
        """Let go of everything. What was sent is for the gates to drain."""
        self._mover.close()
        for line in self.lines.values():
            line.close()
        self.drop()

    # the sides (`consumer.trans.disks.sides.Told`)

    def opened(self, side: int, offer: Offer) -> None:
        self._offers[side] = offer
        if wrong := unfit(self.plan, self._offers):
            self._failed(wrong)
            return
        if len(self._offers) == 2:
            self.offer = offered(self.plan, self._offers)
        self._run(self.judge.back(side))

    def answered(self, id: int, side: int, error: int, data: bytearray | None) -> None:
        if side == SOURCE and (request := self._requests.get(id)):
            request.error, request.data = error, data
        self._run(self.judge.answered(id, side, good=not error))
        if id not in self.judge.line.inflight and (done := self._requests.pop(id, None)):
            self._free(done)

    def lost(self, side: int) -> None:
        self._run(self.judge.lost(side))
        self._sweep()

    # guests (`consumer.trans.disks.guests.Served`)

    def welcome(self) -> int:
        if not self.judge.up & SOURCE or not self.offer or not self.judge.welcoming:
            return 0
        self._sessions += 1
        self.judge.begun(self._sessions)
        return self._sessions

    def came(self, guest: Guest) -> None:
        if guest.session not in self.judge.sessions:
            guest.drop()
            return
        self._guests[guest.session] = guest
        if self.judge.frozen:
            guest.pause()

    def requested(self, guest: Guest, command: Command, payload: Data | None) -> None:
        if guest.session not in self._guests:
            return
        self._next += 1
        id_, what = self._next, _KINDS[command.type]
        end = command.offset + command.length
        self._requests[id_] = Request(guest, command, payload)
        self._open += len(payload or b"")
        self._run(self.judge.asked(Op(id_, what, command.offset, end, guest.session)))
        if self._open > MOST_OPEN:
            self._hear(listen=False)

    def ended(self, session: int) -> None:
        self._guests.pop(session, None)
        self._run(self.judge.ended(session))
        self._sweep()

    def drop(self) -> None:
        """Every guest is to come back, and will be sent to where its disk is served then."""
        for guest in list(self._guests.values()):
            guest.drop()

    # freezing

    def freeze(self) -> None:
        self.judge.freeze()
        self._hear(listen=False)

    def thaw(self) -> None:
        self.judge.thaw()
        self._hear(listen=True)

    def finalise(self) -> None:
        """From here on the source is not gone back to: it may be fenced, and the disk switched."""
        self.lines[SOURCE].stay_out()

    def settle(self, *, everything: bool = False) -> None:
        self._run(self.judge.settle(everything=everything))

    def look(self) -> None:
        """Once in a while: is somebody silent, is there something to copy?"""
        for line in self.lines.values():
            line.look()
        self.feed()

    # copies

    def feed(self) -> None:
        """Keep as many slices under way as the plan says."""
        if not self.moving or self.judge.up != BOTH:
            return
        tried = 0
        while len(self._copying) < self.plan.iodepth and tried < 2 * self.plan.iodepth:
            tried += 1
            k = self._dirty()
            if k < 0:
                return
            self._cursor = k + 1
            self._copying.add(k)
            self._run(self.judge.copy(self._copy_op(k)))

    def copied(self, outcome: Outcome) -> None:
        """The mover is done with a slice."""
        k = outcome.op.id - COPIES
        if outcome.target_lost:
            self.lines[TARGET].lose()
        if outcome.differs:
            self._wrong[k] = self._wrong.get(k, 0) + 1
            if self._wrong[k] >= MISMATCHES:
                self._failed(f"slice {k} differs after each of {MISMATCHES} copies")
        if outcome.same:
            self.moved += 1
            self.digests[k] = outcome.digest
        self._run(self.judge.copied(outcome.op, same=outcome.same))
        if outcome.same:
            self.feed()

    def _dirty(self) -> int:
        states = self.judge.slices.states
        found = states.find(DIRTY, self._cursor)
        while found in self._copying:
            found = states.find(DIRTY, found + 1)
        if found >= 0 or not self._cursor:
            return found
        self._cursor = 0
        return self._dirty()

    def _copy_op(self, k: int) -> Op:
        start = k * self.plan.slice_bytes
        return Op(COPIES + k, COPY, start, min(start + self.plan.slice_bytes, self.plan.size), OURS)

    # what the judge says

    def _run(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(op, sides):
                    self._send(op, sides)
                case Answer(op, good):
                    self._answer(op, good=good)
                case Copy(op):
                    source, target = self.lines[SOURCE].address(), self.lines[TARGET].address()
                    self._mover.copy(Job(op, source, target))

    def _send(self, op: Op, sides: int) -> None:
        command, payload = self._translated(op)
        failpoint("trans.sending")
        for side, line in self.lines.items():
            if side & sides:
                line.send(command, payload)

    def _translated(self, op: Op) -> tuple[Command, Data | None]:
        """The request as the sides get it: under our id, and TRIM as zeros: what is undefined
        after it would differ on the two sides."""
        if op.id == SETTLE:
            return Command(0, wire.CMD_FLUSH, SETTLE, 0, 0), None
        request = self._requests[op.id]
        command = request.command._replace(cookie=op.id)
        if command.type == wire.CMD_TRIM:
            command = command._replace(type=wire.CMD_ZERO)
        return command, request.payload

    def _answer(self, op: Op, *, good: bool) -> None:
        if op.what == COPY:
            self._copying.discard(op.id - COPIES)
            return
        request = self._requests.get(op.id)
        if request is None or request.guest.session not in self._guests:
            return
        error = 0 if good else number(request.error)
        request.guest.answer(request.command.cookie, error, request.data)

    def _sweep(self) -> None:
        """Let go of requests that ended without an answer of a side."""
        line = self.judge.line
        waiting = {op.id for op in line.pending}
        for id_ in [n for n in self._requests if n not in line.inflight and n not in waiting]:
            self._free(self._requests.pop(id_))

    def _free(self, request: Request) -> None:
        before, self._open = self._open, self._open - len(request.payload or b"")
        if before > MOST_OPEN // 2 >= self._open and not self.judge.frozen:
            self._hear(listen=True)

    def _hear(self, *, listen: bool) -> None:
        for guest in self._guests.values():
            if listen:
                guest.resume()
            else:
                guest.pause()


def offered(plan: Plan, offers: dict[int, Offer]) -> Offer:
    """What the guest is offered: what both sides can."""
    both = offers[SOURCE].flags & offers[TARGET].flags
    flags = wire.HAS_FLAGS | wire.MULTI_CONN  # one connection to each side flushes for all of ours
    flags |= both & (wire.CAN_FLUSH | wire.CAN_FUA | wire.CAN_ZERO)
    if both & wire.CAN_ZERO:
        flags |= wire.CAN_TRIM
    blocks = [offer.blocks for offer in offers.values()]
    return Offer(
        "",
        plan.size,
        flags,
        Blocks(
            max(block.least for block in blocks),
            max(block.preferred for block in blocks),
            min(block.most for block in blocks),
        ),
    )


def unfit(plan: Plan, offers: dict[int, Offer]) -> str:
    """Why these two cannot be the sides of this move; "" if they can."""
    for side, offer in offers.items():
        name = "source" if side == SOURCE else "target"
        if offer.size != plan.size:
            return f"the {name} has {offer.size} bytes, and the disk {plan.size}"
        if offer.can(wire.READ_ONLY):
            return f"the {name} cannot be written"
        if not offer.can(wire.CAN_FLUSH):
            return f"the {name} cannot be flushed: nobody could know what is durable"
        if plan.slice_bytes % offer.blocks.least:
            return f"the {name} wants blocks of {offer.blocks.least} bytes"
    return ""


def checked(plan: Plan) -> Plan:
    """Refused if the plan cannot be."""
    if plan.size <= 0 or plan.iodepth < 1 or plan.slice_bytes < 4096:
        raise Refused(f"{plan} is no plan", hint="a size, and at least one slice at once")
    return plan
