"""Tries every step from every world of a scenario, and shows the way to a broken law.

Besides the laws of every world: from each one the end must be in reach, with the disk in one set
and every answer given. `python -m tests.props.disk_search` tries every pair of faults, for as long
as that takes (the tests take one at a time).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement

from tests.props.disk_steps import Steps, ended, sees
from tests.props.disk_wires import Rules, Scenario
from tests.props.disk_world import NEW, OLD, World
from tests.props.worlds import Broken, explored


@dataclass(frozen=True)
class Found:
    """What the search saw."""

    worlds: int
    ends: dict[str, int]  # by the set in which the disk is


def explore(scenario: Scenario, rules: Rules | None = None, *, most: int = 400_000) -> Found:
    """Broken, with the way that led there, if a law fails anywhere."""
    rules = rules or Rules()
    steps = Steps(scenario, rules)

    def look(world: World) -> Iterator[tuple[str, World]]:
        lawful(world, rules)
        logged(world, scenario)
        return steps.of(world)

    worlds, ends = explored(
        steps.first(), look, lambda world: ended(world, scenario.program), most=most
    )
    homes = [world.record.set for world in ends]
    return Found(len(worlds), {name: homes.count(name) for name in (OLD, NEW)})


def lawful(world: World, rules: Rules) -> None:
    """What holds in every world."""
    guest, found = world.guest, sees(world, rules)
    if found is None or guest.open:
        return
    for at, value in enumerate(found):
        if value not in guest.legal[at]:
            raise Broken(f"the guest reads {value} where only {set(guest.legal[at])} may be")


def logged(world: World, scenario: Scenario) -> None:
    """What does not stand in the log is the same on both sides, and stays so without power."""
    if not world.record.task or world.stamp != world.record.epoch:
        return
    old, new = world.sides
    for k in set(range(scenario.slices)) - world.log:
        part = slice(k * scenario.slice_bytes, (k + 1) * scenario.slice_bytes)
        if {old.now[part]} != {left[part] for left in new.after_loss}:
            raise Broken(f"slice {k} is not in the log, and may differ: {old} {new}")


def main(kinds: list[str]) -> None:
    """Every two faults of these kinds, or of all kinds."""
    sided = [f"{kind}-{name}" for kind in ("cut", "power", "error") for name in (OLD, NEW)]
    for pair in combinations_with_replacement(kinds or ["crash", "host", "drop", *sided], 2):
        scenario = Scenario(((0, 1),), faults=2, kinds=" ".join(pair), reads=1, aborts=1)
        sys.stdout.write(f"{pair} {explore(scenario, most=5_000_000)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
