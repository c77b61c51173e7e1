"""Everything that may happen next to a partition that is being moved: one atomic step at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from common.errors import ConvoyError, Stale
from common.lifecycle.partitions.partition import Restore, Status, Step
from common.lifecycle.partitions.record import Record
from consumer.trans.partitions import judge as copies
from consumer.trans.partitions.judge import Copy
from producer.partitions import orders
from producer.partitions.facts import (
    Act,
    Adopt,
    Release,
    Retire,
    Seen,
    Take,
    Tokens,
    View,
    Wait,
    Write,
)
from producer.partitions.tokens import taken, without
from tests.props.partition_hosts import Hosts, Moved, Rules, Scenario, changed, less
from tests.props.partition_world import DISK, ID, Host, World
from tests.props.worlds import Broken


class Steps(Hosts):
    """All steps of one scenario under some rules."""

    def __init__(self, scenario: Scenario, rules: Rules) -> None:
        super().__init__(scenario, rules)
        self._known: dict[object, Act] = {}

    def first(self) -> World:
        some = self.scenario
        members = self.names[: some.replicas - some.missing]
        record = Record(ID, some.replicas, members, members[0])
        if some.start is Status.FAILED:
            record = record._replace(status=Status.FAILED, rollbacks=99, why="before")
        hosts = [
            Host(Copy(name, record.config, 1) if name in members else None) for name in self.names
        ]
        if some.lost:
            hosts[some.source] = Host(intact=False)
        return World(tuple(hosts), record, some.left)

    def of(self, world: World) -> Iterator[Moved]:
        for at, host in enumerate(world.hosts):
            if host.up and host.intact and host.copy:
                yield from self._host(world, at, host, host.copy)
            if not host.up:
                yield f"{self.names[at]} starts", changed(world, at, host._replace(up=True))
        yield from self._mail(world)
        yield from self._people(world)
        yield from self._controller(world)
        yield from self._faults(world)

    def idle(self, world: World) -> bool:
        """Has the controller nothing to do?"""
        return isinstance(self._judged(world.record, self._view(world)), Wait)

    # people

    def _people(self, world: World) -> Iterator[Moved]:
        acts: dict[str, Callable[[Record], Record | None]] = {
            "mark": lambda r: orders.mark(r, self.names[self.scenario.source], disk=DISK),
            "pause": orders.pause,
            "cancel": orders.cancel,
            "reset": self.rules.reset,
        }
        for what, act in acts.items():
            if getattr(world.left, what) and self.scenario.source >= 0:
                try:
                    record = act(world.record)
                except ConvoyError:
                    continue
                if record is None:  # it was said, and written nowhere
                    raise Broken(f"{what} was acknowledged and is in no record")
                yield what, self.stored(less(world, what), record)

    # the controller

    def _controller(self, world: World) -> Iterator[Moved]:
        if world.held:
            yield "a zombie acts", self._done(world._replace(held=None), world.held)
        for how, rest, view in self._views(world):
            act = self._judged(world.record, view)
            if isinstance(act, Take | Release) and not world.left.zombie and not world.held:
                yield f"{_named(act)}{how}", self._dealt(rest, act, view)
            elif not isinstance(act, Wait):
                yield f"{_named(act)}{how}", self._done(rest, act)
                if world.left.zombie and not how and not world.held:
                    yield f"held: {_named(act)}", less(world, "zombie")._replace(held=act)
            if self.scenario.heals and (record := self.rules.healed(world.record, view)):
                yield f"heals{how}", self._done(rest, Write(record))

    def _views(self, world: World) -> Iterator[tuple[str, World, View]]:
        yield "", world, self._view(world)
        if world.left.overdue or not world.hosts[self.places[world.record.primary]].intact:
            late = self._view(world)._replace(overdue=True)
            rest = less(world, "overdue") if world.left.overdue else world
            yield ", out of patience", rest, late
        if world.left.blip:
            for name in self.names:
                deaf = self._view(world, {name: Seen(alive=False)})
                yield f", not hearing {name}", less(world, "blip"), deaf
        if world.late:
            old = self._view(world, dict([world.late]))
            yield ", believing an old word", world._replace(late=None), old

    def _view(self, world: World, instead: dict[str, Seen] | None = None) -> View:
        seen = {name: host.said() for name, host in zip(self.names, world.hosts, strict=True)}
        return View(seen | (instead or {}), dict(world.tokens), self.candidates)

    def _judged(self, record: Record, view: View) -> Act:
        key = (record, tuple(view.seen.items()), tuple(view.tokens.items()), view.overdue)
        if key not in self._known:
            self._known[key] = self.judge.act(record, view)
        return self._known[key]

    def _dealt(self, world: World, act: Act, view: View) -> World:
        """Several tokens at once, as nobody else looks (who does: test_partition_judgements)."""
        while isinstance(act, Take | Release):
            world = self._done(world, act)
            act = self._judged(world.record, view._replace(tokens=dict(world.tokens)))
        return world

    def _done(self, world: World, act: Act) -> World:
        match act:
            case Write(record):
                late = record.version != world.record.version + 1
                if late and self.rules.fenced:
                    return world
                return self.stored(world, record)
            case Take(key, entry):
                there = dict(world.tokens).get(key, Tokens(limit=1))
                return _tokens(world, key, taken(there, entry))
            case Release(key, entry):
                there = dict(world.tokens).get(key, Tokens(limit=1))
                return _tokens(world, key, without(there, entry))
            case Adopt():
                return self._adopt(world, act)
            case Retire(name, epoch):
                host = world.hosts[self.places[name]]
                old = host.copy if host.up and host.intact else None
                if old and self.rules.retires(old, epoch):
                    gone = Host(up=host.up, intact=host.intact)
                    return changed(world, self.places[name], gone)
        return world

    def _adopt(self, world: World, order: Adopt) -> World:
        at = self.places[order.host]
        host = world.hosts[at]
        if not host.up or not host.intact:
            return world
        if host.copy is None:
            made = Host(Copy(order.host, order.config))
            return changed(world, at, made) if order.make else world
        try:
            copy = copies.adopted(host.copy, order.config)
        except Stale:
            return world
        return changed(world, at, host._replace(copy=copy, lead=None, open=None))

    # faults

    def _faults(self, world: World) -> Iterator[Moved]:
        left = world.left
        for at, host in enumerate(world.hosts):
            name = self.names[at]
            hit = name in self.scenario.hit
            if left.crash and hit and host.up and host.copy:
                down = host._replace(up=False, lead=None, open=None)
                yield f"{name} dies", changed(less(world, "crash"), at, down)
            if left.lose and hit and host.intact and host.copy:
                lost = Host(up=host.up, intact=False)
                yield f"{name} loses its disk", changed(less(world, "lose"), at, lost)
            if left.stale and not world.late and host.copy:
                yield (
                    f"a word of {name} stays",
                    less(world, "stale")._replace(late=(name, host.said())),
                )


def finished(world: World) -> bool:
    """Is nothing left to do by itself?"""
    rest = world.record.status in (Status.INITIAL, Status.PAUSED, Status.FAILED)
    quiet = not world.held and not world.mail and all(host.up for host in world.hosts)
    return rest and quiet and world.record.restore is Restore.STOP and not world.record.claims


def _tokens(world: World, key: str, tokens: Tokens | None) -> World:
    if tokens is None:
        return world
    rest = dict(world.tokens) | {key: tokens}
    return world._replace(tokens=tuple(sorted((k, t) for k, t in rest.items() if t.held)))


def _named(act: Act) -> str:
    if isinstance(act, Write):
        record = act.record
        step = "" if record.step is Step.NONE else f" {record.step}"
        return f"record {record.status}{step} {record.config}"
    return repr(act)
