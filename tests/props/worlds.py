"""Tries every step from every world until no new one turns up, and shows the way to a broken law.

From each world an end must be in reach. What a world is, which steps lead on and which laws hold is
the business of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

W = TypeVar("W", bound=Hashable)


class Broken(AssertionError):
    """A law did not hold."""


def explored(
    first: W,
    look: Callable[[W], Iterable[tuple[str, W]]],
    ended: Callable[[W], bool],
    *,
    most: int,
) -> tuple[list[W], list[W]]:
    """All worlds, nearest first, and the ends among them. `look` holds a world to its laws and
    gives the steps from it, each by its label; what it breaks is told with the way that led there.
    """
    worlds, numbers = [first], {first: 0}
    came: list[tuple[int, str]] = [(-1, "")]
    back: list[list[int]] = [[]]
    here = 0
    while here < len(worlds):
        try:
            for label, there in look(worlds[here]):
                number = numbers.setdefault(there, len(worlds))
                if number == len(worlds):
                    worlds.append(there)
                    came.append((here, label))
                    back.append([])
                back[number].append(here)
        except Broken as broken:
            raise Broken(f"{broken}\nafter: {_way(came, here)}") from broken
        if len(worlds) > most:
            raise AssertionError(f"more than {most} worlds")
        here += 1
    ends = [number for number, world in enumerate(worlds) if ended(world)]
    if stuck := set(range(len(worlds))) - _reaching(ends, back):
        near = min(stuck)
        raise Broken(f"no end in reach\nafter: {_way(came, near)}\n{worlds[near]}")
    return worlds, [worlds[number] for number in ends]


def _reaching(ends: list[int], back: list[list[int]]) -> set[int]:
    """Every world from which some of `ends` can be reached."""
    seen, todo = set(ends), list(ends)
    while todo:
        for before in back[todo.pop()]:
            if before not in seen:
                seen.add(before)
                todo.append(before)
    return seen


def _way(came: list[tuple[int, str]], world: int) -> str:
    """What happened until this world."""
    labels = []
    while world:
        world, label = came[world]
        labels.append(label)
    return "; ".join(reversed(labels))
