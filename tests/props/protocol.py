"""The unit protocol as a small world: two units, two consumers, a bad queue, leaders that overlap.

The second unit comes after the first. Every step is carried out by the real repository
(`common.store.units`) on a store in memory; the world around it (who holds what, which messages
were sent, what a leader is about to do) is kept here, and the laws are checked at every step.

A message once sent may come at any time, any number of times, or never; one of an earlier epoch
is always under way. One leader may be caught between look and act, for as long as it likes, while
another one leads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from common.clock import Clock
from common.lifecycle.units import State
from common.model import Draft, Kind, Migration, Unit
from common.store.base import Doc, Where
from common.store.schema import SHAPES
from common.store.units import Units
from tests.memory import Collection, MemoryStore

ATTEMPTS = 2
NOW = timedelta(0)
OWNERS = ("c1", "c2")
ONE_NAME = ("c1", "c1")  # a consumer that was started again while its predecessor is frozen
DRAFTS = [
    Draft("move", "ann", "first", group="one", wakes=True),
    Draft("move", "ann", "second", group="two", after=("one",)),
]
MIGRATION = Migration(
    id="m", kind=Kind.USERS, source="file:///a", target="file:///b", phase="moving", version=1,
    generation=1, since=0, started=0, ended=None, tenant="", hold=None, options={}, limits={},
    planned=2, cursor=None,
)  # fmt: skip


class Broken(AssertionError):
    """A law did not hold."""


class Row(NamedTuple):
    """A unit at rest, and what only the laws need to know of its past."""

    state: str
    epoch: int
    attempts: int
    owner: str
    beat: int
    due: bool
    sent: bool = False  # was a message of this epoch sent?
    granted: bool = False  # was it handed out in this epoch?
    starts: int = 0  # since it was released, without those that were refunded


class Plan(StrEnum):
    """What a process has looked up and is about to do. Anything may happen in between."""

    WORK = "works"  # a consumer moves the unit
    WAKE = "wakes"  # a consumer reported it done, and wakes what waits for it
    LAPSE = "lapses"  # a leader saw its lease run out
    SLEEP = "puts to sleep"  # a leader saw that others must be done first
    SEND = "sends"  # a leader saw that it is due


class Hand(NamedTuple):
    """What a process is about to do, with the unit as it was when the process looked."""

    plan: Plan
    unit: int
    epoch: int = 0
    attempts: int = 0
    owner: str = ""
    beat: int = 0


class World(NamedTuple):
    """Everything that decides what may happen next."""

    rows: tuple[Row, ...]
    consumers: tuple[Hand | None, ...] = (None, None)
    leader: Hand | None = None  # the one that is caught between look and act


class Change(NamedTuple):
    """One change on its way to the store."""

    where: dict[str, Any]
    set: dict[str, Any]
    inc: dict[str, Any]


Tamper = Callable[[str, Change], None]
"""Turns the repository into a mutant of itself: spoils a change of the named act."""


class Tampered(Collection):
    """A collection that a mutant writes to."""

    def __init__(self, tamper: Tamper) -> None:
        super().__init__(SHAPES["units"])
        self._tamper = tamper

    def change(
        self,
        where: Where,
        *,
        set: Mapping[str, Any] | None = None,
        inc: Mapping[str, int | float] | None = None,
        push: Mapping[str, Any] | None = None,
        keep: int = 200,
        upsert: bool = False,
    ) -> Doc | None:
        change = Change(dict(where), dict(set or {}), dict(inc or {}))
        other = "claim" if "attempts" in change.inc else "beat" if inc else "sleep"
        self._tamper(push["history"]["event"] if push else other, change)
        return super().change(change.where, set=change.set, inc=change.inc, push=push, keep=keep)


class Stage:
    """The repository on a store that can be put into any state."""

    def __init__(self, tamper: Tamper | None = None, owners: tuple[str, str] = OWNERS) -> None:
        store, self.owners = MemoryStore(), owners
        if tamper:
            store.replace("units", Tampered(tamper))
        self._docs = store.collection("units").docs
        self.units = Units(store, Clock(wall=lambda: 0.0))
        self.units.plan(MIGRATION, DRAFTS)
        self._blank = {doc["id"]: dict(doc) for doc in self._docs.values()}
        self._ids = list(self._docs)
        self._samples = [self.unit_of(id_) for id_ in self._ids]

    def unit_of(self, id_: str) -> Unit:
        unit = self.units.get(id_)
        assert unit is not None
        return unit

    def unit(self, hand: Hand) -> Unit:
        """The unit as the process saw it."""
        state = State.RUNNING if hand.owner else State.QUEUED
        seen = self._samples[hand.unit]
        return replace(
            seen,
            state=state,
            epoch=hand.epoch,
            attempts=hand.attempts,
            owner=hand.owner,
            beat=hand.beat,
        )

    def index(self, unit: Unit) -> int:
        return self._ids.index(unit.id)

    def put(self, rows: tuple[Row, ...]) -> None:
        """Make the store hold exactly this."""
        for id_, row in zip(self._ids, rows, strict=True):
            self._docs[id_] = self._blank[id_] | {
                "state": row.state,
                "epoch": row.epoch,
                "attempts": row.attempts,
                "owner": row.owner,
                "beat": row.beat,
                "due_at": 0.0 if row.due else None,
            }

    def rows(self, before: tuple[Row, ...] | None = None) -> tuple[Row, ...]:
        """What the store holds; the past is taken from `before` and what became of it."""
        docs = [self._docs[id_] for id_ in self._ids]
        rows = [
            Row(
                d["state"],
                d["epoch"],
                d["attempts"],
                d["owner"],
                d["beat"],
                d["due_at"] is not None,
            )
            for d in docs
        ]
        if before is None:
            return tuple(rows)
        return tuple(
            row._replace(starts=old.starts)
            if row.epoch != old.epoch
            else row._replace(sent=old.sent, granted=old.granted, starts=old.starts)
            for row, old in zip(rows, before, strict=True)
        )
