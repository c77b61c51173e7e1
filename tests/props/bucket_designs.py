"""One key while its bucket is copied: one user, two copiers (the second tries again after a lost
lease), every interleaving, for our protocol and for each design that looks as if it would do.

One step is one atomic act of a server: the commit of one request, or one compare-and-set. What a
reader sees, whether a copy is tried, what a janitor removes and the steps of a change are asked of
the functions that the gateway and the copier use; a design says where it departs from them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from consumer.trans.buckets.routing import (
    Act,
    Change,
    Found,
    Side,
    Writes,
    acts,
    doubtful,
    leftover,
    shown,
    worth,
)

OLD, OVER, DEAD = "o", -1, -2
Script = tuple[str, ...]


def scripts(words: str) -> list[Script]:
    """All scripts of up to three operations: P put, F put that fails, D delete, C copy onto it."""
    return [tuple(s) for n in (1, 2, 3) for s in product(words, repeat=n)]


PLAIN, COPIES = scripts("PDF"), scripts("PDC")


@dataclass(frozen=True)
class Design:
    """Where a design departs from ours. The defaults are ours on a store with conditional puts."""

    exclusive: bool = True  # copies go by conditional puts, else by uploads that changes abort
    conditional: bool = True  # the put of a copy asks for If-None-Match: *
    buries: bool = True  # a delete writes a tombstone first
    aware: bool = True  # readers heed the tombstone of a marked copy
    cleans: bool = True  # a janitor removes leftovers before the end
    compensates: bool = False  # a copier looks again after its put, and takes it back
    masks: bool = False  # a put hides old before it happens
    slots: int = 2  # upload ids that the record of a key can hold
    marks: bool = False  # a user's copy keeps the marker of its source
    live: str = ""  # the second copier is a janitor at work: "if-match" or "head"


class Copy(NamedTuple):
    """An object on new."""

    value: str
    marked: bool = False


class Claim(NamedTuple):
    """A key's record: background uploads that are known, and whether a change revoked them."""

    uploads: tuple[int, ...] = ()
    revoked: bool = False


class Actor(NamedTuple):
    """How far somebody is: the number of the operation, and the step in it."""

    turn: int = 0
    step: int = 0


class World(NamedTuple):
    """Everything that decides what may happen next."""

    new: Copy | None = None
    tomb: bool = False
    masked: bool = False
    claim: Claim = Claim()
    user: Actor = Actor()
    expected: str | None = OLD
    copiers: tuple[int, ...] = (0, 0)  # the step each is at; DEAD: its upload was aborted


def seen(world: World, design: Design) -> str | None:
    """What a reader is given."""
    new = world.new and Found(world.new.marked and design.aware)
    hidden = world.tomb if doubtful(new) else False
    side = shown(new, buried=hidden or (new is None and world.masked))
    if side is Side.NEW:
        assert world.new
        return world.new.value
    return OLD if side is Side.OLD else None


def violated(design: Design, script: Script) -> str:
    """The way to a wrong read or a wrong end, or "" if there is none."""
    first = World()
    ways: dict[World, tuple[str, ...]] = {first: ()}
    todo = deque([first])
    while todo:
        here = todo.popleft()
        if here.user.step == 0 and seen(here, design) != here.expected:
            return "; ".join((*ways[here], "read"))
        following = [*_user(here, design, script), *_copiers(here, design)]
        if not following and _end(here, design) != here.expected:
            return "; ".join((*ways[here], "end"))
        for label, there in following:
            if there not in ways:
                ways[there] = (*ways[here], label)
                todo.append(there)
    return ""


def _end(world: World, design: Design) -> str | None:
    """Everybody has finished: the janitor, a last pass over what was left out, then new alone."""
    new = world.new
    if design.cleans and leftover(new and Found(new.marked), buried=world.tomb):
        new = None
    if new is None and not (world.tomb or world.masked):
        return OLD
    return new.value if new else None


def _user(world: World, design: Design, script: Script) -> Iterator[tuple[str, World]]:
    turn, step = world.user
    if turn == len(script):
        return
    word = script[turn]
    change = Change.DELETE if word == "D" else Change.PUT
    plan = acts(change, Writes.JOURNALLED, exclusive=design.exclusive)
    assert plan[-1] is Act.SETTLE  # after the answer: it changes nothing here
    act = plan[step]
    after = _acted(world, design, act, word, f"u{turn}")
    last = act is Act.NEW
    after = after._replace(user=Actor(turn + 1) if last else Actor(turn, step + 1))
    yield f"user {word} {act}", after


def _acted(world: World, design: Design, act: Act, word: str, value: str) -> World:
    if act in (Act.INTEND, Act.BURY):
        buried = world.tomb or (act is Act.BURY and design.buries)
        masked = world.masked or (act is Act.INTEND and design.masks)
        return world._replace(tomb=buried, masked=masked, claim=world.claim._replace(revoked=True))
    if act is Act.ABORT:
        dead = [DEAD if i in world.claim.uploads and c > 1 else c for i, c in _numbered(world)]
        return world._replace(copiers=tuple(dead))
    if word == "D":
        return world._replace(new=None, expected=None)
    if word == "F":
        return world
    return world._replace(new=Copy(value, word == "C" and design.marks), expected=value)


def _numbered(world: World) -> Iterator[tuple[int, int]]:
    return iter(enumerate(world.copiers))


def _copiers(world: World, design: Design) -> Iterator[tuple[str, World]]:
    for number, step in enumerate(world.copiers):
        if step in (DEAD, OVER):
            continue
        if number == 1 and design.live:
            label, after, at = _janitor(world, design, step)
        elif design.exclusive:
            label, after, at = _putting(world, design, step)
        else:
            label, after, at = _uploading(world, design, number, step)
        now = [at if i == number else c for i, c in enumerate(after.copiers)]
        yield f"copier {number} {label}", after._replace(copiers=tuple(now))


def _putting(world: World, design: Design, step: int) -> tuple[str, World, int]:
    """Look, put, and be done. Each step ends where nothing is left."""
    found = world.new and Found(world.new.marked)
    if step == 0:
        wanted = worth(found, buried=world.tomb) and not world.masked
        return ("looks", world, 1 if wanted else OVER)
    if step == 1:
        if design.conditional and world.new is not None:
            return ("412", world, OVER)
        put = world._replace(new=Copy(OLD, marked=True))
        return ("puts", put, 2 if design.compensates else OVER)
    taken = world._replace(new=None) if leftover(found, buried=world.tomb) else world
    return ("looks again", taken, OVER)


def _uploading(world: World, design: Design, number: int, step: int) -> tuple[str, World, int]:
    """Look, begin an upload and record it under the claim that was seen, join it."""
    if step == 0:
        wanted = not world.claim.revoked and not world.tomb
        return ("claims", world, 1 if wanted else OVER)
    if step == 1:
        if world.claim.revoked:
            return ("is refused", world, OVER)
        uploads = (*world.claim.uploads, number)[-design.slots :]
        return ("uploads", world._replace(claim=Claim(uploads)), 2)
    return ("joins", world._replace(new=Copy(OLD, marked=True)), OVER)


def _janitor(world: World, design: Design, step: int) -> tuple[str, World, int]:
    found = world.new and Found(world.new.marked)
    if step == 0:
        return ("heads", world, 1 if leftover(found, buried=world.tomb) else OVER)
    same = world.new == Copy(OLD, marked=True)
    removes = same or design.live == "head"
    return ("removes", world._replace(new=None) if removes else world, OVER)
