"""Everything that may happen next to a partition that is being moved: one atomic step at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from common.errors import ConvoyError, Refused, Stale
from common.lifecycle.partitions import record as records
from common.lifecycle.partitions.partition import Restore, Status, Step
from common.lifecycle.partitions.record import Record
from consumer.trans.partitions import judge as copies
from consumer.trans.partitions.judge import Answer, Copy, Lead
from producer.partitions import orders
from producer.partitions.facts import (
    Act,
    Adopt,
    Knobs,
    Release,
    Retire,
    Seen,
    Take,
    Tokens,
    View,
    Wait,
    Write,
)
from producer.partitions.heal import healed
from producer.partitions.judge import Judge
from producer.partitions.tokens import taken, without
from tests.props.partition_world import (
    DISK,
    ID,
    Broken,
    Data,
    Host,
    Left,
    Mail,
    World,
    candidates,
)

Moved = tuple[str, World]


@dataclass(frozen=True)
class Rules:
    """The real ones; a mutant replaces some."""

    judge: type[Judge] = Judge
    takes: Callable[[Copy, int, str], bool] = copies.takes
    serves: Callable[[Copy, Lead | None], bool] = copies.serves
    answer: Callable[..., Answer] = copies.answer
    retires: Callable[[Copy, int], bool] = copies.retires
    attested: Callable[[Record, int, int], Record] = records.attested
    dropped: Callable[[Record, str, int], Record] = records.dropped
    healed: Callable[[Record, View], Record | None] = healed
    reset: Callable[[Record], Record | None] = orders.reset
    fenced: bool = True  # a write of the record names the version that was seen
    compares: bool = True  # contents, not lengths
    forgets: bool = True  # a primary that starts does not know what its learner missed


@dataclass(frozen=True)
class Scenario:
    """Small bounds."""

    replicas: int
    spare: int = 1
    left: Left = field(default_factory=Left)
    source: int = 0  # which host; -1: none is decommissioned
    heals: bool = False
    missing: int = 0  # hosts that are lacking at the start
    lost: bool = False  # the disk of the source, before anything begins
    retries: int = 2
    rollbacks: int = 1
    start: Status = Status.INITIAL
    hit: str = "abcdefg"  # who dies or loses a disk

    @property
    def names(self) -> tuple[str, ...]:
        return tuple("abcdefg"[: self.replicas + self.spare])


class Steps:
    """All steps of one scenario under some rules."""

    def __init__(self, scenario: Scenario, rules: Rules) -> None:
        self.scenario, self.rules = scenario, rules
        knobs = Knobs(scenario.retries, scenario.rollbacks, least_free_bytes=1)
        self.judge = rules.judge(knobs)
        self.names = scenario.names
        self.places = {name: at for at, name in enumerate(self.names)}
        self.candidates = candidates(self.names)
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
                yield f"{self.names[at]} starts", _with(world, at, host._replace(up=True))
        yield from self._mail(world)
        yield from self._people(world)
        yield from self._controller(world)
        yield from self._faults(world)

    def idle(self, world: World) -> bool:
        """Has the controller nothing to do?"""
        return isinstance(self._judged(world.record, self._view(world)), Wait)

    # data nodes

    def _host(self, world: World, at: int, host: Host, copy: Copy) -> Iterator[Moved]:
        name = copy.me
        if not copy.leads:
            return
        epoch = copy.config.epoch
        lead = host.lead if host.lead and host.lead.epoch == epoch else Lead(epoch)
        if host.lead is None and not self.rules.forgets:
            lead = lead._replace(missed=True)
        host = host._replace(lead=lead)
        for other in (*copy.config.hosts, *copy.config.learners):
            if other != name:
                yield from self._towards(world, at, host, copy, lead, other)
        if self.rules.serves(copy, lead):
            yield from self._serving(world, at, host, copy, lead)
        yield from self._attesting(world, at, host, copy, lead)

    def _towards(
        self, world: World, at: int, host: Host, copy: Copy, lead: Lead, other: str
    ) -> Iterator[Moved]:
        name, epoch, to = copy.me, copy.config.epoch, self.places[other]
        there = world.hosts[to]
        ready = there.copy if there.up and there.intact else None
        hosts = copy.config.hosts
        if other in hosts and other not in lead.aligned and ready:
            if ready.config.epoch < epoch:
                ready = copies.adopted(ready, copy.config)
            if copies.aligns(ready, epoch, name):
                same = _like(there, host)._replace(copy=ready._replace(aligned=epoch))
                known = lead._replace(aligned=tuple(sorted({*lead.aligned, other})))
                after = _with(_with(world, to, same), at, host._replace(lead=known))
                yield f"{name} aligns {other} at {epoch}", after
        if host.open and other not in host.open[1] and ready:
            wanted = other in hosts or lead.live
            if wanted and self.rules.takes(ready, epoch, name):
                write, have = host.open
                grown = there._replace(data=there.data | {write})
                mine = host._replace(open=(write, tuple(sorted({*have, other}))))
                yield f"{name} sends {write} to {other}", _with(_with(world, to, grown), at, mine)
        if other in hosts and (ready is None or world.left.timeout):
            spurious = ready is not None
            rest = _less(world, "timeout") if spurious else world
            yield from self._drop(rest, at, host, other, epoch)
        learns = other in copy.config.learners and ready and ready.config.epoch == epoch
        if learns and ready and not (host.open or lead.live):
            yield from self._fill(world, at, host, to, ready, lead)

    def _drop(self, world: World, at: int, host: Host, other: str, epoch: int) -> Iterator[Moved]:
        try:
            record = self.rules.dropped(world.record, other, epoch)
        except Stale:
            return
        except Refused:
            if host.open:  # the client is told so; what became of the write is open
                freed = host._replace(open=None, lead=Lead(epoch))
                yield f"{self.names[at]} gives up a write", _with(world, at, freed)
            return
        assert host.copy
        mine = host._replace(copy=copies.adopted(host.copy, record.config), lead=None, open=None)
        yield (
            f"{host.copy.me} drops {other}",
            _with(self._store(world, record, asked=True), at, mine),
        )

    def _fill(
        self, world: World, at: int, host: Host, to: int, ready: Copy, lead: Lead
    ) -> Iterator[Moved]:
        """Copied and proven; whether the proof holds is asked when it is attested."""
        mine = host._replace(lead=lead._replace(live=True))
        aligned = ready._replace(aligned=lead.epoch)
        filled = _like(world.hosts[to], host)._replace(copy=aligned)
        yield f"{ready.me} is filled", _with(_with(world, to, filled), at, mine)
        if world.left.rot:
            rotten = filled._replace(rotten=True, copy=aligned)
            some = _with(_with(_less(world, "rot"), to, rotten), at, mine)
            yield f"{ready.me} is filled wrongly", some

    def _serving(
        self, world: World, at: int, host: Host, copy: Copy, lead: Lead
    ) -> Iterator[Moved]:
        name, epoch = copy.me, copy.config.epoch
        if copy.aligned != epoch:
            copy = copy._replace(aligned=epoch)
            host = host._replace(copy=copy)
        if world.left.writes and not host.open:
            number = world.next
            begun = host._replace(data=host.data | {number}, open=(number, (name,)))
            more = _less(world, "writes")._replace(next=number + 1)
            yield f"{name} takes write {number}", _with(more, at, begun)
        if host.open:
            yield from self._answered(world, at, host, copy, lead)

    def _attesting(
        self, world: World, at: int, host: Host, copy: Copy, lead: Lead
    ) -> Iterator[Moved]:
        name, epoch = copy.me, copy.config.epoch
        for learner in copy.config.learners:
            there = world.hosts[self.places[learner]]
            proven = there.data >= host.data and not (there.rotten and self.rules.compares)
            if lead.live and there.copy and not world.mail and not world.record.complete:
                if not proven:
                    again = host._replace(lead=lead._replace(live=False))
                    yield f"{learner} is found wrong", _with(world, at, again)
                elif not host.open or learner in host.open[1]:
                    mail = Mail(epoch, world.record.generation)
                    mine = host._replace(lead=lead._replace(missed=False))
                    yield f"{name} attests", _with(world._replace(mail=mail), at, mine)

    def _answered(
        self, world: World, at: int, host: Host, copy: Copy, lead: Lead
    ) -> Iterator[Moved]:
        assert host.open
        (number, have), epoch = host.open, copy.config.epoch
        match self.rules.answer(copy, lead, have):
            case Answer.YES:
                live = lead.live and set(copy.config.learners) <= set(have)
                told = host._replace(open=None, lead=lead._replace(live=live))
                after = _with(world._replace(acked=world.acked | {number}), at, told)
                yield f"{copy.me} acknowledges {number}", self._acked(after, epoch, copy.me)
            case Answer.NOTE:
                try:
                    record = records.missed(world.record, epoch)
                except Stale:
                    return
                noted = host._replace(lead=lead._replace(missed=True, live=False))
                yield f"{copy.me} notes a miss", _with(self._store(world, record), at, noted)

    def _acked(self, world: World, epoch: int, name: str) -> World:
        if world.acker[0] > epoch or (world.acker[0] == epoch and world.acker[1] != name):
            raise Broken(f"{name} acknowledged at epoch {epoch} after {world.acker}")
        return world._replace(acker=(epoch, name))

    def _mail(self, world: World) -> Iterator[Moved]:
        if mail := world.mail:
            rest = world._replace(mail=None)
            try:
                record = self.rules.attested(world.record, *mail)
            except Stale:
                yield "an attestation comes too late", rest
            else:
                yield "the record is told that nothing is missing", self._store(rest, record)

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
                yield what, self._store(_less(world, what), record)

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
                    yield f"held: {_named(act)}", _less(world, "zombie")._replace(held=act)
            if self.scenario.heals and (record := self.rules.healed(world.record, view)):
                yield f"heals{how}", self._done(rest, Write(record))

    def _views(self, world: World) -> Iterator[tuple[str, World, View]]:
        yield "", world, self._view(world)
        if world.left.overdue or not world.hosts[self.places[world.record.primary]].intact:
            late = self._view(world)._replace(overdue=True)
            rest = _less(world, "overdue") if world.left.overdue else world
            yield ", out of patience", rest, late
        if world.left.blip:
            for name in self.names:
                deaf = self._view(world, {name: Seen(alive=False)})
                yield f", not hearing {name}", _less(world, "blip"), deaf
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
        """Several tokens at once, as nobody else looks at them (who does: partition_tokens)."""
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
                return self._store(world, record)
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
                    return _with(world, self.places[name], gone)
        return world

    def _adopt(self, world: World, order: Adopt) -> World:
        at = self.places[order.host]
        host = world.hosts[at]
        if not host.up or not host.intact:
            return world
        if host.copy is None:
            made = Host(Copy(order.host, order.config))
            return _with(world, at, made) if order.make else world
        try:
            copy = copies.adopted(host.copy, order.config)
        except Stale:
            return world
        return _with(world, at, host._replace(copy=copy, lead=None, open=None))

    # faults

    def _faults(self, world: World) -> Iterator[Moved]:
        left = world.left
        for at, host in enumerate(world.hosts):
            name = self.names[at]
            hit = name in self.scenario.hit
            if left.crash and hit and host.up and host.copy:
                down = host._replace(up=False, lead=None, open=None)
                yield f"{name} dies", _with(_less(world, "crash"), at, down)
            if left.lose and hit and host.intact and host.copy:
                lost = Host(up=host.up, intact=False)
                yield f"{name} loses its disk", _with(_less(world, "lose"), at, lost)
            if left.stale and not world.late and host.copy:
                yield (
                    f"a word of {name} stays",
                    _less(world, "stale")._replace(late=(name, host.said())),
                )

    # laws of every change of the record

    def _store(self, world: World, record: Record, *, asked: bool = False) -> World:
        """`asked` by a primary, who goes on without hosts that it cannot reach, to the floor."""
        before = world.record
        if record.primary not in record.hosts:
            raise Broken(f"nobody leads: {record.config}")
        if record.epoch < before.epoch or (
            record.epoch == before.epoch and record.config != before.config
        ):
            raise Broken(f"the epoch does not tell apart {before.config} and {record.config}")
        good, left = self.good(world, before), self.good(world, record)
        least = record.floor if asked else min(before.replicas, len(good))
        if len(left) < least and len(left) < len(good):
            raise Broken(f"{len(left)} good copies where {len(good)} were: {record.config}")
        active = record.status in (Status.MARKED, Status.PREPARE, Status.RUNNING)
        if active and record.restore is Restore.STOP:
            raise Broken("a move and self-heal at once")
        if record.status is Status.RUNNING and record.step is not before.step:
            self._entitled(world, record)
        return world._replace(record=record)

    def _entitled(self, world: World, record: Record) -> None:
        tokens, entry = dict(world.tokens), (record.id, record.attempt)
        if not record.claims or not all(
            k in tokens and tokens[k].has(entry) for k in record.claims
        ):
            raise Broken(f"runs without its tokens: {record.claims} {tokens}")

    def good(self, world: World, record: Record) -> list[str]:
        """Hosts of the record that hold all that was acknowledged."""
        found = []
        for name in record.hosts:
            host = world.hosts[self.places[name]]
            if host.intact and host.copy and host.data >= world.acked and not host.rotten:
                found.append(name)
        return found


def finished(world: World) -> bool:
    """Is nothing left to do by itself?"""
    rest = world.record.status in (Status.INITIAL, Status.PAUSED, Status.FAILED)
    quiet = not world.held and not world.mail and all(host.up for host in world.hosts)
    return rest and quiet and world.record.restore is Restore.STOP and not world.record.claims


def _with(world: World, at: int, host: Host) -> World:
    return world._replace(hosts=(*world.hosts[:at], host, *world.hosts[at + 1 :]))


def _like(there: Host, source: Host) -> Host:
    data: Data = source.data
    return there._replace(data=data, rotten=source.rotten, open=None, lead=None)


def _tokens(world: World, key: str, tokens: Tokens | None) -> World:
    if tokens is None:
        return world
    rest = dict(world.tokens) | {key: tokens}
    return world._replace(tokens=tuple(sorted((k, t) for k, t in rest.items() if t.held)))


def _less(world: World, what: str) -> World:
    return world._replace(left=world.left._replace(**{what: getattr(world.left, what) - 1}))


def _named(act: Act) -> str:
    if isinstance(act, Write):
        record = act.record
        step = "" if record.step is Step.NONE else f" {record.step}"
        return f"record {record.status}{step} {record.config}"
    return repr(act)
