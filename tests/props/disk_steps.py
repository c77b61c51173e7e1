"""Everything that may happen next to a disk that is being moved: one atomic step at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from common.endpoints.nbd.admission import Admission, last, mount
from common.errors import Stale
from common.lifecycle import disks
from consumer.trans.disks.exclusion import BOTH, COPY, FLUSH, SOURCE, WRITE, Op
from consumer.trans.disks.judge import SETTLE
from consumer.trans.disks.slices import COPYING, DIRTY, HOT
from tests.props.disk_faults import Faults
from tests.props.disk_wires import COPIES, Rules, Step, changed
from tests.props.disk_world import (
    DISK,
    NEW,
    OLD,
    SIDES,
    TASK,
    TRANS,
    Disk,
    Guest,
    Message,
    Notes,
    S,
    T,
    Trans,
    World,
    frozen,
    states_of,
    thawed,
)
from tests.props.worlds import Broken


class Steps(Faults):
    """All steps of one scenario under some rules."""

    def first(self) -> World:
        some = self.of_scenario
        zero, first = (0,) * some.size, mount(1)
        disk = Disk(zero, frozenset([zero]))
        old = disk._replace(gate=self.rules.login(Admission(), first))
        new = disk._replace(now=(-1,) * some.size)  # whatever lay there before
        new = new._replace(after_loss=frozenset([new.now]))
        legal = (frozenset([0]),) * some.size
        return World(
            (old, new),
            frozenset(),
            Guest(mount=first, legal=legal, kept=legal),
            faults=some.faults,
            aborts=some.aborts,
            reads=some.reads,
        )

    def of(self, world: World) -> Iterator[Step]:
        yield from self._wires(world)
        yield from self._guest(world)
        yield from self._trans(world)
        yield from self._orders(world)
        if world.faults:
            yield from self._faults(world._replace(faults=world.faults - 1))

    # the guest

    def _guest(self, world: World) -> Iterator[Step]:
        guest = world.guest
        if not guest.to:
            yield from self._attach(world)
            return
        if self._may_ask(world):
            yield f"guest asks {guest.next}", self._ask(world, guest.next, again=False)
        if world.reads and not guest.open and self._sees(world) is not None:
            yield "guest looks", look(world._replace(reads=world.reads - 1), self._sees(world))

    def _may_ask(self, world: World) -> bool:
        guest, program = world.guest, self.of_scenario.program
        if guest.next == len(program) or len(guest.open) >= self.of_scenario.at_once:
            return False
        if guest.open and None in (program[guest.next], program[guest.open[0]]):
            return False
        return guest.to != TRANS or bool(world.trans and not world.trans.judge[4])

    def _ask(self, world: World, place: int, *, again: bool) -> World:
        guest, item = world.guest, self.of_scenario.program[place]
        if not again:
            guest = guest._replace(next=place + 1, open=(*guest.open, place))
            if item is not None:
                guest = _asked(guest, place + 1, item)
        world = world._replace(guest=guest)
        start, end = item or (0, 0)
        what = WRITE if item else FLUSH
        op = Op(guest.session * 10 + place, what, start, end, guest.session)
        if guest.to == TRANS:
            return self._judged(world, "asked", op)
        side = T if guest.to == NEW else S
        values = (place + 1,) * (end - start)
        sent = Message(side, guest.mount, op.id, what, start, end, values)
        return world._replace(messages=world.messages | {sent})

    def _attach(self, world: World) -> Iterator[Step]:
        guest, trans = world.guest, world.trans
        if guest.granted:
            yield "guest logs in", self._log_in(world)
            return
        if record := world.record.change(self.rules.mounted(DISK)):
            there = guest._replace(granted=record.set, mount=mount(record.epoch))
            yield "guest is sent to a set", world._replace(record=record, guest=there)
        elif trans and trans.judge[3] & SOURCE and self._is(trans, "welcoming"):
            to = guest._replace(to=TRANS, session=guest.session + 1)
            world = world._replace(guest=to)
            world = self._judged(world, "begun", to.session)
            for place in guest.open:
                world = self._ask(world, place, again=True)
            yield "guest comes to Trans", world

    def _log_in(self, world: World) -> World:
        guest = world.guest
        side = T if guest.granted == NEW else S
        try:
            world = self._enter(world, side, guest.mount)
        except Stale:
            return world._replace(guest=guest._replace(granted=""))
        there = guest._replace(to=guest.granted, granted="", session=guest.session + 1)
        world = world._replace(guest=there)
        for place in guest.open:
            world = self._ask(world, place, again=True)
        return world

    def _sees(self, world: World) -> tuple[int, ...] | None:
        """What the guest would read; None while it cannot."""
        return sees(world, self.rules)

    # Trans

    def _trans(self, world: World) -> Iterator[Step]:
        record, trans = world.record, world.trans
        if trans is None:
            if world.tasks and (begun := record.change(self.rules.begun(DISK, TASK))):
                fresh = world._replace(record=begun, tasks=world.tasks - 1)
                yield "a task begins", self._rise(fresh)
            elif record.task and (taken := record.change(self.rules.taken(DISK, TASK))):
                yield "a Trans takes over", self._rise(world._replace(record=taken))
            return
        if record.task != TASK:
            yield "Trans learns that its task is over", self._die(world)
        yield from self._sessions(world, trans)
        yield from self._copies(world, trans)
        yield from self._finish(world, trans)
        if world.aborts and (released := record.change(disks.released(DISK, TASK))):
            yield "abort", world._replace(record=released, aborts=world.aborts - 1)

    def _rise(self, world: World) -> World:
        everything = frozenset(range(self.of_scenario.slices))
        log = world.log if self.rules.logged else frozenset[int]()
        if world.stamp != world.record.epoch - 1:  # somebody held the disk since it was written
            log = everything
        world = world._replace(log=log, stamp=world.record.epoch)
        judge = self.rules.judge(states_of(log, self.of_scenario.slices), 1, Notes())
        judge.up = 0
        return world._replace(trans=Trans(world.record.epoch, (0, 0), frozen(judge)))

    def _sessions(self, world: World, trans: Trans) -> Iterator[Step]:
        for side, name in enumerate((OLD, NEW)):
            up = trans.judge[3] & SIDES[side]
            if up and not world.sides[side].alive:
                yield f"Trans sees that {name} is gone", self._lose(world, side)
            elif not up and (side == T or trans.finish in ("", "frozen")):
                try:
                    there = self._enter(world, side, trans.mount(side))
                except Stale:
                    continue
                yield f"Trans logs in to {name}", self._judged(there, "back", SIDES[side])

    def _copies(self, world: World, trans: Trans) -> Iterator[Step]:
        states, up = trans.judge[0], trans.judge[3]
        waiting = {op.start for op in trans.judge[2] if op.what is COPY}
        if trans.finish in ("", "frozen") and up == BOTH and not trans.copying and not waiting:
            for k in range(len(states)):
                if states[k] == DIRTY:
                    copy = self._copy_op(k)
                    yield f"copy {k}", self._judged(world, "copy", copy)
        for k, step, _ in trans.copying:
            if step == "" and self._reads(world, S):
                start, end = self._bounds(k)
                values = world.sides[S].now[start:end]
                left = tuple(h for h in trans.copying if h[0] != k)
                there = trans._replace(copying=(*left, (k, "wrote", values)))
                sent = Message(T, trans.mount(T), COPIES + k, COPY, start, end, values)
                messages = world.messages | {sent}
                yield f"copy {k} reads", world._replace(trans=there, messages=messages)
        if HOT in states and up == BOTH and SETTLE not in dict(trans.judge[6]):
            yield "settle", self._judged(world, "settle", everything=True)

    def _reads(self, world: World, side: int) -> bool:
        disk, trans = world.sides[side], world.trans
        return bool(trans and disk.alive and disk.gate.mount == trans.mount(side))

    def _finish(self, world: World, trans: Trans) -> Iterator[Step]:
        states = trans.judge[0]
        if not trans.finish and not {DIRTY, COPYING} & set(states) and trans.judge[3] == BOTH:
            still = world._replace(trans=trans._replace(finish="frozen"))
            yield "freeze", self._judged(still, "freeze")
        elif trans.finish == "frozen" and self._is(trans, "switchable"):
            order = ("fence", trans.epoch) if self.rules.fenced else ("commit", trans.epoch)
            sent = trans._replace(finish="fencing" if self.rules.fenced else "committing")
            yield "fence", world._replace(trans=sent, orders=world.orders | {order})
        elif trans.finish == "fenced":
            orders = world.orders | {("commit", trans.epoch)}
            sent = trans._replace(finish="committing")
            yield "commit", world._replace(trans=sent, orders=orders)

    def _is(self, trans: Trans, what: str) -> bool:
        key = (trans.judge, what)
        if key not in self._seen:
            size = self.of_scenario.slice_bytes
            judge = thawed(self.rules.judge, trans.judge, size, Notes())
            self._seen[key] = getattr(judge, what)
        return self._seen[key]

    # orders on their way

    def _orders(self, world: World) -> Iterator[Step]:
        for order in world.orders:
            what, number = order
            rest = world._replace(orders=world.orders - {order})
            if what == "fence":
                yield "the source is fenced", self._fence(rest, number)
            else:
                yield "the commit arrives", self._commit(rest, number)

    def _fence(self, world: World, epoch: int) -> World:
        disk = world.sides[S]
        world = changed(world, S, disk._replace(gate=self.rules.fence(disk.gate, last(epoch))))
        trans = world.trans
        if trans and trans.epoch == epoch and trans.finish == "fencing":
            world = world._replace(trans=trans._replace(finish="fenced"))
        return world

    def _commit(self, world: World, epoch: int) -> World:
        record = world.record.change(self.rules.switched(DISK, TASK, epoch, NEW))
        if record is None:
            return world
        gate = world.sides[S].gate
        if self.rules.takes(gate, gate.mount):
            raise Broken("both sets can be written")
        world = world._replace(record=record)
        if world.trans and world.trans.epoch == epoch:
            world = self._die(world)
        return world


def sees(world: World, rules: Rules) -> tuple[int, ...] | None:
    """What the guest would read now; None while it cannot."""
    guest, trans = world.guest, world.trans
    if guest.to == TRANS:
        disk = world.sides[S]
        ok = trans and disk.alive and rules.takes(disk.gate, trans.mount(S))
        return disk.now if ok and trans and trans.judge[3] & SOURCE else None
    if guest.to in (OLD, NEW):
        disk = world.sides[T if guest.to == NEW else S]
        return disk.now if disk.alive and rules.takes(disk.gate, guest.mount) else None
    return None


def look(world: World, found: tuple[int, ...] | None) -> World:
    """The guest reads: from now on nothing else may be there."""
    assert found is not None
    legal = tuple(frozenset([value]) for value in found)
    return world._replace(guest=world.guest._replace(legal=legal))


def _asked(guest: Guest, value: int, item: tuple[int, int]) -> Guest:
    legal, kept = list(guest.legal), list(guest.kept)
    for at in range(*item):
        legal[at] |= {value}
        kept[at] |= {value}
    met = {pair for o in guest.open for pair in ((o + 1, value), (value, o + 1))}
    return guest._replace(legal=tuple(legal), kept=tuple(kept), overlap=guest.overlap | met)


def ended(world: World, program: Iterable[object]) -> bool:
    """Is nothing left to do? The guest has all its answers and the disk one home."""
    guest = world.guest
    return (
        guest.next == len(tuple(program))
        and not guest.open
        and guest.to == world.record.set
        and not world.record.task
        and not world.trans
        and not world.tasks
    )
