"""One key, two gateways, a switch there and back: who is stale, frozen, or dies in the middle.

A sequential client puts, deletes and uploads in two steps, each through any gateway whose lease
holds. A gateway learns of a phase late, may lose its lease and wake up, may die between two acts.
One step is one atomic act of a server. Routes, the steps of a change and what a reader sees are
asked of the functions that the gateway uses; `Rules` says which of our rules is taken out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from common.lifecycle.buckets import Phase
from consumer.trans.buckets.routing import (
    Act,
    Change,
    Found,
    Reads,
    Route,
    Side,
    Writes,
    acts,
    doubtful,
    leftover,
    route,
    shown,
    worth,
)
from tests.props.bucket_worlds import (
    Copy,
    Gate,
    Op,
    Read,
    Replay,
    Rules,
    Step,
    World,
    as_copy,
    legal_too,
    plain,
    with_gate,
)


class Search:
    """All worlds of one script under some rules."""

    def __init__(
        self,
        script: str,
        path: tuple[Phase, ...],
        rules: Rules,
        *,
        reader: bool = False,
        gates: int = 2,
    ) -> None:
        self.script, self.path, self.rules, self.reader = script, path, rules, reader
        fenced = path[0] is Phase.REDIRECTED
        self._first = World(gates=(Gate(),) * gates, fenced=fenced)
        self.worlds = 0

    def violated(self) -> str:
        """The way to a wrong answer, or "" if there is none."""
        came: dict[World, Step | None] = {self._first: None}
        todo = deque([self._first])
        while todo:
            here = todo.popleft()
            wrong = self._wrong(here)
            if wrong:
                return "; ".join([*_way(came, here), wrong])
            for label, there in self._steps(here):
                if there not in came:
                    came[there] = (label, here)
                    todo.append(there)
        self.worlds = len(came)
        return ""

    # -- what must hold -------------------------------------------------------------------------

    def _wrong(self, world: World) -> str:
        if (
            world.read
            and world.read.gate < 0
            and world.read.new not in map(as_copy, world.read.legal)
        ):
            return f"a read that took its time answered {world.read.new}"
        if world.op:
            return ""
        for number, gate in enumerate(world.gates):
            if self._serves(gate):
                view = self._view(world, self._route(gate))
                if view not in world.expected:
                    return f"gateway {number} shows {view}"
        return ""

    def _serves(self, gate: Gate) -> bool:
        return gate.leased or not self.rules.lease

    def _route(self, gate: Gate) -> Route:
        return route(self.path[gate.seen], holding=gate.holding)

    def _view(self, world: World, by: Route) -> str | None:
        if by.reads is Reads.OLD:
            return world.old
        if by.reads is Reads.NEW:
            return world.new.value if world.new else None
        new = world.new and Found(world.new.marked)
        sealed = by.reads is Reads.SEALED
        buried = world.tomb and doubtful(new, sealed=sealed)
        side = shown(new, buried=buried, sealed=sealed)
        if side is Side.NEW:
            assert world.new
            return world.new.value
        return world.old if side is Side.OLD else None

    # -- what may happen ------------------------------------------------------------------------

    def _steps(self, world: World) -> Iterator[Step]:
        yield from self._controller(world)
        yield from self._gates(world)
        yield from self._client(world)
        yield from self._copier(world)
        yield from self._replayer(world)
        if self.reader:
            yield from self._reading(world)

    def _confirmed(self, world: World) -> bool:
        """Every gateway with a lease knows the phase, and has no older change in hand."""
        for number, gate in enumerate(world.gates):
            if not gate.leased:
                continue
            if (gate.seen, gate.holding) != (world.at, world.holding):
                return False
            op = world.op
            if op and op.gate == number and (op.phase, op.holding) != (world.at, world.holding):
                return False
        return True

    def _controller(self, world: World) -> Iterator[Step]:
        phase, rules = self.path[world.at], self.rules
        ahead = world._replace(at=world.at + 1)
        confirmed = self._confirmed(world)
        if phase is Phase.TRACKING:
            yield "quiesce", ahead
        following = self.path[min(world.at + 1, len(self.path) - 1)]
        if phase is Phase.QUIESCING and following in (Phase.ROLLED_BACK, Phase.TRACKING):
            yield "withdraw, or go on for now", ahead
        elif phase is Phase.QUIESCING and (confirmed or not rules.barrier):
            yield "fence old, redirect", ahead._replace(fenced=rules.fence)
        if following is Phase.ROLLING_BACK:
            yield "roll back", ahead
        elif following is Phase.SEALING and phase is Phase.REDIRECTED and world.copier < 0:
            sealed = self._settled(ahead)
            yield "seal", sealed if rules.seal else sealed._replace(at=ahead.at + 1)
        elif phase is Phase.SEALING and confirmed:
            yield "done", ahead._replace(holding=rules.sweep)
        if phase is Phase.DONE and world.holding and confirmed:
            yield "sweep", self._swept(world._replace(holding=False))
        if phase is Phase.ROLLING_BACK:
            yield from self._return(world, confirmed=confirmed)
        if phase is Phase.ROLLED_BACK and world.holding and (confirmed or not rules.confirm):
            yield "lift, let writes in", world._replace(holding=False, fenced=False)

    def _swept(self, world: World) -> World:
        """The janitor."""
        gone = leftover(world.new and Found(world.new.marked), buried=world.tomb)
        return world._replace(new=None) if gone else world

    def _settled(self, world: World) -> World:
        """Janitor, and a pass over what the copier left out: nobody needs old any more."""
        world = self._swept(world)
        if worth(world.new and Found(world.new.marked), buried=world.tomb) and world.old:
            return world._replace(new=Copy(world.old, marked=True))
        return world

    def _return(self, world: World, *, confirmed: bool) -> Iterator[Step]:
        rules = self.rules
        if not world.holding and rules.hold:
            yield "hold", world._replace(holding=True)
        elif confirmed and not world.closed and rules.fence_new:
            yield "fence new", world._replace(closed=True)
        elif confirmed and self._clean(world) and world.replay is None:
            yield "return", world._replace(at=world.at + 1, fenced=world.fenced and rules.hold)

    def _gates(self, world: World) -> Iterator[Step]:
        for number, gate in enumerate(world.gates):
            known = (gate.seen, gate.holding) == (world.at, world.holding)
            fresh = gate._replace(seen=world.at, holding=world.holding, leased=True)
            if not known or not gate.leased:
                yield f"gateway {number} looks", self._ended(with_gate(world, number, fresh), gate)
            # one of the two, once, and not while a read takes its time: that is enough to try
            if number and gate.leased and not gate.lapses and not self.reader:
                lapsed = gate._replace(leased=False, lapses=1)
                yield f"gateway {number} lapses", with_gate(world, number, lapsed)
        if world.op and not world.deaths:
            dead = world._replace(op=None, deaths=1, turn=world.turn + 1, upload=None)
            yield "the gateway dies", self._failed(dead, world.op)

    def _ended(self, world: World, before: Gate) -> World:
        """Who gets a lease again has ended what it had in hand."""
        op = world.op
        if before.leased or op is None or world.gates[op.gate].lapses == 0:
            return world
        over = world._replace(op=None, turn=world.turn + 1, upload=None)
        return over._replace(expected=over.expected | ({None} if op.buried else set()))

    def _failed(self, world: World, op: Op) -> World:
        """A change ended in an error. A delete has happened where its tombstone hides the object;
        where a gateway without a lease wrote it, that is open until the next change."""
        if not op.buried:
            return world
        zombie = not world.gates[op.gate].leased
        here = {self._view(world, _BOTH)}
        return world._replace(expected=world.expected | {None} if zombie else frozenset(here))

    def _client(self, world: World) -> Iterator[Step]:
        if world.op:
            yield f"{world.op.word} {world.op.plan[world.op.step]}", self._act(world, world.op)
        elif world.turn < len(self.script):
            for number, gate in enumerate(world.gates):
                if self._serves(gate):
                    yield from self._begin(world, number, gate)

    def _begin(self, world: World, number: int, gate: Gate) -> Iterator[Step]:
        word, writes = self.script[world.turn], self._route(gate).writes
        label = f"{word} begins at {number} ({writes})"
        over = world._replace(turn=world.turn + 1, upload=None)
        if writes is Writes.HELD:
            return
        side = Side.OLD if writes in (Writes.OLD, Writes.TRACKED) else Side.NEW
        if word == "M" and world.upload is None:
            yield label, world._replace(upload=side)
            return
        plan = self._plan(word, writes)
        if word == "M" and world.upload is not side:
            if self.rules.cut or side is Side.OLD:
                yield f"{word}: no such upload", over
                return
            plan = (Act.OLD,)
        op = Op(number, word, gate.seen, gate.holding, plan)
        yield label, world._replace(op=op)

    def _plan(self, word: str, writes: Writes) -> tuple[Act, ...]:
        change = Change.DELETE if word == "D" else Change.PUT
        plan = acts(change, writes, exclusive=True)
        first = (Act.INTEND, Act.BURY)
        late = sorted(plan, key=lambda act: act in first)  # stable
        return plan if self.rules.intent else tuple(late)

    def _act(self, world: World, op: Op) -> World:
        act = op.plan[op.step]
        last = op.step + 1 == len(op.plan)
        op = op._replace(step=op.step + 1, buried=op.buried or act is Act.BURY)
        world = world._replace(op=None if last else op)
        if last:
            world = world._replace(turn=world.turn + 1, upload=None)
        if act in (Act.INTEND, Act.BURY):
            noted = world._replace(
                changes=world.changes + 1, open=world.open + 1, tomb=world.tomb or op.buried
            )
            return legal_too(noted, None) if act is Act.BURY else noted
        if act is Act.SETTLE:
            return world._replace(open=max(0, world.open - 1))
        value = None if op.word == "D" else f"u{world.turn - last}"
        if act is Act.OLD:
            refused = world.fenced and (self.rules.cut or op.word != "M")
            done = world._replace(old=value, expected=frozenset({value}))
            return world if refused else legal_too(done, value)
        if act is Act.NEW and not world.closed:
            new = Copy(value) if value else None
            return legal_too(world._replace(new=new, expected=frozenset({value})), value)
        return self._failed(world, op)

    def _copier(self, world: World) -> Iterator[Step]:
        if self.path[world.at] is not Phase.REDIRECTED and world.copier != 1:
            return
        if world.copier == 0:
            wanted = worth(world.new and Found(world.new.marked), buried=world.tomb)
            wanted = wanted and world.old is not None
            yield "copier looks", world._replace(copier=1 if wanted else -1, copied=world.old)
        elif world.copier == 1:
            copied = Copy(str(world.copied), marked=True) if world.new is None else world.new
            yield "copier puts", world._replace(copier=-1, copied=None, new=copied)

    def _clean(self, world: World) -> bool:
        """Has the key been carried back? What may still be under way counts until new is shut."""
        begun = world.open and world.closed and self.rules.open
        return world.replayed == world.changes and not begun

    def _replayer(self, world: World) -> Iterator[Step]:
        if self.path[world.at] is not Phase.ROLLING_BACK:
            return
        replay = world.replay
        if replay is None:
            if not self._clean(world):
                view = self._view(world, _BOTH)
                saw = Replay(world.changes, world.open, world.closed, view)
                yield "replay looks", world._replace(replay=saw)
        elif not replay.written:
            written = world._replace(old=replay.value, replay=replay._replace(written=True))
            yield "replay writes", written
        else:
            yield "replay counts", self._counted(world._replace(replay=None), replay)

    def _counted(self, world: World, seen: Replay) -> World:
        if self.rules.generations and world.changes != seen.changes:
            return world
        if self.rules.open and seen.open and not seen.shut:
            return world
        return world._replace(replayed=world.changes, open=0 if seen.shut else world.open)

    def _reading(self, world: World) -> Iterator[Step]:
        if world.read is None:
            legal = world.expected | ({None} if world.op and world.op.buried else set())
            for number, gate in enumerate(world.gates):
                if self._serves(gate):
                    begun = Read(number, self._route(gate), frozenset(legal))
                    yield f"a read begins at {number}", world._replace(read=begun)
        elif world.read.gate >= 0:
            yield f"read, step {world.read.step}", world._replace(read=_looked(world, world.read))


_BOTH = route(Phase.COPYING)


def _looked(world: World, read: Read) -> Read:
    """The next step of a read: new, then the tombstone if in doubt, then old."""
    over = read._replace(gate=-1)
    from_old = over._replace(new=as_copy(world.old))
    reads, sealed = read.route.reads, read.route.reads is Reads.SEALED
    if reads in (Reads.OLD, Reads.NEW):
        return from_old if reads is Reads.OLD else over._replace(new=plain(world.new))
    if read.step == 0:
        if doubtful(world.new and Found(world.new.marked), sealed=sealed):
            return read._replace(step=1, new=world.new)
        return over._replace(new=plain(world.new))
    if read.step == 1:
        found = read.new and Found(read.new.marked)
        side = shown(found, buried=world.tomb, sealed=sealed)
        if side is Side.OLD:
            return read._replace(step=2)
        return over._replace(new=plain(read.new) if side else None)
    return from_old


def _way(came: dict[World, Step | None], world: World) -> list[str]:
    labels = []
    while step := came[world]:
        label, world = step
        labels.append(label)
    return labels[::-1]
