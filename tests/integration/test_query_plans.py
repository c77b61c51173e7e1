"""No question about units reads all of them: what SQLite means to do is asked for every one.

Every method of the repositories is called once, whatever it sends is noted, and its plan looked
at. Who adds a method adds its call here, and an index if the plan has none.
"""

from __future__ import annotations

import inspect
import re
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from common.lifecycle.units import State
from common.model import Draft, Failure, Migration, Receipt, Unit
from common.store.failures import Failures
from common.store.marks import Marks
from common.store.sqlite import SqliteStore
from common.store.units import Units
from tests.factories import Ground

ALL = re.compile(r"SCAN (units|marks|failures)")
BATCH = timedelta(seconds=9)
Call = Callable[["Asked"], Any]


class Asked:
    """A store whose statements are noted."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[str] = []
        connect = sqlite3.connect

        def noting(*args: Any, **kwargs: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = connect(*args, **kwargs)
            connection.set_trace_callback(self.sent.append)
            return connection

        monkeypatch.setattr(sqlite3, "connect", noting)
        self.path, self.store = path, SqliteStore(str(path))
        monkeypatch.undo()
        self.ground = Ground(self.store)
        drafts = [Draft("user", "ann", group="ann"), Draft("close", "ann", "", "c", ("ann",))]
        self.migration = self.ground.moving(drafts)
        self.units, self.marks, self.failures = (
            self.ground.units,
            self.ground.marks,
            self.ground.failures,
        )

    @property
    def unit(self) -> Unit:
        """The unit of the first draft, in the hands of c01 by now."""
        [unit] = [u for u in map(self._whole, self.units.of(self.migration)) if u.job == "user"]
        if not unit.owner:
            claimed = self.units.claim(self.migration, unit.id, unit.epoch, owner="c01")
            assert claimed is not None
            return claimed
        return unit

    def plans(self) -> Iterator[str]:
        """Each step of each statement sent so far."""
        with sqlite3.connect(self.path) as connection:
            connection.create_function("patched", 1, str)
            for text in dict.fromkeys(self.sent):
                if text.startswith(("SELECT", "UPDATE", "DELETE")) and "sqlite_master" not in text:
                    for row in connection.execute(f"EXPLAIN QUERY PLAN {text}"):
                        yield f"{row[3]}: {text[:300]}"
        connection.close()

    def _whole(self, doc: dict[str, Any]) -> Unit:
        unit = self.units.get(doc["id"])
        assert unit is not None
        return unit


FENCE = 1
UNITS: dict[str, Call] = {
    "plan": lambda a: a.units.plan(a.migration, [Draft("user", "bob")]),
    "get": lambda a: a.units.get("x"),
    "due": lambda a: a.units.due(a.migration, 9),
    "oldest_due": lambda a: a.units.oldest_due(a.migration),
    "postpone": lambda a: a.units.postpone([a.unit], BATCH),
    "hasten": lambda a: a.units.hasten(a.migration, BATCH),
    "claim": lambda a: a.units.claim(a.migration, a.unit.id, 1, owner="c02"),
    "beat": lambda a: a.units.beat(a.unit, live_items=1),
    "sleep": lambda a: a.units.sleep(a.unit),
    "asleep": lambda a: a.units.asleep(a.migration, behind="a", limit=9),
    "wake": lambda a: a.units.wake(a.unit),
    "stuck": lambda a: a.units.stuck(a.migration),
    "finish": lambda a: a.units.finish(a.unit, Receipt(), seconds=1),
    "requeue": lambda a: a.units.requeue(a.unit, after=BATCH, why="so"),
    "quarantine": lambda a: a.units.quarantine(a.unit, why="so"),
    "lapse": lambda a: a.units.lapse(a.unit, attempts=9),
    "release": lambda a: [
        a.units.release(_parked(a), by="me"),
        a.units.release(a.migration, ["x"], by="me"),
    ],
    "prune": lambda a: a.units.prune(a.migration.id, before=3, limit=9),
    "running": lambda a: list(a.units.running()),
    "of": lambda a: [
        list(a.units.of(a.migration, state, fields=fields))
        for state in (None, *State)
        for fields in ((), ("key",))
    ],
    "open": lambda a: (a.units.open(a.migration), a.units.open(a.migration, ("ann",))),
    "some": lambda a: a.units.some(a.migration, State.DONE),
    "sums": lambda a: a.units.sums(a.migration),
    "by_job": lambda a: a.units.by_job(a.migration),
    "digests": lambda a: list(a.units.digests(a.migration)),
}
MARKS: dict[str, Call] = {
    "read": lambda a: a.marks.read("m", "g", "n"),
    "names": lambda a: a.marks.names("m", "g"),
    "put": lambda a: a.marks.put("m", "g", "n", b"x", fence=FENCE),
    "append": lambda a: a.marks.append("m", "g", "n", b"x", fence=FENCE),
    "drop": lambda a: a.marks.drop("m", "g", "n", fence=FENCE),
    "prune": lambda a: a.marks.prune("m", before=3, limit=9),
    "groups": lambda a: list(a.marks.groups("m")),
}
FAILURES: dict[str, Call] = {
    "replace": lambda a: a.failures.replace(_later(a), [Failure("a", "b")]),
    "prune": lambda a: a.failures.prune(a.migration.id, before=3, limit=9),
    "of": lambda a: list(a.failures.of(a.migration)),
}
CALLS = [(c, name) for c in (UNITS, MARKS, FAILURES) for name in c]


def _parked(asked: Asked) -> Migration:
    asked.units.quarantine(asked.unit, why="so")
    return asked.migration


def _later(asked: Asked) -> Unit:
    asked.units.lapse(asked.unit, attempts=9)
    return asked.unit


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    asked = Asked(tmp_path / "state.db", monkeypatch)
    yield asked
    asked.store.close()


@pytest.mark.parametrize(
    ("calls", "name"), CALLS, ids=[f"{c[n].__code__.co_names[0]}.{n}" for c, n in CALLS]
)
def test_no_question_about_units_marks_and_failures_reads_all_of_them(
    asked: Asked, calls: dict[str, Call], name: str
) -> None:
    asked.sent.clear()
    calls[name](asked)
    assert asked.sent
    assert [plan for plan in asked.plans() if ALL.match(plan)] == []


@pytest.mark.parametrize(
    ("repository", "calls"), [(Units, UNITS), (Marks, MARKS), (Failures, FAILURES)]
)
def test_every_question_is_asked_here(repository: type, calls: dict[str, Call]) -> None:
    methods = {n for n, _ in inspect.getmembers(repository, inspect.isfunction) if n[0] != "_"}
    assert methods == set(calls)


@pytest.mark.parametrize("state", [None, State.DONE, State.QUEUED])
def test_units_are_streamed_in_the_order_of_their_ids_without_sorting_them(
    asked: Asked, state: State | None
) -> None:
    asked.sent.clear()
    list(asked.units.of(asked.migration, state))
    assert [plan for plan in asked.plans() if "TEMP B-TREE" in plan] == []


def test_what_is_done_is_not_met_when_sleepers_are_looked_for(asked: Asked) -> None:
    asked.sent.clear()
    asked.units.asleep(asked.migration, behind="", limit=9)
    finding = [plan for plan in asked.plans() if plan.startswith("SEARCH")]
    assert finding and all("f_state=? AND f_migration=?" in plan for plan in finding)
