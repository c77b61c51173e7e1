"""Trigger: what may begin, and what has stood still for too long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from common.errors import Backpressure, Conflict
from common.lifecycle import disks
from common.lifecycle.disks import Event, Status
from common.store.access import Access
from common.store.sqlite import SqliteStore
from producer.disks import Trigger
from tests.factories import Turned

MINUTE = timedelta(minutes=1)


@pytest.fixture
def access(tmp_path: Path) -> Iterator[Access]:
    store = SqliteStore(str(tmp_path / "state.db"))
    made = Access(store)
    for name in ("s1", "s2", "s3"):
        made.add_set(name, f"/run/{name}.sock", slots=1)
    made.add_disk("d1", "s1", 1 << 30)
    made.add_disk("d2", "s2", 1 << 30)
    yield made
    store.close()


def test_a_task_without_progress_is_ended_as_failed_and_the_disk_is_free_again(
    access: Access,
) -> None:
    turned = Turned()
    trigger = Trigger(access, turned.clock())
    task = access.advance(trigger.migrate("d1", "s3"), Event.ATTACHED)
    for moved in (1, 0, 1):  # it moves something once in a while
        access.progress(task, 0, moved=moved)
        assert trigger.look() == []
        turned.turn(MINUTE)
    assert trigger.look() == []
    turned.turn(MINUTE)
    [failed] = trigger.look()
    assert (failed.status, failed.error) == (Status.FAILED, "no progress for 2 minutes")
    assert access.change(disks.mounted("d1")).set == "s1"
    assert access.to_reclaim("s3") == [task.target_lc]
    assert trigger.look() == []


def test_a_task_that_nobody_ever_takes_fails_too(access: Access) -> None:
    turned = Turned()
    trigger = Trigger(access, turned.clock())
    trigger.migrate("d1", "s3")
    trigger.look()
    turned.turn(2 * MINUTE)
    assert [task.status for task in trigger.look()] == [Status.FAILED]


def test_a_trans_that_dies_again_and_again_is_no_progress(access: Access) -> None:
    turned = Turned()
    trigger = Trigger(access, turned.clock())
    task = access.advance(trigger.migrate("d1", "s3"), Event.ATTACHED)
    for _ in range(4):
        trigger.look()
        access.change(disks.taken("d1", task.id))
        turned.turn(MINUTE / 2)
    assert len(trigger.look()) == 1


def test_sets_are_limited_each_on_its_own(access: Access) -> None:
    access.add_disk("d3", "s1", 1 << 30)
    trigger = Trigger(access, Turned().clock())
    trigger.migrate("d1", "s3")
    with pytest.raises(Backpressure):
        trigger.migrate("d3", "s3")
    trigger.migrate("d2", "s3")
    assert trigger.abort("d1").status is Status.ABORTED
    trigger.migrate("d3", "s3")


def test_a_switch_whose_holder_died_is_settled_by_the_next_look(access: Access) -> None:
    trigger = Trigger(access, Turned().clock())
    task = access.advance(trigger.migrate("d1", "s3"), Event.ATTACHED)
    access.switch(task, access.disk("d1").epoch)
    trigger.look()
    assert access.task("d1").status is Status.MIGRATED
    with pytest.raises(Conflict):
        trigger.abort("d1")
    trigger.look()
    assert access.task("d1").finish_offset == 1 << 30
