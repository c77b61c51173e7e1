"""A Trans is killed at every named place: the guest loses nothing, and the next one finishes."""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from common import failpoints
from common.lifecycle.disks import Status
from consumer.trans.disks.trans import End, Post, serve
from ops.demo.guest import BLOCK, Guest
from ops.processes import Child
from tests.disks import DISK, MIB, Site, site
from tests.waiting import eventually

SIZE = 24 * MIB
CASES = [  # where it dies, and whether the guest asks again for what was not answered
    ("trans.sending=kill:40", False),
    ("trans.sent=kill:60", False),
    ("trans.copied=kill:12", True),
    ("trans.fenced=kill", False),
    ("trans.switched=kill", True),
]


def gone(child: Child) -> bool:
    return not child.alive


def finish(place: Site, within: float = 60) -> int:
    """Begin Trans after Trans until one has ended by itself; how many there were."""
    for number in range(1, 10):
        child = place.process(f"t{number}")
        try:
            eventually(partial(gone, child), within)
        finally:
            child.stop(timedelta(seconds=1))
        if child.code == 0 or place.access.disk(DISK).set == "new":
            return number
    raise AssertionError(child.said())


@pytest.mark.parametrize(("place", "resends"), CASES)
def test_whatever_a_trans_was_doing_when_it_died_nothing_is_lost(
    tmp_path: Path, place: str, resends: bool
) -> None:
    with site(tmp_path, SIZE) as here:
        guest = Guest(here.guest, SIZE // BLOCK, 7, resends=resends).start()
        eventually(lambda: guest.writes > 50)
        here.access.create(DISK, "new")
        doomed = here.process("doomed", place)
        eventually(lambda: not doomed.alive, 60)
        assert doomed.code == -signal.SIGKILL, doomed.said()
        doomed.stop(timedelta(seconds=1))
        if here.access.disk(DISK).set == "old":
            finish(here)
        task = here.access.settle(DISK)
        assert task.status is Status.MIGRATED
        until = guest.writes + 50
        eventually(lambda: guest.writes > until or guest.wrong)
        guest.stop()
        assert guest.wrong == []
        assert guest.mistakes(here.copy("new").read_bytes()) == []


@pytest.mark.parametrize(
    ("place", "nth"), [("trans.sending", 40), ("trans.sent", 50), ("trans.fenced", 1)]
)
def test_a_trans_that_wakes_when_another_has_switched_changes_nothing(
    tmp_path: Path, place: str, nth: int
) -> None:
    """A zombie: frozen in the middle, on a host whose log nobody else can read."""
    frozen, woken = threading.Event(), threading.Event()
    passes = itertools.count(1)

    def freeze() -> None:
        if next(passes) == nth:
            frozen.set()
            assert woken.wait(60)

    with site(tmp_path, SIZE) as here:
        guest = Guest(here.guest, SIZE // BLOCK, 9).start()
        eventually(lambda: guest.writes > 50)
        failpoints.arm(place, freeze)
        zombie = here.begin(iodepth=2)
        assert frozen.wait(60)
        other = Post(str(tmp_path / "another host"), str(tmp_path / "other.sock"), iodepth=2)
        assert serve(here.access, DISK, other, here.stop) is End.SWITCHED
        until = guest.writes + 50
        eventually(lambda: guest.writes > until or guest.wrong)
        old = here.copy("old").read_bytes()
        woken.set()
        zombie.join(60)
        assert not zombie.is_alive() and here.errors == []
        until = guest.writes + 50
        eventually(lambda: guest.writes > until or guest.wrong)
        guest.stop()
        assert guest.wrong == []
        assert guest.mistakes(here.copy("new").read_bytes()) == []
        assert here.copy("old").read_bytes() == old
        assert here.access.task(DISK).status is Status.MIGRATED


@pytest.fixture(autouse=True)
def nothing_armed() -> Iterator[None]:
    yield
    failpoints.disarm()
