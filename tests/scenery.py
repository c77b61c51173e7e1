"""A deployment with something to see: migrations in every state, consumers, failures, and names
that would like to be markup. Made with the repositories, as the fleet would have left it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common import ids
from common.lifecycle.users import Event
from common.model import Counts, Draft, Failure, Hold, Kind, Migration, Receipt, Unit
from common.store.base import Doc
from common.store.connect import connect
from tests.factories import Ground, Turned

WRITTEN = "<b id=written>bold</b>"
ACTIVE = "<img src=x onerror=\"window.__obeyed='{}'\">"
SCRIPT = "</script><script>window.__obeyed='script'</script>"
MARK = "a\u202eb\u0007c"  # turns the reading direction round, and rings
DENIED = "permission denied while reading '{}'"
ADVICE = "check permissions and credentials, then `convoy requeue`"
USERS = [f"user{number:03}" for number in range(40)]
SIZE = 3_000_000


@dataclass
class Scenery:
    """One migration of each sort."""

    moving: Migration
    stuck: Migration
    paused: Migration
    done: Migration
    hostile: Migration


@contextmanager
def ground_of(home: Path) -> Iterator[Ground]:
    """The records of a deployment without addresses; its clock stands half an hour behind."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = connect(f"sqlite:///{home}/state.db")
    try:
        yield Ground(store, Turned(now=time.time() - 1800, ticks=0.0))
    finally:
        store.close()


def scenery(ground: Ground) -> Scenery:
    """One of each."""
    return Scenery(
        moving=moving(ground), stuck=stuck(ground), paused=paused(ground), done=done(ground),
        hostile=hostile(ground),
    )  # fmt: skip


def crowd(ground: Ground, migrations: int, consumers: int) -> None:
    """So many more of both, as bare records."""
    now = time.time()
    pattern = ground.store.collection("migrations").get(order(ground, "pattern").id)
    assert pattern is not None
    many = ground.store.collection("migrations")
    for first in range(0, migrations, 1000):
        numbers = range(first, min(first + 1000, migrations))
        many.insert_many([_record(pattern, number, now) for number in numbers])
    for number in range(consumers):
        ground.consumers.beat(f"c{number:04}@h{number % 50:02}", host=f"h{number % 50:02}", unit="")


def _record(pattern: Doc, number: int, now: float) -> Doc:
    source, target = f"file:///srv/old{number}", f"file:///srv/new{number}"
    over = number % 4 != 0
    return pattern | {
        "id": ids.migration_id(Kind.USERS, source, target),
        "source": source,
        "target": target,
        "tenant": f"tenant{number % 7}",
        "phase": "done" if over else "moving",
        "started": now - number,
        "since": now - number,
        "touched": now,
        "ended": now if over else None,
    }


def order(ground: Ground, name: str, *, tenant: str = "", **limits: str) -> Migration:
    """A migration that nothing is planned of yet."""
    return ground.migrations.create(
        Kind.USERS, f"file:///srv/{name}", f"file:///srv/new-{name}", tenant=tenant, limits=limits
    )


def planned(ground: Ground, migration: Migration, users: Sequence[str]) -> Migration:
    """On its way, with a unit per user."""
    ground.units.plan(migration, [Draft("user", user) for user in users])
    return ground.migrations.advance(migration, Event.PLANNED, by="p01@h01")


def take(ground: Ground, migration: Migration, owner: str, many: int) -> list[Unit]:
    """So many units in the hands of a consumer."""
    taken = [
        ground.units.claim(migration, unit.id, unit.epoch, owner=owner)
        for unit in ground.units.due(migration, many)
    ]
    return [unit for unit in taken if unit is not None]


def _finish(ground: Ground, migration: Migration, many: int) -> None:
    for unit in take(ground, migration, "c01@h01", many):
        counts = Counts(items=120, moved=90, skipped=30, bytes=SIZE, bytes_moved=SIZE // 4 * 3)
        ground.turned.now += 20
        ground.units.finish(unit, Receipt(counts), seconds=20.0)


def _park(ground: Ground, migration: Migration, many: int, items: Sequence[Failure]) -> None:
    for unit in take(ground, migration, "c02@h02", many):
        ground.failures.replace(unit, items)
        receipt = Receipt(Counts(items=120, failed=len(items)), failures=tuple(items))
        ground.units.quarantine(unit, why=items[0].reason, receipt=receipt)


def failures_of(names: Sequence[str]) -> list[Failure]:
    """Items that could not be read."""
    return [Failure(name, DENIED.format(name), ADVICE) for name in names]


def moving(ground: Ground, name: str = "home") -> Migration:
    migration = planned(ground, order(ground, name, bandwidth="200MiB/s"), USERS)
    _finish(ground, migration, 25)
    _park(ground, migration, 1, failures_of(["Documents/plan.odt"]))
    for number in range(1, 5):
        name = f"c{number:02}@h{number:02}"
        units = take(ground, migration, name, 1)
        ground.consumers.beat(name, host=f"h{number:02}", unit=units[0].id, version="0.1.0")
    return migration


def stuck(ground: Ground, name: str = "mail") -> Migration:
    migration = planned(ground, order(ground, name, tenant="acme"), USERS[:12])
    _finish(ground, migration, 9)
    _park(ground, migration, 3, failures_of(["cur/1:2,S", "cur/2:2,S"]))
    return migration


def paused(ground: Ground, name: str = "web") -> Migration:
    migration = planned(ground, order(ground, name), USERS[:20])
    _finish(ground, migration, 5)
    return ground.migrations.amend(migration, by="ann@h01", what="paused", hold=Hold.PAUSED.value)


def done(ground: Ground, name: str = "scratch") -> Migration:
    migration = planned(ground, order(ground, name), USERS[:6])
    _finish(ground, migration, 6)
    return ground.migrations.advance(migration, Event.MOVED, by="p01@h01")


def hostile(ground: Ground) -> Migration:
    """Everything that strangers may name, named so that a careless page obeys."""
    source = ground.migrations.create(
        Kind.USERS, "file:///srv/<i>odd", "file:///srv/new-odd", tenant=ACTIVE.format("tenant")
    )
    users = [ACTIVE.format("user"), SCRIPT, MARK, WRITTEN]
    migration = planned(ground, source, users)
    items = [
        Failure(ACTIVE.format("item"), ACTIVE.format("reason"), ACTIVE.format("advice")),
        Failure(SCRIPT, f"{WRITTEN} {SCRIPT}", WRITTEN),
    ]
    _park(ground, migration, 2, items)
    [unit] = take(ground, migration, ACTIVE.format("owner"), 1)
    ground.consumers.beat(
        ACTIVE.format("owner"), host=WRITTEN, unit=unit.id, version=ACTIVE.format("version")
    )
    return ground.migrations.amend(
        migration, by=ACTIVE.format("by"), what="limits", limits={"bandwidth": WRITTEN}
    )
