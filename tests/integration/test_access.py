"""The catalogue of disks: one task a disk, three a set, one commit, and redo after any death."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from common.errors import Backpressure, Conflict, ConvoyError, Missing, Occupied, Refused
from common.lifecycle import disks
from common.lifecycle.disks import Event, Status
from common.store.access import Access, DiskRecord, Task
from common.store.base import Documents, Store
from tests.servers.stores import Lab

GIB = 1 << 30


class Killed(BaseException):
    """The process died here."""


class Mortal:
    """A store that dies at the nth write, before or behind it."""

    def __init__(self, store: Store, nth: int, *, behind: bool) -> None:
        self._store, self._left, self._behind = store, nth, behind

    def collection(self, name: str) -> Documents:
        return MortalDocuments(self, self._store.collection(name))  # type: ignore[return-value]

    def close(self) -> None: ...

    def write(self, act: Callable[[], object]) -> object:
        self._left -= 1
        if self._left == 0 and not self._behind:
            raise Killed
        done = act()
        if self._left == 0:
            raise Killed
        return done


class MortalDocuments:
    def __init__(self, mortal: Mortal, inner: Documents) -> None:
        self._mortal, self._inner = mortal, inner

    def __getattr__(self, name: str) -> object:
        found = getattr(self._inner, name)
        if name not in ("insert", "change", "remove"):
            return found
        return lambda *args, **named: self._mortal.write(lambda: found(*args, **named))


@pytest.fixture
def store(shared_store_lab: Lab) -> Iterator[Store]:
    made = shared_store_lab.open()
    yield made
    made.close()


@pytest.fixture
def access(store: Store) -> Access:
    made = Access(store)
    for name in ("s1", "s2"):
        made.add_set(name, f"/run/{name}.sock")
    for n in range(5):
        made.add_disk(f"d{n}", "s1", GIB)
    return made


def moved(access: Access, disk: str = "d0", to: str = "s2") -> Task:
    task = access.create(disk, to)
    task = access.advance(task, Event.ATTACHED)
    access.switch(task, access.disk(disk).epoch)
    return access.settle(disk)


def sound(access: Access, disk: str = "d0") -> None:
    """Whatever happened: one home, and nothing left behind that nobody knows of."""
    for lc in access.to_reclaim("s2"):
        assert lc != access.disk(disk).lc
        access.reclaimed("s2", lc)
    record, copies = access.disk(disk), {c["id"]: c["name"] for c in access.copies(disk)}
    assert copies[f"{record.set}/{record.lc}"] == disk
    assert not record.task
    assert set(copies.values()) <= {disk, f"{disk}_old"}


def test_a_disk_is_created_moved_and_its_old_copy_is_kept(access: Access) -> None:
    before = access.disk("d0")
    task = moved(access)
    after = access.disk("d0")
    assert (after.set, after.lc) == ("s2", task.target_lc) and after.epoch > before.epoch
    assert task.status is Status.MIGRATED and task.end_time
    assert {c["name"]: c["set"] for c in access.copies("d0")} == {"d0": "s2", "d0_old": "s1"}
    sound(access)


def test_a_disk_is_moved_again_only_when_its_old_copy_is_gone(access: Access, store: Store) -> None:
    moved(access)
    with pytest.raises(Occupied, match="d0_old"):
        access.create("d0", "s1")
    store.collection("t_lc_info").remove({"id": "s1/d0.1"})
    task = moved(access, to="s1")
    assert task.generation == 2 and access.disk("d0").set == "s1"


def test_whatever_is_no_healthy_disk_on_its_own_in_a_set_of_its_site_is_refused(
    access: Access,
) -> None:
    access.report_state("d0", "degraded")
    with pytest.raises(Refused, match="degraded"):
        access.create("d0", "s2")
    with pytest.raises(Refused):
        access.create("d1", "s1")
    access.add_set("far", "/run/far", site="elsewhere")
    with pytest.raises(Refused):
        access.create("d1", "far")
    for disk, to in (("none", "s2"), ("d1", "none")):
        with pytest.raises(Missing):
            access.create(disk, to)
    assert access.tasks() == []


def test_a_second_request_is_refused_with_the_state_of_the_first(access: Access) -> None:
    access.advance(access.create("d0", "s2"), Event.ATTACHED)
    with pytest.raises(Conflict, match="migrating"):
        access.create("d0", "s2")


def test_a_set_gives_three_disks_away_at_once_and_nothing_is_left_of_the_fourth(
    access: Access,
) -> None:
    for n in range(3):
        access.create(f"d{n}", "s2")
    with pytest.raises(Backpressure):
        access.create("d3", "s2")
    assert [c["name"] for c in access.copies("d3")] == ["d3"]
    with pytest.raises(Missing):
        access.task("d3")
    access.let_go("d1")
    access.create("d3", "s2")


def test_of_many_that_ask_at_once_three_get_a_slot(access: Access) -> None:
    got: list[str] = []

    def ask(disk: str) -> None:
        with suppress(Backpressure):
            got.append(access.create(disk, "s2").id)

    threads = [threading.Thread(target=ask, args=(f"d{n}",)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 3


def test_while_a_disk_has_a_task_nobody_mounts_it_directly(access: Access) -> None:
    access.create("d0", "s2")
    with pytest.raises(Conflict):
        access.change(disks.mounted("d0"))
    access.let_go("d0")
    assert access.change(disks.mounted("d0")).set == "s1"


def test_a_commit_of_an_earlier_epoch_is_refused(access: Access) -> None:
    task = access.advance(access.create("d0", "s2"), Event.ATTACHED)
    epoch = access.disk("d0").epoch
    access.change(disks.taken("d0", task.id))
    with pytest.raises(Conflict):
        access.switch(task, epoch)
    record = access.switch(task, epoch + 1)
    assert access.switch(task, epoch + 1) == record  # asked again: it was done


def test_after_the_switch_there_is_no_abort(access: Access) -> None:
    task = access.advance(access.create("d0", "s2"), Event.ATTACHED)
    access.switch(task, access.disk("d0").epoch)
    with pytest.raises(Conflict, match="switched"):
        access.let_go("d0")
    assert access.settle("d0").status is Status.MIGRATED


def test_after_an_abort_there_is_no_switch_and_nothing_is_left(access: Access) -> None:
    task = access.advance(access.create("d0", "s2"), Event.ATTACHED)
    epoch = access.disk("d0").epoch
    ended = access.let_go("d0", error="no progress for 2 minutes")
    assert (ended.status, ended.error) == (Status.FAILED, "no progress for 2 minutes")
    with pytest.raises(Conflict):
        access.switch(task, epoch)
    assert access.let_go("d0").status is Status.FAILED
    sound(access)


def test_progress_goes_forward_only(access: Access) -> None:
    task = access.advance(access.create("d0", "s2"), Event.ATTACHED)
    for offset in (10, 30, 20):
        access.progress(task, offset)
    assert access.task("d0").finish_offset == 30


def story(access: Access) -> DiskRecord:
    """Everything that writes, once."""
    task = access.create("d0", "s2")
    task = access.advance(task, Event.ATTACHED)
    access.switch(task, access.disk("d0").epoch)
    access.settle("d0")
    return access.disk("d0")


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("nth", range(1, 13))
def test_whoever_dies_on_the_way_to_a_switch_leaves_what_repair_brings_in_line(
    access: Access, store: Store, nth: int, behind: bool
) -> None:
    with suppress(Killed):
        story(Access(Mortal(store, nth, behind=behind)))
    if access.disk("d0").set == "s1":
        with suppress(Missing):
            access.let_go("d0")
    access.repair()
    sound(access)
    if access.disk("d0").set == "s1":
        moved(access)
    assert access.disk("d0").set == "s2"
    free = [access.create(f"d{n}", "s2") for n in (1, 2, 3)]  # no slot was lost
    assert len(free) == 3


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("nth", range(1, 6))
def test_whoever_dies_in_an_abort_leaves_what_repair_brings_in_line(
    access: Access, store: Store, nth: int, behind: bool
) -> None:
    access.advance(access.create("d0", "s2"), Event.ATTACHED)
    with suppress(Killed):
        Access(Mortal(store, nth, behind=behind)).let_go("d0")
    access.let_go("d0")
    access.repair()
    sound(access)
    assert len([access.create(f"d{n}", "s2") for n in (0, 1, 2)]) == 3


def test_what_cannot_be_a_name_is_refused(access: Access) -> None:
    for name in ("", "../x", ".x", "a b", "a@b"):
        with pytest.raises(ConvoyError):
            access.add_disk(name, "s1", GIB)
        with pytest.raises(ConvoyError):
            access.add_set(name, "/run/x")
