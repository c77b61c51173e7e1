"""One key behind two gateways: everything that decides what may happen next (`bucket_gateways`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from common.lifecycle.buckets import Phase
from consumer.trans.buckets.routing import Act, Route, Side

FORWARD = (Phase.TRACKING, Phase.QUIESCING, Phase.REDIRECTED, Phase.SEALING, Phase.DONE)
_BACK = (Phase.ROLLING_BACK, Phase.ROLLED_BACK)
BACK = (Phase.REDIRECTED, *_BACK)
LATE = (Phase.REDIRECTED, Phase.SEALING, *_BACK)
BUSY = (Phase.TRACKING, Phase.QUIESCING, *FORWARD[:3])
WITHDRAWN = (Phase.TRACKING, Phase.QUIESCING, Phase.ROLLED_BACK)


@dataclass(frozen=True)
class Rules:
    """Ours; each can be left out, and must then be missed."""

    barrier: bool = True  # no redirect before every gateway with a lease has confirmed
    fence: bool = True  # old takes no writes any more when new does
    sweep: bool = True  # nobody stops heeding tombstones before the janitor has passed
    seal: bool = True  # nobody stops writing tombstones before everybody stopped reading old
    lease: bool = True  # without a lease a gateway serves nothing
    cut: bool = True  # an upload that was begun on old is not joined there after the redirect
    intent: bool = True  # the journal is written before the change, not after
    generations: bool = True  # a replay counts for the change it saw, not for later ones
    open: bool = True  # a replay counts for nothing while a change has begun and may be under way
    hold: bool = True  # the way back ends with writes held, and the rest replayed
    confirm: bool = True  # old gets no writes before everybody reads it
    fence_new: bool = True  # new takes no writes any more when old does again


class Copy(NamedTuple):
    value: str
    marked: bool = False


class Gate(NamedTuple):
    """A gateway: the phase it knows (by its place in the path), and whether its lease holds."""

    seen: int = 0
    holding: bool = False
    leased: bool = True
    lapses: int = 0


class Op(NamedTuple):
    """A change under way."""

    gate: int
    word: str
    phase: int
    holding: bool
    plan: tuple[Act, ...]
    step: int = 0
    buried: bool = False


class Read(NamedTuple):
    """A read under way, or over (gate -1): what it may answer, and what it has found."""

    gate: int
    route: Route
    legal: frozenset[str | None]
    step: int = 0
    new: Copy | None = None


class Replay(NamedTuple):
    """A key's way back to old: what was seen of it, and whether it is written."""

    changes: int
    open: int
    shut: bool
    value: str | None
    written: bool = False


class World(NamedTuple):
    """Everything that decides what may happen next."""

    at: int = 0
    holding: bool = False
    gates: tuple[Gate, ...] = (Gate(), Gate())
    old: str | None = "o"
    fenced: bool = False
    new: Copy | None = None
    closed: bool = False  # new takes no writes
    tomb: bool = False
    changes: int = 0  # generation of the key in the journal
    open: int = 0  # changes that have begun and are not known to be over
    replayed: int = 0
    replay: Replay | None = None
    copier: int = 0
    copied: str | None = None  # what the copier has read
    turn: int = 0
    upload: Side | None = None
    op: Op | None = None
    expected: frozenset[str | None] = frozenset({"o"})
    read: Read | None = None
    deaths: int = 0


Step = tuple[str, World]


def plain(new: Copy | None) -> Copy | None:
    return as_copy(new.value) if new else None


def as_copy(value: str | None) -> Copy | None:
    return Copy(value) if value else None


def legal_too(world: World, value: str | None) -> World:
    """From now on a read that is under way may answer this, too."""
    read = world.read
    if read is None or read.gate < 0:
        return world
    return world._replace(read=read._replace(legal=read.legal | {value}))


def with_gate(world: World, number: int, gate: Gate) -> World:
    gates = [gate if i == number else g for i, g in enumerate(world.gates)]
    return world._replace(gates=tuple(gates))
