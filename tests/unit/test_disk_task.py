"""The table of a disk's task, and who may write after which changes of its record."""

from __future__ import annotations

from typing import Any

import pytest

from common.lifecycle import disks
from common.lifecycle.disks import CODES, NO_TASK, TASK, Change, Event, Status


def changed(record: dict[str, Any], change: Change) -> dict[str, Any] | None:
    if any(record[name] != value for name, value in change.where.items()):
        return None
    return record | dict(change.set) | {"epoch": record["epoch"] + 1}


@pytest.fixture
def record() -> dict[str, Any]:
    return {"id": "d", "set": "old", "task": "", "epoch": 7, "switched": ""}


def test_every_status_has_the_number_that_the_fields_tools_expect() -> None:
    assert [CODES[status] for status in Status] == [0, 1, 2, 3, 4]
    assert NO_TASK not in CODES.values()


def test_every_status_is_reachable_and_every_end_is_one() -> None:
    assert {TASK.start, *TASK.reachable(TASK.start)} == set(Status)
    assert {status for status in Status if not TASK.events(status)} == TASK.ends()


def test_nothing_is_switched_that_was_not_attached() -> None:
    assert TASK.sources(Event.SWITCHED) == {Status.MIGRATING}
    assert TASK.sources(Event.ATTACHED) == {Status.CREATED}


def test_a_disk_with_a_task_is_mounted_directly_by_nobody(record: dict[str, Any]) -> None:
    begun = changed(record, disks.begun("d", "t"))
    assert begun is not None and changed(begun, disks.mounted("d")) is None
    assert changed(begun, disks.begun("d", "u")) is None


def test_who_takes_over_leaves_the_one_before_unable_to_commit(record: dict[str, Any]) -> None:
    begun = changed(record, disks.begun("d", "t"))
    assert begun is not None
    taken = changed(begun, disks.taken("d", "t"))
    assert taken is not None
    assert changed(taken, disks.switched("d", "t", begun["epoch"], "new")) is None
    assert changed(taken, disks.switched("d", "t", taken["epoch"], "new")) is not None


def test_a_task_that_let_go_commits_no_more(record: dict[str, Any]) -> None:
    begun = changed(record, disks.begun("d", "t"))
    assert begun is not None
    released = changed(begun, disks.released("d", "t"))
    assert released is not None and released["set"] == "old"
    assert changed(released, disks.switched("d", "t", begun["epoch"], "new")) is None
    assert changed(released, disks.taken("d", "t")) is None


def test_a_switch_is_made_once_and_named(record: dict[str, Any]) -> None:
    begun = changed(record, disks.begun("d", "t"))
    assert begun is not None
    commit = disks.switched("d", "t", begun["epoch"], "new")
    switched = changed(begun, commit)
    assert switched is not None and (switched["set"], switched["switched"]) == ("new", "t")
    assert changed(switched, commit) is None
    assert changed(switched, disks.mounted("d")) is not None
