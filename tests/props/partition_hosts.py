"""What data nodes do in the model of a partition: each step asks the copies' own rules.

Every change of the record goes through `stored`, which holds the laws of such changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from common.errors import Refused, Stale
from common.lifecycle.partitions import record as records
from common.lifecycle.partitions.partition import Restore, Status
from common.lifecycle.partitions.record import Record
from consumer.trans.partitions import judge as copies
from consumer.trans.partitions.judge import Answer, Copy, Lead
from producer.partitions import orders
from producer.partitions.facts import Knobs, View
from producer.partitions.heal import healed
from producer.partitions.judge import Judge
from tests.props.partition_world import Data, Host, Left, Mail, World, candidates
from tests.props.worlds import Broken

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


class Hosts:
    """The data nodes' steps of one scenario under some rules."""

    def __init__(self, scenario: Scenario, rules: Rules) -> None:
        self.scenario, self.rules = scenario, rules
        knobs = Knobs(scenario.retries, scenario.rollbacks, least_free_bytes=1)
        self.judge = rules.judge(knobs)
        self.names = scenario.names
        self.places = {name: at for at, name in enumerate(self.names)}
        self.candidates = candidates(self.names)

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
                after = changed(changed(world, to, same), at, host._replace(lead=known))
                yield f"{name} aligns {other} at {epoch}", after
        if host.open and other not in host.open[1] and ready:
            wanted = other in hosts or lead.live
            if wanted and self.rules.takes(ready, epoch, name):
                write, have = host.open
                grown = there._replace(data=there.data | {write})
                mine = host._replace(open=(write, tuple(sorted({*have, other}))))
                yield (
                    f"{name} sends {write} to {other}",
                    changed(changed(world, to, grown), at, mine),
                )
        if other in hosts and (ready is None or world.left.timeout):
            spurious = ready is not None
            rest = less(world, "timeout") if spurious else world
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
                yield f"{self.names[at]} gives up a write", changed(world, at, freed)
            return
        assert host.copy
        mine = host._replace(copy=copies.adopted(host.copy, record.config), lead=None, open=None)
        yield (
            f"{host.copy.me} drops {other}",
            changed(self.stored(world, record, asked=True), at, mine),
        )

    def _fill(
        self, world: World, at: int, host: Host, to: int, ready: Copy, lead: Lead
    ) -> Iterator[Moved]:
        """Copied and proven; whether the proof holds is asked when it is attested."""
        mine = host._replace(lead=lead._replace(live=True))
        aligned = ready._replace(aligned=lead.epoch)
        filled = _like(world.hosts[to], host)._replace(copy=aligned)
        yield f"{ready.me} is filled", changed(changed(world, to, filled), at, mine)
        if world.left.rot:
            rotten = filled._replace(rotten=True, copy=aligned)
            some = changed(changed(less(world, "rot"), to, rotten), at, mine)
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
            more = less(world, "writes")._replace(next=number + 1)
            yield f"{name} takes write {number}", changed(more, at, begun)
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
                    yield f"{learner} is found wrong", changed(world, at, again)
                elif not host.open or learner in host.open[1]:
                    mail = Mail(epoch, world.record.generation)
                    mine = host._replace(lead=lead._replace(missed=False))
                    yield f"{name} attests", changed(world._replace(mail=mail), at, mine)

    def _answered(
        self, world: World, at: int, host: Host, copy: Copy, lead: Lead
    ) -> Iterator[Moved]:
        assert host.open
        (number, have), epoch = host.open, copy.config.epoch
        match self.rules.answer(copy, lead, have):
            case Answer.YES:
                live = lead.live and set(copy.config.learners) <= set(have)
                told = host._replace(open=None, lead=lead._replace(live=live))
                after = changed(world._replace(acked=world.acked | {number}), at, told)
                yield f"{copy.me} acknowledges {number}", self._acked(after, epoch, copy.me)
            case Answer.NOTE:
                try:
                    record = records.missed(world.record, epoch)
                except Stale:
                    return
                noted = host._replace(lead=lead._replace(missed=True, live=False))
                yield f"{copy.me} notes a miss", changed(self.stored(world, record), at, noted)

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
                yield "the record is told that nothing is missing", self.stored(rest, record)

    # laws of every change of the record

    def stored(self, world: World, record: Record, *, asked: bool = False) -> World:
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


def changed(world: World, at: int, host: Host) -> World:
    return world._replace(hosts=(*world.hosts[:at], host, *world.hosts[at + 1 :]))


def _like(there: Host, source: Host) -> Host:
    data: Data = source.data
    return there._replace(data=data, rotten=source.rotten, open=None, lead=None)


def less(world: World, what: str) -> World:
    return world._replace(left=world.left._replace(**{what: getattr(world.left, what) - 1}))
