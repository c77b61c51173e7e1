"""What the steps of a disk that is being moved are made of: wires, answers, and the real judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from common.endpoints.nbd.admission import Admission
from common.lifecycle import disks
from consumer.trans.disks.exclusion import COPY, FLUSH, Op
from consumer.trans.disks.judge import OURS, Answer, Copy, Effect, Judge, Send
from consumer.trans.disks.slices import COPYING
from tests.props.disk_world import (
    NEW,
    OLD,
    SIDES,
    Disk,
    Message,
    Notes,
    S,
    T,
    World,
    frozen,
    thawed,
)
from tests.props.worlds import Broken

Step = tuple[str, World]
Data = tuple[Any, ...]
NAMES = ("read", "flush", "write", "zero", "copy")
COPIES = 1_000  # ids of copies begin here


@dataclass(frozen=True)
class Rules:
    """The real ones; a mutant replaces some."""

    judge: type[Judge] = Judge
    login: Callable[[Admission, int], Admission] = Admission.login
    fence: Callable[[Admission, int], Admission] = Admission.fence
    takes: Callable[[Admission, int], bool] = Admission.takes
    begun: Callable[[str, str], disks.Change] = disks.begun
    taken: Callable[[str, str], disks.Change] = disks.taken
    mounted: Callable[[str], disks.Change] = disks.mounted
    switched: Callable[[str, str, int, str], disks.Change] = disks.switched
    drains: bool = True  # a gate lets nothing of an earlier mount be carried out
    logged: bool = True  # the write-intent log survives
    fenced: bool = True  # the source is fenced before the commit


@dataclass(frozen=True)
class Scenario:
    """Small bounds."""

    program: tuple[tuple[int, int] | None, ...]  # writes (start, end); None is a flush
    size: int = 1
    slice_bytes: int = 1
    faults: int = 0
    kinds: str = ""  # of faults; those of a side end with its name, as cut-old
    at_once: int = 1  # writes of the guest
    aborts: int = 0
    reads: int = 0

    @property
    def slices(self) -> int:
        return self.size // self.slice_bytes

    def may(self, kind: str, side: int | None = None) -> bool:
        return (kind if side is None else f"{kind}-{(OLD, NEW)[side]}") in self.kinds.split()


class Wires:
    """What is under way, and what its arrival does."""

    def __init__(self, scenario: Scenario, rules: Rules) -> None:
        self.of_scenario, self.rules = scenario, rules
        self._known: dict[Any, tuple[Data, frozenset[int], list[Effect]]] = {}
        self._seen: dict[tuple[Data, str], bool] = {}

    # wires

    def _wires(self, world: World) -> Iterator[Step]:
        for message in world.messages:
            side, disk = message.side, world.sides[message.side]
            rest = world._replace(messages=world.messages - {message})
            if message.done:
                yield f"answer {_told(message)}", self._arrive(rest, message)
            elif not disk.alive:
                yield f"vanish {_told(message)}", rest
            elif self.rules.takes(disk.gate, message.mount):
                done = message._replace(done=True)
                yield f"do {_told(message)}", self._carry_out(rest, message, done)
                if world.faults and self.of_scenario.may("error", side):
                    bad = message._replace(done=True, good=False)
                    few = rest._replace(faults=world.faults - 1)
                    yield f"fail {_told(message)}", few._replace(messages=few.messages | {bad})
                    yield f"half {_told(message)}", self._carry_out(few, message, bad)
            elif message.mount == disk.gate.mount:
                refused = message._replace(done=True, good=False)
                yield f"refuse {_told(message)}", rest._replace(messages=rest.messages | {refused})
            else:
                yield f"cut off {_told(message)}", rest

    def _carry_out(self, world: World, message: Message, done: Message) -> World:
        if world.record.switched and message.side == S and message.what is not FLUSH:
            raise Broken(f"written to the old set after the switch: {message}")
        disk = world.sides[message.side]
        if message.what is FLUSH:
            disk = disk.flush()
        else:
            disk = disk.write(message.start, message.end, message.values)
        world = changed(world, message.side, disk)
        return world._replace(messages=world.messages | {done})

    def _arrive(self, world: World, message: Message) -> World:
        guest, trans = world.guest, world.trans
        if trans and message.mount == trans.mount(message.side):
            if message.what is COPY:
                return self._copied(world, message)
            side = SIDES[message.side]
            return self._judged(world, "answered", message.id, side, good=message.good)
        if guest.to in (OLD, NEW) and guest.mount == message.mount:
            return self._told(world, message.id % 10, message.good)
        return world

    def _copied(self, world: World, message: Message) -> World:
        assert world.trans
        k = message.start // self.of_scenario.slice_bytes
        if all(k != held for held, _, _ in world.trans.copying):
            return world
        old, new = (disk.now[message.start : message.end] for disk in world.sides)
        alive = all(
            disk.alive and disk.gate.mount == world.trans.mount(side)
            for side, disk in enumerate(world.sides)
        )
        held = world.trans.judge[0][k] == COPYING
        if message.good and alive and held and old != new:
            raise Broken(f"copied under a hold, and not the same: {old} {new}")
        return self._end_copy(world, k, same=message.good)

    def _end_copy(self, world: World, k: int, *, same: bool) -> World:
        assert world.trans
        left = tuple(held for held in world.trans.copying if held[0] != k)
        world = world._replace(trans=world.trans._replace(copying=left))
        return self._judged(world, "copied", self._copy_op(k), same=same)

    # what the judge says

    def _judged(self, world: World, ask: str, *args: Any, **named: Any) -> World:
        assert world.trans
        key = (world.trans.judge, world.log, ask, args, *named.values())
        if key not in self._known:
            self._known[key] = self._asked_of(world.trans.judge, world.log, ask, args, named)
        after, log, effects = self._known[key]
        world = world._replace(trans=world.trans._replace(judge=after), log=log)
        for effect in effects:
            world = self._effect(world, effect)
        return world

    def _asked_of(
        self, data: Data, log: frozenset[int], ask: str, args: Any, named: Any
    ) -> tuple[Data, frozenset[int], list[Effect]]:
        notes = Notes(set(log))
        judge = thawed(self.rules.judge, data, self.of_scenario.slice_bytes, notes)
        effects = getattr(judge, ask)(*args, **named)
        return frozen(judge), frozenset(notes.noted), effects or []

    def _effect(self, world: World, effect: Effect) -> World:
        assert world.trans
        match effect:
            case Send(op, sides):
                sent = [self._message(world, op, n) for n in (S, T) if SIDES[n] & sides]
                return world._replace(messages=world.messages | set(sent))
            case Answer(op, good):
                return world if op.session == OURS else self._told(world, op.id % 10, good)
            case Copy(op):
                held = (*world.trans.copying, (op.start // self.of_scenario.slice_bytes, "", ()))
                return world._replace(trans=world.trans._replace(copying=held))

    def _message(self, world: World, op: Op, side: int) -> Message:
        assert world.trans
        values = () if op.what is FLUSH else (op.id % 10 + 1,) * (op.end - op.start)
        return Message(side, world.trans.mount(side), op.id, op.what, op.start, op.end, values)

    def _told(self, world: World, place: int, good: bool) -> World:
        """The guest gets its answer."""
        guest, item = world.guest, self.of_scenario.program[place]
        if place not in guest.open:
            return world
        left = tuple(o for o in guest.open if o != place)
        guest = guest._replace(open=left)
        if item is None:
            return world._replace(guest=guest._replace(kept=guest.legal if good else guest.kept))
        if good and place not in guest.shaken:
            value = place + 1
            others = {o + 1 for o in left}
            legal = list(guest.legal)
            for at in range(*item):
                near = {x for x in legal[at] if (x, value) in guest.overlap}
                legal[at] = frozenset({value} | near | (others & legal[at]))
            guest = guest._replace(legal=tuple(legal))
        return world._replace(guest=guest)

    def _copy_op(self, k: int) -> Op:
        return Op(COPIES + k, COPY, *self._bounds(k), OURS)

    def _bounds(self, k: int) -> tuple[int, int]:
        return k * self.of_scenario.slice_bytes, (k + 1) * self.of_scenario.slice_bytes

    def _enter(self, world: World, side: int, number: int) -> World:
        """A gate lets a mount in; whoever else was there is out."""
        disk = world.sides[side]
        gate = self.rules.login(disk.gate, number)
        if self.rules.drains:
            left = {m for m in world.messages if m.side != side or m.mount >= number}
            world = world._replace(messages=frozenset(left))
        guest = world.guest
        if guest.to == (OLD, NEW)[side] and not self.rules.takes(gate, guest.mount):
            world = world._replace(guest=guest._replace(to=""))
        return changed(world, side, disk._replace(gate=gate, alive=True))


def changed(world: World, side: int, disk: Disk) -> World:
    sides = list(world.sides)
    sides[side] = disk
    return world._replace(sides=(sides[0], sides[1]))


def _told(message: Message) -> str:
    return f"{NAMES[message.what]} {message.values} at {(OLD, NEW)[message.side]}"
