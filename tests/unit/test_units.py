"""What the repository of units keeps, whatever it is told; on a store in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from common.errors import Refused, Stale
from common.lifecycle.units import State
from common.model import Counts, Draft, Migration, Receipt, Unit
from tests.factories import Ground
from tests.memory import MemoryStore

NAME = "caf\udce9"  # a name that is not UTF-8, as Python carries it
SPAN = Draft("span", "ann", "1", group="ann", wakes=True)
CLOSE = Draft("close", "ann", group="ann/close", after=("ann",))


@pytest.fixture
def ground() -> Ground:
    return Ground(MemoryStore())


def claimed(ground: Ground, migration: Migration, job: str) -> Unit:
    """The unit of this job, in the hands of c01."""
    [doc] = [doc for doc in ground.units.of(migration) if doc["job"] == job]
    unit = ground.units.claim(migration, doc["id"], doc["epoch"], owner="c01")
    assert unit is not None
    return unit


def test_a_lapsed_unit_that_was_put_to_sleep_is_woken_like_any_other(ground: Ground) -> None:
    migration = ground.moving([CLOSE])
    ground.units.lapse(claimed(ground, migration, "close"), attempts=8)
    ground.units.plan(migration, [SPAN])  # by somebody who was late: its group is open again
    [close] = [unit for unit in ground.units.due(migration, 9) if unit.job == "close"]
    ground.units.sleep(close)
    span = claimed(ground, migration, "span")
    ground.units.finish(span, Receipt(), seconds=1)
    assert [unit.id for unit in ground.units.asleep(migration, behind="", limit=9)] == [close.id]
    ground.units.wake(span)
    assert [unit.id for unit in ground.units.due(migration, 9)] == [close.id]


def test_a_unit_at_an_end_is_neither_asleep_nor_woken(ground: Ground) -> None:
    migration = ground.moving([Draft("move", "ann"), Draft("move", "ann", "2")])
    first, second = ground.units.due(migration, 9)
    for seen, end in (first, ground.units.finish), (second, ground.units.quarantine):
        unit = ground.units.claim(migration, seen.id, seen.epoch, owner="c01")
        assert unit is not None
        if end == ground.units.finish:
            ground.units.finish(unit, Receipt(), seconds=1)
        else:
            ground.units.quarantine(unit, why="it cannot be")
    ground.units.wake(first)
    assert ground.units.due(migration, 9) == []
    assert ground.units.asleep(migration, behind="", limit=9) == []
    assert {doc["state"] for doc in ground.units.of(migration)} == {State.DONE, State.QUARANTINED}


def test_a_unit_with_a_notice_about_an_odd_name_can_be_finished(ground: Ground) -> None:
    migration = ground.moving()
    unit = claimed(ground, migration, "move")
    ground.units.finish(unit, Receipt(Counts(items=1), notices=(f"{NAME}: a socket",)), seconds=1)
    [doc] = ground.units.of(migration)
    assert (doc["state"], doc["notices"]) == (State.DONE, ["caf\\xe9: a socket"])


@pytest.mark.parametrize("reason", [NAME, "a\0b", "\ud800"])
def test_a_unit_can_be_given_back_for_any_reason_whatever(ground: Ground, reason: str) -> None:
    migration = ground.moving()
    unit = claimed(ground, migration, "move")
    ground.units.requeue(unit, after=timedelta(seconds=1), why=reason)
    assert ground.only(migration).reason.isprintable()


def test_nobody_can_take_a_unit_without_a_name(ground: Ground) -> None:
    migration = ground.moving()
    unit = ground.only(migration)
    with pytest.raises(Refused, match="without a name"):
        ground.units.claim(migration, unit.id, unit.epoch, owner="")


def test_a_unit_that_lapsed_cannot_be_reported_by_its_last_holder(ground: Ground) -> None:
    migration = ground.moving()
    unit = claimed(ground, migration, "move")
    ground.units.lapse(unit, attempts=8)
    with pytest.raises(Stale):
        ground.units.finish(unit, Receipt(), seconds=1)
    assert ground.only(migration).state is State.RUNNING


def test_what_comes_after_a_unit_is_not_fenced_off_by_it_however_often_that_was_tried(
    ground: Ground,
) -> None:
    migration = ground.moving([SPAN, CLOSE])
    for _ in range(3):
        ground.units.lapse(claimed(ground, migration, "span"), attempts=8)
    span = claimed(ground, migration, "span")
    ground.marks.append(migration.id, "ann", "manifest.0.1", b"one", fence=span.fence)
    close = claimed(ground, migration, "close")
    assert close.epoch < span.epoch
    ground.marks.append(migration.id, "ann", "manifest.0.1", b"two", fence=close.fence)
    with pytest.raises(Stale):  # it comes to its end while the other one works
        ground.marks.append(migration.id, "ann", "manifest.0.1", b"late", fence=span.fence)
    assert ground.marks.read(migration.id, "ann", "manifest.0.1") == [b"one", b"two"]
    ground.marks.drop(migration.id, "ann", "manifest.0.1", fence=close.fence)
    assert ground.marks.names(migration.id, "ann") == []


def test_a_later_generation_fences_off_all_units_of_an_earlier_one(ground: Ground) -> None:
    migration = ground.moving([SPAN, CLOSE])
    span, close = claimed(ground, migration, "span"), claimed(ground, migration, "close")
    assert max(span.fence, close.fence) < replace(span, generation=2, epoch=1).fence
    assert replace(span, epoch=span.epoch + 1).fence > span.fence
