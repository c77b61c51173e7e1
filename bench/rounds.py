"""Runs contestants in rounds, each round in another order, and keeps every single figure.

A ratio is taken within a round, where the machine was in one mood, and the median of the rounds
is what counts. A run is verified before it counts, and cleared away before the next one begins.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.machine import loaded
from bench.spending import Spent

COMMAND, FLEET = "convoy", "convoy, fleet up"
OURS = (COMMAND, FLEET)


@dataclass(frozen=True, slots=True)
class Contestant:
    """One tool on one path. `run` is timed, `check` raises if its work is wrong."""

    name: str
    run: Callable[[int], Spent]
    check: Callable[[int], object] = lambda _: None
    clear: Callable[[int], object] = lambda _: None


@dataclass(frozen=True, slots=True)
class Figure:
    """One run."""

    path: str
    tool: str
    round: int
    place: int  # in the order of the round
    seconds: float
    cpu: float
    items: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Path:
    """What is timed: the name of the path, and how much is moved."""

    name: str
    items: int
    bytes: int


def race(path: Path, contestants: Sequence[Contestant], rounds: int) -> list[Figure]:
    """All rounds of one path."""
    figures = []
    for number in range(rounds):
        shift = number % len(contestants)
        order = [*contestants[shift:], *contestants[:shift]]
        for place, contestant in enumerate(order):
            os.sync()
            spent = contestant.run(number)
            contestant.check(number)
            contestant.clear(number)
            figures.append(
                Figure(path.name, contestant.name, number, place, *spent, path.items, path.bytes)
            )
            say(f"{path.name:24} {number + 1}/{rounds} {contestant.name:20} "
                f"{spent.seconds:8.2f} s {spent.cpu:8.2f} cpu  {loaded()}")  # fmt: skip
    return figures


def say(text: str) -> None:
    """Progress, for the person who waits."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


@dataclass(frozen=True, slots=True)
class Ratio:
    """How a tool compares with ours: above 1 ours is better. Median, least and most of rounds."""

    median: float
    least: float
    most: float


def ratio(figures: Sequence[Figure], ours: str, peer: str, *, of: str = "seconds") -> Ratio:
    """The peer's figure over ours, round by round."""
    mine, theirs = _by_round(figures, ours, of), _by_round(figures, peer, of)
    found = [theirs[number] / mine[number] for number in mine.keys() & theirs.keys()]
    return Ratio(median(found), min(found), max(found))


def _by_round(figures: Sequence[Figure], tool: str, of: str) -> dict[int, float]:
    return {f.round: getattr(f, of) for f in figures if f.tool == tool}
