"""Disks of a data node that err for real: the kernel says so, and the right cause is found."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from common.errors import Conflict, Corrupt, Permanent, Refused, Transient
from common.lifecycle.partitions.record import Config
from consumer.trans.partitions import health
from consumer.trans.partitions.disk import BACKUP, Disk
from consumer.trans.partitions.extents import META, SUM, Extents, Unsynced
from consumer.trans.partitions.health import Cause, Error, Limits, Status
from consumer.trans.partitions.judge import Copy

PAGE = os.urandom(4096)


class Bench:
    """A disk with one copy on it."""

    def __init__(self, home: Path) -> None:
        self.root, self.state = home / "disk", home / "state"
        self.state.mkdir(exist_ok=True)
        self.root.mkdir(exist_ok=True)
        self.disk = self.again()
        self.extents = Extents(self.disk.make("7", 1))
        self.extents.keep(Copy("a", Config(1, ("a",), "a"), 1))

    def again(self) -> Disk:
        """As a process that starts would find it."""
        return Disk(self.root, self.state, patience=timedelta(seconds=2))

    def append(self, data: bytes = PAGE, extent: str = "1") -> None:
        end = self.extents.length(extent)
        self.disk.run(lambda: self.extents.append(extent, end, data), copy="7", write=True)

    def read(self, extent: str = "1") -> bytes:
        end = self.extents.length(extent)
        return self.disk.run(lambda: self.extents.read(extent, 0, end), copy="7", write=False)

    @property
    def verdict(self) -> tuple[Status, Cause | None]:
        return self.disk.verdict


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    some = Bench(tmp_path)
    yield some
    some.disk.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Bench]:
    """A disk of its own with little room."""
    (tmp_path / "disk").mkdir()
    with mounted(tmp_path / "disk", "size=128k"):
        some = Bench(tmp_path)
        yield some
        some.disk.close()


@contextmanager
def mounted(at: Path, options: str) -> Iterator[None]:
    argv = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(at)]
    if subprocess.run(argv, check=False, capture_output=True).returncode:
        pytest.skip("may not mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def remount(at: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(at)], check=True)


def fill(some: Bench) -> None:
    while True:
        some.append()


def test_a_full_disk_is_not_bad_and_goes_on_when_there_is_room_again(small: Bench) -> None:
    with pytest.raises(Permanent, match="space"):
        fill(small)
    held = small.extents.length("1")
    assert small.verdict == (Status.FULL, Cause.FULL)
    assert len(small.read()) == held > 0
    remount(small.root, "size=1m")
    small.append()
    assert small.read()[held:] == PAGE
    assert Extents(small.extents.folder).length("1") == held + len(PAGE)


def test_a_disk_that_became_read_only_is_bad_and_can_be_read(small: Bench) -> None:
    small.append()
    remount(small.root, "ro")
    with pytest.raises(Permanent, match="Read-only"):
        small.append()
    assert small.verdict == (Status.BAD, Cause.EROFS)
    assert small.read() == PAGE


def test_a_bad_disk_stays_bad_after_a_restart_though_it_could_take_no_note(small: Bench) -> None:
    small.append()
    remount(small.root, "ro")
    with pytest.raises(Permanent):
        small.append()
    after = small.again()  # D8: on the disk itself nothing could be written
    assert after.verdict == (Status.BAD, Cause.EROFS)
    after.close()


def test_another_disk_in_its_place_is_judged_anew(bench: Bench) -> None:
    (bench.root / "x").mkdir()
    bench.root.rename(bench.root.with_name("gone"))
    bench.disk.probe()
    assert bench.verdict == (Status.BAD, Cause.LOST)
    bench.root.mkdir()
    fresh = bench.again()
    assert fresh.verdict == (Status.GOOD, None) and fresh.copies() == {}
    fresh.close()


def test_an_error_of_the_kernel_while_writing_makes_the_disk_bad_at_once(bench: Bench) -> None:
    bench.append()
    (bench.extents.folder / "1").unlink()
    (bench.extents.folder / "1").symlink_to("/proc/self/mem")
    with pytest.raises(Permanent, match="Input/output") as caught:
        bench.append()
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EIO
    assert bench.verdict == (Status.BAD, Cause.EIO)


def test_one_error_while_reading_is_a_suspicion_and_three_are_enough(bench: Bench) -> None:
    bench.append()
    (bench.extents.folder / "1").unlink()
    (bench.extents.folder / "1").symlink_to("/proc/self/mem")
    found = []
    for _ in range(3):
        with pytest.raises(Permanent):
            bench.read()
        found.append(bench.verdict[0])
    assert found == [Status.SUSPECT, Status.SUSPECT, Status.BAD]


def test_bytes_that_changed_on_the_disk_are_told_and_never_handed_out(bench: Bench) -> None:
    for _ in range(4):
        bench.append()
    with (bench.extents.folder / "1").open("r+b") as file:
        file.seek(4096)
        file.write(bytes(4096))
    for _ in range(3):
        with pytest.raises(Corrupt):
            bench.read()
    assert bench.verdict == (Status.BAD, Cause.ROT)
    assert bench.extents.sound("1", bench.extents.chunks["1"]) == 4096
    bench.extents.cut("1", 4096)
    assert bench.extents.read("1", 0, 1 << 20) == PAGE


def test_a_disk_that_hangs_is_bad_and_holds_up_no_other(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    stuck, other = Bench(tmp_path / "a"), Bench(tmp_path / "b")
    stuck.append()
    fifo = stuck.extents.folder / "1"
    fifo.unlink()
    os.mkfifo(fifo)
    with pytest.raises(Transient, match="does not answer"):
        stuck.read()
    assert stuck.verdict == (Status.BAD, Cause.HUNG)
    other.append()
    assert other.read() == PAGE and other.verdict == (Status.GOOD, None)
    os.close(os.open(fifo, os.O_RDWR | os.O_NONBLOCK))  # lets the thread go
    stuck.disk.close()
    other.disk.close()


def test_another_disk_mounted_in_its_place_is_a_lost_disk(bench: Bench) -> None:
    with mounted(bench.root, "size=64k"):
        (bench.root / ".disk_id").write_text("another")
        bench.disk.probe()
    assert bench.verdict == (Status.BAD, Cause.LOST)


def test_copies_without_an_identity_are_not_taken_over(bench: Bench) -> None:
    (bench.root / ".disk_id").unlink()
    with pytest.raises(Permanent, match="no identity"):
        bench.again()


def test_a_write_that_died_before_its_line_was_whole_was_never_there(bench: Bench) -> None:
    bench.append()
    with (bench.extents.folder / f"1{SUM}").open("a") as file:
        file.write("4096 40")
    bench.extents = Extents(bench.extents.folder)
    assert bench.extents.length("1") == 4096
    bench.append(b"next")
    assert Extents(bench.extents.folder).read("1", 0, 1 << 20) == PAGE + b"next"


def test_the_same_append_twice_is_one_and_another_at_its_place_is_refused(bench: Bench) -> None:
    bench.append()
    bench.extents.append("1", 0, PAGE)
    assert bench.extents.length("1") == 4096
    with pytest.raises(Conflict):
        bench.extents.append("1", 0, b"other")
    with pytest.raises(Conflict):
        bench.extents.append("1", 9000, b"gap")


def test_a_file_that_is_gone_is_not_made_anew_with_a_hole(bench: Bench) -> None:
    bench.append()
    (bench.extents.folder / "1").unlink()
    with pytest.raises(Permanent):
        bench.append()
    assert bench.verdict == (Status.BAD, Cause.LOST)
    assert not (bench.extents.folder / "1").exists()


@pytest.mark.parametrize("name", ["META", "1.sum", "../1", ".disk_id", "", "a" * 101, "a/b", "ä"])
def test_no_name_of_an_extent_leads_to_another_file(name: str, bench: Bench) -> None:
    with pytest.raises(Refused):
        bench.append(b"x", name)
    assert bench.verdict == (Status.GOOD, None)


@pytest.mark.parametrize("damage", [b"", b"{}", b"not json", b'{"meta": {}, "crc32": 0}'])
def test_a_copy_that_does_not_know_itself_is_told_and_not_guessed(
    damage: bytes, bench: Bench
) -> None:
    (bench.extents.folder / META).write_bytes(damage)
    with pytest.raises(Corrupt):
        bench.extents.known()


def test_a_copy_is_put_aside_under_its_time_and_never_over_another(bench: Bench) -> None:
    first = bench.disk.aside(bench.extents.folder, "20261120180000")
    second = bench.disk.aside(bench.disk.make("7", 1), "20261120180000")
    assert first != second
    assert first.name == f"{BACKUP}7_1-20261120180000"
    assert bench.disk.backups() == sorted([first.name, second.name])
    assert bench.disk.copies() == {}


CAUSES = {
    "the failure of an fsync": (Error(0, Cause.FSYNC, "7", write=True), Status.BAD),
    "a disk that hangs": (Error(0, Cause.HUNG, "7", write=False), Status.BAD),
    "a disk that is lost": (Error(0, Cause.LOST, "", write=True), Status.BAD),
    "one write": (Error(0, Cause.EIO, "7", write=True), Status.BAD),
    "one read": (Error(0, Cause.EIO, "7", write=False), Status.SUSPECT),
    "one rotten chunk": (Error(0, Cause.ROT, "7", write=False), Status.SUSPECT),
    "no room": (Error(0, Cause.FULL, "7", write=True), Status.FULL),
    "something else": (Error(0, Cause.OTHER, "7", write=True), Status.GOOD),
}


@pytest.mark.parametrize("what", CAUSES)
def test_what_an_error_means_for_a_disk(what: str) -> None:
    error, status = CAUSES[what]
    assert health.judged([error], 1, Limits())[0] is status


def test_errors_of_long_ago_are_forgotten_unless_the_disk_was_found_bad() -> None:
    old = [Error(0, Cause.EIO, "7", write=False)] * 2
    assert health.judged(old, 1_801, Limits()) == (Status.GOOD, None)
    assert health.judged([], 1_801, Limits(), known=Cause.EIO) == (Status.BAD, Cause.EIO)


def test_a_failed_fsync_is_final(bench: Bench) -> None:
    def unsynced() -> None:
        raise Unsynced(errno.EIO, "Input/output error")

    with pytest.raises(Permanent):
        bench.disk.run(unsynced, copy="7", write=True)
    assert bench.verdict == (Status.BAD, Cause.FSYNC)
    assert health.cause(errno.EIO, fsync=True) is Cause.FSYNC
    assert health.cause(errno.ENOSPC, fsync=True) is Cause.FULL
