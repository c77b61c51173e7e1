"""Tries every step from every world until no new one turns up, and shows the way to a broken law.

Worlds that differ only in names are one: the repository asks of epochs and beats only whether they
are the present ones, and one consumer is as good as the other. So there are not many worlds, and
what holds in all of them holds for runs of any length.
"""

from __future__ import annotations

from collections import deque

from common.lifecycle.units import State
from common.model import Receipt
from tests.props.protocol import (
    ATTEMPTS,
    MIGRATION,
    OWNERS,
    Broken,
    Hand,
    Plan,
    Row,
    Stage,
    World,
)
from tests.props.steps import Steps

PRESENT, BEAT = 9, 1  # what a present epoch and a present beat are called
HELD = (State.RUNNING, State.DONE)


def explore(stage: Stage, *, polls: bool = True, most: int = 1_000_000) -> int:
    """How many worlds there are; Broken, with the way that led there, if a law fails in one."""
    steps = Steps(stage, polls=polls)
    first = named(World(stage.rows()), stage.owners)
    came: dict[World, tuple[World, str] | None] = {first: None}
    settled: set[tuple[Row, ...]] = set()
    todo = deque([first])
    while todo:
        here = todo.popleft()
        label = ""
        try:
            for label, there in steps.of(here):
                lawful(here, there)
                known = named(there, stage.owners)
                if known not in came:
                    came[known] = here, label
                    todo.append(known)
            bare = alone(here.rows)
            if bare not in settled:
                settled.add(bare)
                settles(stage, steps, bare)
        except Broken as broken:
            until = "; ".join(way(came, here))
            raise Broken(f"{broken}\nafter: {until}; at or behind: {label}") from broken
        if len(came) > most:
            raise AssertionError(f"more than {most} worlds: they are not told apart well enough")
    return len(came)


def lawful(before: World, after: World) -> None:
    """What holds at every step and in every world."""
    for old, new in zip(before.rows, after.rows, strict=True):
        if old.state == State.DONE and new != old:
            raise Broken(f"a finished unit changed: {old} -> {new}")
        if new.epoch < old.epoch:
            raise Broken(f"an epoch fell: {old} -> {new}")
        if max(new.attempts, new.starts) > ATTEMPTS:
            raise Broken(f"started too often without a person's look: {new}")
        if bool(new.owner) != (new.state == State.RUNNING and not new.due):
            raise Broken(f"held by nobody, or by somebody and due as well: {new}")
    one, two = after.rows
    if one.state == State.QUEUED and not one.due:
        raise Broken(f"lost: {one} waits for nothing and is not due")
    if two.state in HELD and one.state != State.DONE:
        raise Broken(f"{two} ran before what it comes after: {one}")
    hands = [h for h in after.consumers if h and h.epoch == after.rows[h.unit].epoch]
    if len({h.unit for h in hands}) < len(hands):
        raise Broken(f"two hold one epoch: {hands}")


def settles(stage: Stage, steps: Steps, rows: tuple[Row, ...]) -> None:
    """Whatever died: a leader and one good consumer bring everything to its end from here."""
    stage.put(rows)
    units = stage.units
    for _ in range(6):
        for unit in list(units.running()):
            units.lapse(unit, attempts=ATTEMPTS)
        units.release(MIGRATION, by="a person")
        if steps.polls:
            steps.poll()
        for unit in units.due(MIGRATION, 9):
            if unit.after and units.open(MIGRATION, unit.after):
                units.sleep(unit)
            elif mine := units.claim(MIGRATION, unit.id, unit.epoch, owner="good"):
                units.finish(mine, Receipt(), seconds=1)
                units.wake(mine)
    left = [row for row in stage.rows() if row.state != State.DONE]
    if left:
        raise Broken(f"never done, whatever a leader and a consumer do: {left}")


def alone(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """What is left when every process and every message is gone."""
    return tuple(
        row._replace(epoch=PRESENT, beat=0, owner=row.owner and OWNERS[0], granted=False, starts=0)
        for row in rows
    )


def named(world: World, owners: tuple[str, str]) -> World:
    """The one name of all worlds that differ only in names."""
    plain = _plain(world)
    return min(plain, _swapped(plain, dict(zip(owners, reversed(owners), strict=True))), key=_order)


def way(came: dict[World, tuple[World, str] | None], world: World) -> list[str]:
    """What happened until this world."""
    labels = []
    while step := came[world]:
        world, label = step
        labels.append(label)
    return labels[::-1]


def _plain(world: World) -> World:
    def hand(hand: Hand | None) -> Hand | None:
        if hand is None or hand.plan is Plan.WAKE:
            return hand and Hand(Plan.WAKE, hand.unit)
        row = world.rows[hand.unit]
        if hand.epoch > row.epoch:
            raise Broken(f"{hand} is of a later epoch than {row}")
        if hand.epoch < row.epoch:
            return Hand(hand.plan, hand.unit, PRESENT - 1, owner=hand.owner)
        if hand.plan is Plan.WORK:
            return hand._replace(epoch=PRESENT, beat=0)
        return hand._replace(epoch=PRESENT, beat=BEAT if hand.beat == row.beat else BEAT - 1)

    rows = (row._replace(epoch=PRESENT, beat=BEAT) for row in world.rows)
    return World(tuple(rows), tuple(map(hand, world.consumers)), hand(world.leader))


def _swapped(world: World, other: dict[str, str]) -> World:
    def hand(hand: Hand | None) -> Hand | None:
        return hand and hand._replace(owner=other.get(hand.owner, hand.owner))

    rows = tuple(row._replace(owner=other.get(row.owner, row.owner)) for row in world.rows)
    one, two = map(hand, world.consumers)
    return World(rows, (two, one), hand(world.leader))


def _order(world: World) -> tuple[object, ...]:
    return world.rows, *(tuple(hand or ()) for hand in (*world.consumers, world.leader))
