"""Every step of the unit protocol's small world, carried out by the real repository.

The laws of a single step are checked here: nobody is heard who does not hold the unit, and what is
refused changes nothing. `tests.props.search` checks what holds in every world.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from common.errors import Stale
from common.lifecycle.units import State
from common.model import Counts, Receipt, Unit
from tests.props.protocol import (
    ATTEMPTS,
    MIGRATION,
    NOW,
    Broken,
    Hand,
    Plan,
    Row,
    Stage,
    World,
)


class Steps:
    """Every step that is possible in a world, carried out, with the laws that it must keep."""

    def __init__(self, stage: Stage, *, polls: bool = True) -> None:
        self._stage, self._units, self.polls = stage, stage.units, polls

    def of(self, world: World) -> Iterator[tuple[str, World]]:
        """(what happens, the world after it). Broken if a law does not hold."""
        for who, hand in enumerate(world.consumers):
            able = self._idle(world, who) if hand is None else self._busy(world, who, hand)
            for label, after in able:
                yield f"c{who + 1} {label}", after
        if world.leader:
            yield "the old leader is gone", world._replace(leader=None)
            yield f"the old leader {world.leader.plan}", self._led(world, world.leader)
        for hand in self._seen(world):
            yield f"the leader {hand.plan} {hand.unit}", self._led(world, hand)
            if not world.leader:
                yield f"a leader will do: {hand.plan} {hand.unit}", world._replace(leader=hand)
        if self.polls:
            self._stage.put(world.rows)
            self.poll()
            yield "the leader polls", self._after(world)
        self._stage.put(world.rows)
        self._units.wake(self._stage.unit(Hand(Plan.WAKE, 0)))
        yield "another unit of the user is done, and wakes", self._after(world)
        if any(row.state == State.QUARANTINED for row in world.rows):
            yield "a person releases", self._released(world)

    def poll(self) -> None:
        """The leader's own look at what sleeps, in case that a wake-up call was lost."""
        for unit in self._units.asleep(MIGRATION, behind="", limit=9):
            if not self._units.open(MIGRATION, unit.after):
                self._units.wake(unit)

    def _idle(self, world: World, who: int) -> Iterator[tuple[str, World]]:
        for index, row in enumerate(world.rows):
            yield f"claims {index} of old", self._claimed(world, who, index, row.epoch - 1)
            if row.sent:
                yield f"claims {index}", self._claimed(world, who, index, row.epoch)

    def _busy(self, world: World, who: int, hand: Hand) -> Iterator[tuple[str, World]]:
        yield "dies", _hands(world, who, None)
        if hand.plan is Plan.WAKE:
            self._stage.put(world.rows)
            self._units.wake(self._stage.unit(hand))
            yield "wakes", _hands(self._after(world), who, None)
            return
        if world.leader and world.leader.plan is Plan.LAPSE:
            yield "beats", self._beaten(world, hand)
        yield "finishes", self._finished(world, who, hand)
        for report in (self._fails, self._refunds, self._gives_up):
            yield report.__name__, _hands(self._held(world, hand, report), who, None)

    def _fails(self, unit: Unit) -> None:
        if unit.attempts < ATTEMPTS:
            self._units.requeue(unit, after=NOW, why="failed")
        else:
            self._gives_up(unit)

    def _refunds(self, unit: Unit) -> None:
        self._units.requeue(unit, after=NOW, why="not now", counts=False)

    def _gives_up(self, unit: Unit) -> None:
        self._units.quarantine(unit, why="it cannot be")

    def _seen(self, world: World) -> list[Hand]:
        """What a leader that looks now would want to do."""
        self._stage.put(world.rows)
        hands = [self._hand(Plan.LAPSE, unit) for unit in self._units.running()]
        for unit in self._units.due(MIGRATION, 9):
            early = unit.after and self._units.open(MIGRATION, unit.after)
            hands.append(self._hand(Plan.SLEEP if early else Plan.SEND, unit))
        return hands

    def _led(self, world: World, hand: Hand) -> World:
        """The plan is carried out, by the caught leader if it is hers."""
        if hand is world.leader:
            world = world._replace(leader=None)
        if hand.plan is Plan.LAPSE:
            return self._lapsed(world, hand)
        unit, row = self._stage.unit(hand), world.rows[hand.unit]
        self._stage.put(world.rows)
        if hand.plan is Plan.SLEEP:
            self._units.sleep(unit)
            after = self._after(world)
            return after if hand.epoch == row.epoch else _same(world, after, "old put to sleep")
        self._units.postpone([unit], NOW)
        after = self._after(world)
        if hand.epoch == row.epoch:
            return after._replace(rows=_with(after.rows, hand.unit, sent=True))
        return after

    def _claimed(self, world: World, who: int, index: int, epoch: int) -> World:
        row = world.rows[index]
        self._stage.put(world.rows)
        name = self._stage.unit(Hand(Plan.WORK, index)).id
        unit = self._units.claim(MIGRATION, name, epoch, owner=self._stage.owners[who])
        after = self._after(world)
        if unit is None:
            return _same(world, after, "a refused claim changed something")
        if epoch != row.epoch or row.granted or row.owner:
            raise Broken(f"epoch {epoch} was handed out although the unit is {row}")
        rows = _with(after.rows, index, granted=True, starts=row.starts + 1)
        return _hands(after._replace(rows=rows), who, self._hand(Plan.WORK, unit))

    def _finished(self, world: World, who: int, hand: Hand) -> World:
        def finish(unit: Unit) -> None:
            self._units.finish(unit, Receipt(Counts(items=1)), seconds=1)

        after = self._held(world, hand, finish)
        wakes = after.rows != world.rows and self._stage.unit(hand).wakes
        return _hands(after, who, Hand(Plan.WAKE, hand.unit) if wakes else None)

    def _beaten(self, world: World, hand: Hand) -> World:
        after = self._held(world, hand, self._units.beat)
        row, seen = world.rows[hand.unit], after.rows[hand.unit]
        if hand.epoch == row.epoch and seen.beat == row.beat:
            raise Broken(f"a sign of life left no trace: {seen}")
        return after

    def _held(self, world: World, hand: Hand, act: Callable[[Unit], None]) -> World:
        """What a holder does; nothing at all happens if it is none any more."""
        row = world.rows[hand.unit]
        after, done = self._tried(world, hand, act)
        if (row.epoch, row.owner, row.state) != (hand.epoch, hand.owner, State.RUNNING):
            if done:
                raise Broken(f"{hand} was heard although the unit is {row}")
            return _same(world, after, f"{hand} was refused and changed something")
        if not done:
            raise Broken(f"{hand} was refused although the unit is {row}")
        if after.rows[hand.unit].attempts < row.attempts:
            return after._replace(rows=_with(after.rows, hand.unit, starts=row.starts - 1))
        return after

    def _lapsed(self, world: World, hand: Hand) -> World:
        row = world.rows[hand.unit]
        after, done = self._tried(
            world, hand, lambda unit: self._units.lapse(unit, attempts=ATTEMPTS)
        )
        if done != ((row.epoch, row.beat, row.owner) == (hand.epoch, hand.beat, hand.owner)):
            raise Broken(f"{hand}: lapsed is {done} although the unit is {row}")
        return after if done else _same(world, after, "a refused lapse changed something")

    def _tried(self, world: World, hand: Hand, act: Callable[[Unit], None]) -> tuple[World, bool]:
        self._stage.put(world.rows)
        try:
            act(self._stage.unit(hand))
        except Stale:
            return self._after(world), False
        return self._after(world), True

    def _released(self, world: World) -> World:
        self._stage.put(world.rows)
        self._units.release(MIGRATION, by="a person")
        after = self._after(world)
        rows = tuple(
            row._replace(starts=0) if old.state == State.QUARANTINED else row
            for row, old in zip(after.rows, world.rows, strict=True)
        )
        return after._replace(rows=rows)

    def _after(self, world: World) -> World:
        return world._replace(rows=self._stage.rows(world.rows))

    def _hand(self, plan: Plan, unit: Unit) -> Hand:
        return Hand(plan, self._stage.index(unit), unit.epoch, unit.attempts, unit.owner, unit.beat)


def _same(before: World, after: World, otherwise: str) -> World:
    if before.rows != after.rows:
        raise Broken(f"{otherwise}: {before.rows} -> {after.rows}")
    return before


def _with(rows: tuple[Row, ...], index: int, **fields: Any) -> tuple[Row, ...]:
    return (*rows[:index], rows[index]._replace(**fields), *rows[index + 1 :])


def _hands(world: World, who: int, hand: Hand | None) -> World:
    both = world.consumers
    return world._replace(consumers=(*both[:who], hand, *both[who + 1 :]))
