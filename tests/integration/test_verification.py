"""What a verification says of each way in which two sides may differ, or cannot be read."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common import failpoints
from common.model import Migration
from common.queue.broker import Broker
from tests.trees import plant
from tests.world import World

VERIFY = {"pass": "verify"}


@pytest.fixture
def world(tmp_path: Path, broker: Broker) -> Iterator[World]:
    """Ann has arrived."""
    world = World(tmp_path, broker)
    plant(world.old / "ann")
    assert world.states(world.migrate("ann")) == {"done"}
    yield world
    failpoints.disarm()
    world.store.close()


@pytest.fixture
def huge(tmp_path: Path, broker: Broker) -> Iterator[World]:
    """Ann, who has more than fits one unit, has arrived."""
    world = World(tmp_path, broker, unit_items=20)
    plant(world.old / "ann")
    for number in range(30):
        (world.old / "ann" / f"f{number}").write_bytes(b"%d" % number)
    assert world.states(world.migrate("ann")) == {"done"}
    yield world
    failpoints.disarm()
    world.store.close()


def notices(world: World, migration: Migration) -> list[str]:
    return [text for doc in world.ground.units.of(migration) for text in doc.get("notices", ())]


def when_claimed(job: str, world: World, act: Callable[[], object]) -> None:
    """Do it once, as soon as a unit of this job was claimed."""

    def look() -> None:
        running = world.ground.units.running()
        if any(unit.job == job for unit in running):
            failpoints.disarm()
            act()

    failpoints.arm("runner.claimed", look)


def gone(path: Path) -> None:
    path.unlink()


def another_kind(path: Path) -> None:
    path.unlink()
    path.mkdir()


def longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def elsewhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("elsewhere")


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("notes.txt", gone, "not on the target"),
        ("notes.txt", another_kind, "a file at the source, a directory on the target"),
        ("docs/deep/er/blob", longer, r"target \w{32} \(179204 bytes\)"),
        ("docs/link", elsewhere, "points to 'elsewhere' on the target, not '../notes.txt'"),
        ("docs/link", gone, "not on the target"),
    ],
)
def test_each_difference_is_named_with_what_differs_and_nothing_is_mended(
    world: World, name: str, damage: Callable[[Path], None], said: str
) -> None:
    damage(world.new / "ann" / name)
    os.link(world.new / "ann" / "nothing", world.new / "witness")
    before = (world.new / "witness").stat().st_ctime_ns
    verified = world.migrate("ann", **VERIFY)
    [(item, reason)] = world.failures(verified).items()
    assert item == name
    assert re.search(said, reason), reason
    counts = world.counts(verified)
    assert (counts.failed, counts.skipped) == (1, counts.items - 1)
    assert world.digest(verified) in ("", "0" * 32)  # a user of whom something differs has none
    assert (world.new / "witness").stat().st_ctime_ns == before


def test_what_cannot_be_carried_is_told_and_what_may_not_be_read_is_refused(world: World) -> None:
    os.mkfifo(world.old / "ann" / "pipe")
    (world.old / "ann" / ".convoy-theirs").touch()
    verified = world.migrate("ann", **VERIFY)
    assert list(world.failures(verified)) == [".convoy-theirs"]
    os.unlink(world.old / "ann" / ".convoy-theirs")
    again = world.migrate("ann", **VERIFY)
    assert world.states(again) == {"done"}
    assert notices(world, again) == ["pipe: device, socket or pipe, not carried"]


def test_what_vanished_since_the_lists_were_written_is_no_difference(huge: World) -> None:
    when_claimed("check", huge, lambda: os.unlink(huge.old / "ann" / "f7"))
    verified = huge.migrate("ann", **VERIFY)
    assert huge.states(verified) == {"done"}
    assert notices(huge, verified) == ["f7: gone from the source while we looked"]


def test_what_vanished_on_both_sides_is_no_difference_either(huge: World) -> None:
    def vanish() -> None:
        for side in (huge.old, huge.new):
            os.unlink(side / "ann" / "f7")

    when_claimed("check", huge, vanish)
    assert huge.states(huge.migrate("ann", **VERIFY)) == {"done"}


def test_what_changed_since_the_lists_were_written_is_compared_as_it_is_now(huge: World) -> None:
    same, other = huge.old / "ann" / "f7", huge.old / "ann" / "f8"

    def change() -> None:
        os.utime(same)
        other.write_bytes(b"changed")

    when_claimed("check", huge, change)
    verified = huge.migrate("ann", **VERIFY)
    assert list(huge.failures(verified)) == ["f8"]
    assert "target" in huge.failures(verified)["f8"]  # it was compared, not only found changed


def test_a_file_that_never_stands_still_is_a_failure_and_never_an_agreement(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    restless = world.old / "ann" / "docs" / "ein Brief.txt"
    listed, stamp = os.fstat, iter(range(10**9))
    inode = restless.stat().st_ino

    def seen(fd: int) -> os.stat_result:
        found = listed(fd)
        if found.st_ino == inode:
            os.utime(restless, ns=(next(stamp), next(stamp)))
        return found

    monkeypatch.setattr(os, "fstat", seen)
    verified = world.migrate("ann", **VERIFY)
    [(item, reason)] = world.failures(verified).items()
    assert (item, "changed" in reason) == ("docs/ein Brief.txt", True)
    [unit] = world.ground.units.of(verified)
    assert unit["attempts"] == world.settings.attempts


class Disk:
    """A disk under the target that reports errors for a while."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, broken: float) -> None:
        self.broken, self._read = broken, os.readv
        monkeypatch.setattr(os, "readv", self._readv)

    def _readv(self, fd: int, buffers: list[memoryview]) -> int:
        if self.broken > 0:
            self.broken -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self._read(fd, buffers)


def test_a_passing_trouble_of_a_disk_is_tried_again_and_is_no_difference(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, broken=2)
    verified = world.migrate("ann", **VERIFY)
    assert disk.broken == 0
    assert world.states(verified) == {"done"}
    counts = world.counts(verified)
    assert counts.skipped == counts.items


def test_a_side_that_cannot_be_read_is_a_failure_and_never_an_agreement(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    Disk(monkeypatch, broken=float("inf"))
    verified = world.migrate("ann", **VERIFY)
    assert world.states(verified) == {"quarantined"}
    assert "notes.txt" in world.failures(verified)
    assert "Input/output error" in world.failures(verified)["notes.txt"]
    [unit] = world.ground.units.of(verified)
    assert unit["attempts"] == world.settings.attempts


def test_a_side_that_is_away_is_not_asked_for_every_item(
    huge: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, broken=1_000_000)
    huge.settings = huge.settings.model_copy(update={"unit_items": 1000})
    huge.migrate("ann", **VERIFY)
    asked = 1_000_000 - disk.broken
    assert asked <= 20 * huge.settings.attempts  # of more than thirty files
