"""The loop around the judgements: read what there is, judge, write one thing, and again.

It remembers nothing but for how long counters stood still: any number may run, and any may die at
any point. Data nodes follow the records by themselves, so orders to them are never sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from common.clock import Clock, Stillness
from common.errors import ConvoyError
from common.failpoints import failpoint
from common.lifecycle.partitions.partition import Restore, Step, Type
from common.lifecycle.partitions.record import Record
from common.store.base import Doc, Store
from common.store.nodes import Nodes
from common.store.partitions import Partitions
from common.store.tokens import Held, TokenDocuments
from producer.partitions.facts import (
    Act,
    Candidate,
    Knobs,
    Release,
    Seen,
    Take,
    Tokens,
    View,
    Wait,
    Write,
)
from producer.partitions.heal import healed
from producer.partitions.judge import Judge
from producer.partitions.orders import mark
from producer.partitions.tokens import taken, without

ACTS = 20  # of one partition in one round
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What people set besides `Knobs`."""

    silence: timedelta = timedelta(seconds=18)  # three heartbeats
    repair: timedelta = timedelta(hours=2)  # DpRepairTimeout
    tokens: int = 10  # DecommissionDpLimit
    heals: bool = False  # EnableAutoDpMetaRepair
    evacuates: bool = False  # EnableAutoDecommission


class Controller:
    """Judges partitions, one round after another."""

    def __init__(
        self,
        store: Store,
        *,
        name: str = "controller",
        settings: Settings | None = None,
        knobs: Knobs | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._name, self._settings = name, settings or Settings()
        self._partitions, self._nodes = Partitions(store), Nodes(store)
        self._tokens = TokenDocuments(store)
        self._still = Stillness(clock or Clock())
        self._judge = Judge(knobs)

    def turn(self) -> None:
        """One round over all partitions."""
        nodes = {str(doc["id"]): doc for doc in self._nodes.all()}
        alive = {name for name, doc in nodes.items() if self._alive(name, doc)}
        for record in self._partitions.all():
            try:
                self._advance(record, nodes, alive)
            except ConvoyError as error:  # somebody else was first, or the store is away
                log.info("partition.unjudged", partition=record.id, why=str(error))

    def _advance(self, record: Record, nodes: dict[str, Doc], alive: set[str]) -> None:
        for _ in range(ACTS):
            view = self._view(record, nodes, alive)
            act = self._judge.act(record, view)
            if isinstance(act, Wait) and (wanted := self._wanted(record, view, nodes)):
                act = Write(wanted)
            if not self._done(act):
                return
            record = self._partitions.get(record.id)

    def _done(self, act: Act) -> bool:
        """Did it do something, so that there may be more to do?"""
        if not isinstance(act, Write | Take | Release):
            return False
        failpoint("partition.before_write")
        done = self._written(act)
        failpoint("partition.after_write")
        return done

    def _written(self, act: Write | Take | Release) -> bool:
        match act:
            case Write(record):
                self._partitions.write(record, by=self._name)
                log.info("partition.moved", partition=record.id, status=record.status.value)
                return True
            case Take(key, entry):
                return self._tokens.change(key, lambda held: self._taken(held, entry))
            case Release(key, entry):
                return self._tokens.change(key, lambda held: without(Tokens(held), entry).held)

    def _taken(self, held: Held, entry: tuple[str, int]) -> Held | None:
        tokens = taken(Tokens(held, self._settings.tokens), entry)
        return tokens.held if tokens else None

    def _wanted(self, record: Record, view: View, nodes: dict[str, Doc]) -> Record | None:
        """What the automatics would do with a partition that nobody is at."""
        if record.restore is not Restore.STOP:
            return None
        if self._settings.heals and (found := healed(record, view)):
            return found
        bad = [host for host in record.hosts if view.of(host).alive and not view.of(host).sound]
        if not self._settings.evacuates or not bad or not view.good(record):
            return None
        disk = str(_copy(nodes[bad[0]], record.id).get("disk", ""))
        return mark(record, bad[0], disk=disk, type=Type.AUTO)

    # what is known

    def _view(self, record: Record, nodes: dict[str, Doc], alive: set[str]) -> View:
        seen = {name: _seen(doc, record, name in alive) for name, doc in nodes.items()}
        tokens = {
            key: Tokens(held, self._settings.tokens) for key, held in self._tokens.held().items()
        }
        found = tuple(_candidate(name, doc, name in alive) for name, doc in nodes.items())
        return View(seen, tokens, found, overdue=self._overdue(record, nodes))

    def _alive(self, name: str, doc: Doc) -> bool:
        return self._still.of(("node", name), doc["beat"]) < self._settings.silence

    def _overdue(self, record: Record, nodes: dict[str, Doc]) -> bool:
        """Has the target not come to hold more for too long?"""
        if record.step is not Step.COPY:
            return False
        copied = _copy(nodes.get(record.target, {}), record.id).get("bytes", 0)
        progress = (record.attempt, record.rollbacks, record.retries, copied)
        return self._still.of(("copy", record.id), progress) > self._settings.repair


def _copy(node: Doc, id: str) -> dict[str, Any]:
    found: dict[str, Any] = node.get("copies", {}).get(id, {})
    return found


def _seen(node: Doc, record: Record, alive: bool) -> Seen:
    copy = _copy(node, record.id)
    if not copy:
        return Seen(alive)
    return Seen(alive, bool(copy["sound"]), int(copy["epoch"]), bool(copy["aligned"]))


def _candidate(name: str, node: Doc, alive: bool) -> Candidate:
    """A node, with the disk that it would put a copy on."""
    good = [disk for disk in node["disks"] if disk["status"] == "rw"]
    best = max(good, key=lambda disk: int(disk["free"]), default=None)
    path, free = (str(best["path"]), int(best["free"])) if best else ("", 0)
    fields = {"nodeset": str(node.get("nodeset", "1")), "writable": best is not None}
    return Candidate(name, path, alive=alive, free_bytes=free, **fields)  # type: ignore[arg-type]
