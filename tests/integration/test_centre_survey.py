"""All who look at the control centre share one look, and what is dear is bounded and kept."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from common.clock import Clock
from common.model import Counts, Draft, Kind, Receipt
from common.settings import Settings
from ops.centre import looks
from ops.centre import survey as surveys
from ops.centre.news import News
from ops.centre.survey import Survey
from ops.desk import Desk, desk
from tests.factories import Ground, Turned, settings_for
from tests.scenery import (
    done,
    moving,
)
from tests.waiting import eventually


@pytest.fixture
def ours(tmp_path: Path) -> Settings:
    return settings_for(tmp_path / "home")


@pytest.fixture
def here(ours: Settings) -> Iterator[Desk]:
    with desk(ours) as opened:
        yield opened


def test_all_viewers_share_one_look_and_nobody_looks_when_nobody_asks(ours: Settings) -> None:
    turned = Turned(ticks=1000.0)
    survey = Survey(ours, News(), Clock(wall=time.time, tick=lambda: turned.ticks))
    survey.start()
    try:
        for _ in range(50):
            survey.fresh()
        eventually(lambda: survey.version > 0)
        assert survey.version <= 2
        turned.ticks += 3600  # nobody asked for an hour
        before = survey.version
        survey.fresh()
        assert survey.version > before
    finally:
        survey.stop()


def test_a_look_reads_again_only_what_changed(here: Desk, ours: Settings) -> None:
    ground = Ground(here.store, Turned(now=time.time()))
    first, _ = moving(ground, "one"), moving(ground, "two")
    news = News()
    survey = Survey(ours, news, here.clock)
    survey.start()
    try:
        survey.fresh()
        eventually(lambda: survey.row(first.id))
        place = news.last
        ground.migrations.amend(
            ground.migrations.get(first.id), by="x", what="paused", hold="paused"
        )
        survey.watch(1)

        def told() -> set[str]:
            items = news.since(place) or []
            return {row["id"] for item in items if item.event == "migrations" for row in item.rows}

        assert eventually(lambda: first.id in told())
        row = survey.row(first.id)
        assert row and row["hold"] == "paused"
    finally:
        survey.stop()


def test_a_huge_migration_is_shown_by_a_sample_with_everything_that_is_parked(
    here: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "SAMPLE", 50)
    ground = Ground(here.store)
    migration = ground.migrations.create(Kind.USERS, "file:///a", "file:///b")
    ground.units.plan(migration, [Draft("user", f"u{n:04}") for n in range(500)])
    parked = []
    for unit in ground.units.due(migration, 5):
        taken = ground.units.claim(migration, unit.id, unit.epoch, owner="c01@h")
        assert taken
        ground.units.quarantine(taken, why="no")
        parked.append(unit.key)
    found = looks.heat(here, migration, 10)
    assert found["sampled"]
    assert 50 <= found["units"] <= 55
    assert sum(cell["quarantined"] for cell in found["cells"]) == len(parked)


def test_an_empty_migration_has_an_empty_map_and_no_throughput(here: Desk) -> None:
    migration = Ground(here.store).migrations.create(Kind.USERS, "file:///a", "file:///b")
    assert looks.heat(here, migration, 10)["cells"] == []
    assert looks.rates(here, migration)["points"] == []
    assert looks.failures(here, migration) == {"groups": [], "total": 0, "more": False}


def test_a_month_of_minutes_is_a_graph_of_bounded_length(here: Desk) -> None:
    turned = Turned(now=time.time() - 30 * 86400)
    ground = Ground(here.store, turned)
    migration = ground.migrations.create(Kind.USERS, "file:///a", "file:///b")
    ground.units.plan(migration, [Draft("user", str(n)) for n in range(60)])
    for unit in ground.units.due(migration, 60):
        taken = ground.units.claim(migration, unit.id, unit.epoch, owner="c")
        assert taken
        turned.turn(timedelta(hours=12))
        ground.units.finish(taken, Receipt(Counts(items=1)), seconds=1)
    found = looks.rates(here, migration)
    assert len(found["points"]) <= looks.POINTS
    assert sum(p["units"] for p in found["points"]) * found["step"] == pytest.approx(60)


def test_what_is_dear_is_kept_and_of_too_much_the_oldest_is_forgotten() -> None:
    turned = Turned()
    kept = looks.Kept(turned.clock(), most=3)
    made: list[str] = []

    def make(name: str, cost: float) -> str:
        made.append(name)
        turned.ticks += cost
        return json.dumps(name)

    for _ in range(5):
        kept.of("dear", lambda: make("dear", 2.0))
    assert made == ["dear"]
    turned.ticks += 18.1
    kept.of("dear", lambda: make("dear", 2.0))
    assert made == ["dear", "dear"]
    for name in "abc":
        kept.of(name, lambda name=name: make(name, 0.0))  # type: ignore[misc]
    kept.of("dear", lambda: make("dear", 2.0))
    assert made == ["dear", "dear", "a", "b", "c", "dear"]


def test_nobody_waits_for_the_dear_answer_of_another() -> None:
    kept, begun, go = looks.Kept(Clock()), threading.Event(), threading.Event()

    def dear() -> str:
        begun.set()
        assert go.wait(30)
        return "dear"

    slow = threading.Thread(target=lambda: kept.of("dear", dear))
    slow.start()
    assert begun.wait(30)
    assert kept.of("cheap", lambda: "cheap") == "cheap"
    go.set()
    slow.join(30)
    assert kept.of("dear", dear) == "dear"


def test_a_huge_migration_is_counted_by_the_look_and_not_while_somebody_waits(
    here: Desk, ours: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = Ground(here.store, Turned(now=time.time()))
    migration = done(ground, "over")
    monkeypatch.setattr(surveys, "QUICK", -1)
    survey = Survey(ours, News(), here.clock)
    survey.start()
    try:
        [row] = survey.fresh().counted(survey.ordered("name"))
        assert row["units"] is None
        survey.watch(1)

        def counted_now() -> bool:
            found = survey.row(migration.id)
            return bool(found and found["units"] and found["units"]["done"] == 6)

        assert eventually(counted_now)
    finally:
        survey.stop()


def test_a_migration_that_ended_is_counted_once_more_and_then_left_alone(
    here: Desk, ours: Settings
) -> None:
    ground = Ground(here.store, Turned(now=time.time()))
    migration = done(ground, "over")
    survey = Survey(ours, News(), here.clock)
    survey.start()
    try:
        [row] = survey.fresh().counted(survey.ordered("name"))
        assert row["id"] == migration.id
        assert row["units"]["done"] == row["units"]["total"] == 6
        assert row["eta"] is None
    finally:
        survey.stop()
