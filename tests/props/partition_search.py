"""Tries every step from every world of a scenario, and shows the way to a broken law."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass

from common.lifecycle.partitions.partition import Restore, Status
from tests.props.partition_hosts import Rules, Scenario
from tests.props.partition_steps import Steps, finished
from tests.props.partition_world import Left, World
from tests.props.worlds import Broken, explored

OUT, IN, FAILED, PAUSED = "Initial out", "Initial in", "Failed in", "Paused in"
SMALL: dict[str, tuple[Scenario, tuple[str, ...]]] = {
    "one replica": (Scenario(1), (OUT,)),
    "two replicas": (Scenario(2), (OUT,)),
    "two replicas, the other one": (Scenario(2, source=1), (OUT,)),
    "three replicas": (Scenario(3, source=1, left=Left(writes=0)), (OUT,)),
    "two writes": (Scenario(1, left=Left(writes=2)), (OUT,)),
    "the death of the source": (Scenario(1, left=Left(crash=1), hit="a"), (OUT,)),
    "the death of the target": (Scenario(1, left=Left(crash=1, writes=0), hit="b"), (OUT,)),
    "an act that is carried out late": (
        Scenario(1, left=Left(zombie=1, writes=0)),
        (OUT,),
    ),
    "a disk that is lost, one replica": (Scenario(1, left=Left(lose=1)), (OUT, FAILED)),
    "the disk of another replica": (Scenario(2, left=Left(lose=1), hit="b"), (OUT, FAILED)),
    "a cancel": (Scenario(2, left=Left(cancel=1)), (OUT, IN)),
    "a cancel, and an act that is carried out late": (
        Scenario(1, left=Left(cancel=1, zombie=1, writes=0)),
        (OUT, IN),
    ),
    "a cancel, another order, and an act that is carried out late": (
        Scenario(1, left=Left(cancel=1, mark=2, zombie=1, writes=0)),
        (OUT, IN),
    ),
    "a pause, and on again": (Scenario(1, left=Left(pause=1, mark=2)), (OUT, PAUSED)),
    "a pause, two replicas": (Scenario(2, left=Left(pause=1)), (OUT, PAUSED)),
    "a copy that rots on its way": (Scenario(1, left=Left(rot=1)), (OUT,)),
    "an old word that is believed": (Scenario(1, left=Left(stale=1)), (OUT,)),
    "a word that is missing, one replica": (Scenario(1, left=Left(blip=1)), (OUT,)),
    "a target that fails": (Scenario(1, spare=2, left=Left(overdue=1)), (OUT,)),
    "the last copy lost": (Scenario(1, lost=True), (FAILED,)),
    "a source that is lost, two replicas": (Scenario(2, lost=True), (OUT,)),
    "a source that is lost, three replicas": (Scenario(3, lost=True), (OUT,)),
    "self-heal, two replicas": (
        Scenario(2, source=-1, missing=1, heals=True, left=Left(stale=1)),
        (OUT,),
    ),
    "self-heal, three replicas": (Scenario(3, source=-1, missing=1, heals=True), (OUT,)),
}
LARGE = {
    f"{replicas} replicas, {what}": Scenario(replicas, left=Left(**{what: 1}))
    for replicas in (1, 2, 3)
    for what in ("mark", "crash", "lose", "zombie", "stale", "blip", "timeout", "rot", "overdue")
}


@dataclass(frozen=True)
class Found:
    """What the search saw."""

    worlds: int
    ends: Counter[str]  # by status, and whether the source is out


def explore(scenario: Scenario, rules: Rules | None = None, *, most: int = 400_000) -> Found:
    """Broken, with the way that led there, if a law fails anywhere."""
    rules = rules or Rules()
    steps = Steps(scenario, rules)

    def over(world: World) -> bool:
        return finished(world) and steps.idle(world)

    def look(world: World) -> list[tuple[str, World]]:
        lawful(world, steps)
        following = list(steps.of(world))
        if over(world):
            tidy(world, steps)
        return following

    worlds, ends = explored(steps.first(), look, over, most=most)
    return Found(len(worlds), Counter(_end(world, steps) for world in ends))


def lawful(world: World, steps: Steps) -> None:
    """What holds in every world."""
    for name in world.record.hosts:
        host = world.hosts[steps.places[name]]
        if host.intact and not host.copy:
            raise Broken(f"{name} is a host, and its copy was put aside")
        whole = host.intact and host.copy and host.copy.aligned
        if whole and (not host.data >= world.acked or host.rotten):
            raise Broken(f"{name} is a host, and lacks what was acknowledged: {host}")
    for key, tokens in world.tokens:
        if len(tokens.held) > 1:
            raise Broken(f"more tokens than there are: {key} {tokens}")
    if len(world.record.learners) > 1 or set(world.record.learners) & set(world.record.hosts):
        raise Broken(f"two moves at once: {world.record}")


def tidy(world: World, steps: Steps) -> None:
    """What holds when nobody does anything any more."""
    record = world.record
    if world.tokens:
        raise Broken(f"tokens were forgotten: {world.tokens}")
    if record.learners or record.restore is not Restore.STOP:
        raise Broken(f"something was left behind: {record}")
    for name, host in zip(steps.names, world.hosts, strict=True):
        if host.copy and name not in record.hosts:
            raise Broken(f"a copy was left on {name}: {host}")


def _end(world: World, steps: Steps) -> str:
    out = steps.names[steps.scenario.source] not in world.record.hosts
    left = "out" if out else "in"
    return f"{world.record.status} {left}" if world.record.status is not Status.MARKED else left


def main(names: list[str]) -> None:
    """The larger ones, or those that are named; minutes each."""
    for name in names or LARGE:
        sys.stdout.write(f"{name}: {explore(LARGE[name], most=5_000_000)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
