"""Whoever watches a migration sees the same on every store."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.lifecycle.units import State
from common.model import Counts, Draft, Receipt
from common.store.base import Store
from ops.desk import Desk
from ops.report import report
from ops.watching import Watcher, end_of
from tests.factories import Ground, settings_for


@pytest.fixture
def ground(document_store: Store) -> Ground:
    return Ground(document_store)


@pytest.fixture
def here(ground: Ground, tmp_path: Path) -> Desk:
    return Desk(settings_for(tmp_path), ground.store, None, ground.clock, "test")


def test_progress_and_sums_are_told_per_job_by_every_store(here: Desk, ground: Ground) -> None:
    drafts = [Draft("user", "ann"), Draft("user", "bob"), Draft("span", "ann", name="1")]
    migration = ground.moving(drafts)
    for doc in list(ground.units.of(migration, State.QUEUED)):
        if doc["key"] == "ann":
            unit = ground.units.claim(migration, doc["id"], doc["epoch"], owner="c01")
            assert unit is not None
            counts = Counts(items=3, moved=3, bytes=30, bytes_moved=30)
            ground.units.finish(unit, Receipt(counts), seconds=1)
    seen = Watcher(here, migration.id).look()
    assert (seen.users, seen.users_total, seen.items, seen.bytes) == (1, 2, 6, 60)
    assert end_of(here, seen) is None
    jobs = ground.units.by_job(migration)
    assert {job: (sums.total, sums.done) for job, sums in jobs.items()} == {
        "user": (2, 1),
        "span": (1, 1),
    }
    assert report(here, migration)["units"]["done"] == 2
