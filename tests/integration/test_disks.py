"""A disk moves while its guest writes: nothing is lost, nothing is old, one home at any time."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from common.endpoints.nbd import wire
from common.endpoints.nbd.admission import mount
from common.endpoints.nbd.asking import Offer
from common.endpoints.nbd.client import Client, look
from common.endpoints.nbd.export import WRITABLE, File
from common.endpoints.nbd.passes import mounting
from common.endpoints.nbd.stream import Address, Bytes
from common.endpoints.nbd.wire import Blocks
from common.errors import Conflict, ConvoyError, Missing, Transient
from common.lifecycle.disks import Status
from common.store.access import Access, DiskRecord, Task
from consumer.trans.disks.disk import Plan, offered
from consumer.trans.disks.exclusion import SOURCE, TARGET
from consumer.trans.disks.mover import Proof
from consumer.trans.disks.shelf import Shelf
from consumer.trans.disks.trans import End, Post, serve
from ops.demo.guest import BLOCK, Guest
from tests.disks import DISK, MIB, Site, site
from tests.waiting import eventually

BLOCKS = 16 * MIB // BLOCK


class Failing(File):
    """A set whose disks answer with errors while `bad` is set."""

    bad = threading.Event()

    def write(self, offset: int, data: Bytes, *, fua: bool) -> None:
        self._fail()
        super().write(offset, data, fua=fua)

    def zero(self, offset: int, length: int, *, hole: bool, fua: bool) -> None:
        self._fail()
        super().zero(offset, length, hole=hole, fua=fua)

    def _fail(self) -> None:
        if self.bad.is_set():
            raise Transient("input/output error")


@pytest.fixture(autouse=True)
def mended() -> None:
    Failing.bad.clear()


def wrote(guest: Guest, more: int = 50) -> None:
    """The guest gets on."""
    until = guest.writes + more
    eventually(lambda: guest.writes > until or guest.wrong)


def same(path: Path, guest: Guest) -> None:
    """The file is what the guest wrote."""
    data = path.read_bytes()
    wrong = [b for b in range(BLOCKS) if data[b * BLOCK : (b + 1) * BLOCK] != guest.image(b)]
    assert wrong == [] and guest.wrong == []


def ended(place: Site, thread: threading.Thread, end: End) -> None:
    thread.join(60)
    assert not thread.is_alive() and place.errors == []
    assert place.ended == [end]


@pytest.mark.parametrize("proof", Proof)
def test_a_disk_moves_while_its_guest_writes(tmp_path: Path, proof: Proof) -> None:
    with site(tmp_path) as place:
        guest = Guest(place.guest, BLOCKS, 1).start()
        wrote(guest)
        old = place.copy("old")
        ended(place, place.begin(proof=proof, iodepth=2), End.SWITCHED)
        left = old.read_bytes()
        wrote(guest)
        guest.stop()
        same(place.copy("new"), guest)
        assert old.read_bytes() == left  # not a byte was written there since
        record, task = place.access.disk(DISK), place.access.task(DISK)
        assert (record.set, record.task, task.status) == ("new", "", Status.MIGRATED)
        assert task.finish_offset == place.size and guest.returns >= 1
        assert not list((tmp_path / "logs").iterdir())


def test_a_disk_that_nobody_mounts_moves_too_and_its_holes_stay_holes(tmp_path: Path) -> None:
    with site(tmp_path) as place:
        with place.copy("old").open("r+b") as file:
            for at in (0, 5 * MIB + 4096, 16 * MIB - 512):
                file.seek(at)
                file.write(b"data" * 128)
        ended(place, place.begin(), End.SWITCHED)
        assert place.copy("new").read_bytes() == place.copy("old").read_bytes()
        assert place.copy("new").stat().st_blocks * 512 < 4 * MIB


def test_a_target_that_fails_for_a_while_costs_the_guest_nothing(tmp_path: Path) -> None:
    with site(tmp_path, new=Failing) as place:
        guest = Guest(place.guest, BLOCKS, 2).start()
        wrote(guest)
        Failing.bad.set()
        thread = place.begin()
        eventually(lambda: guest.returns)
        wrote(guest, 300)
        assert place.access.disk(DISK).set == "old" and thread.is_alive()
        Failing.bad.clear()
        ended(place, thread, End.SWITCHED)
        wrote(guest)
        guest.stop()
        same(place.copy("new"), guest)


def test_an_abort_on_the_way_brings_the_guest_back_and_leaves_nothing(tmp_path: Path) -> None:
    with site(tmp_path, new=Failing) as place:
        guest = Guest(place.guest, BLOCKS, 3).start()
        wrote(guest)
        Failing.bad.set()
        thread = place.begin()
        eventually(lambda: place.access.task(DISK).status is Status.MIGRATING)
        wrote(guest)
        assert place.access.let_go(DISK).status is Status.ABORTED
        wrote(guest)
        ended(place, thread, End.OVER)
        wrote(guest)
        guest.stop()
        same(place.copy("old"), guest)
        shelf = Shelf(place.access, "new", str(tmp_path / "new"))
        assert shelf.reclaim() == 1 and shelf.reclaim() == 0
        assert [copy["name"] for copy in place.access.copies(DISK)] == [DISK]
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["state"]
        with pytest.raises(Conflict):
            serve(place.access, DISK, place.post(), threading.Event())


def test_a_target_of_another_size_ends_the_task_and_the_guest_stays(tmp_path: Path) -> None:
    with site(tmp_path) as place:
        guest = Guest(place.guest, BLOCKS, 4).start()
        wrote(guest)
        place.access.create(DISK, "new")
        task = place.access.task(DISK)
        place.access.made("new", task.target_lc)
        with open(tmp_path / "new" / task.target_lc, "wb") as file:
            file.truncate(15 * MIB)
        ended(place, place.go_on(), End.FAILED)
        task = place.access.task(DISK)
        assert task.status is Status.FAILED and "bytes" in task.error
        wrote(guest)
        guest.stop()
        same(place.copy("old"), guest)


def test_a_second_trans_takes_over_and_the_first_one_learns_it(tmp_path: Path) -> None:
    with site(tmp_path, new=Failing) as place:
        guest = Guest(place.guest, BLOCKS, 5).start()
        wrote(guest)
        Failing.bad.set()
        first = place.begin()
        eventually(lambda: place.access.task(DISK).status is Status.MIGRATING)
        wrote(guest)
        other = Post(str(tmp_path / "logs of another host"), str(tmp_path / "other.sock"))
        ends: list[End] = []
        second = threading.Thread(
            target=lambda: ends.append(serve(place.access, DISK, other, place.stop))
        )
        second.start()
        ended(place, first, End.OVER)
        Failing.bad.clear()
        second.join(60)
        assert ends == [End.SWITCHED]
        wrote(guest)
        guest.stop()
        same(place.copy("new"), guest)


def test_a_guest_that_skips_its_login_is_cut_off_before_a_slice_is_copied(tmp_path: Path) -> None:
    """The accident: somebody goes on writing to the source, past Trans."""
    with site(tmp_path, new=Failing) as place:
        record = place.access.disk(DISK)
        secret = place.access.set("old").secret
        direct = Address(
            mounting(secret, record.lc, mount(record.epoch)), path=str(tmp_path / "old.sock")
        )
        past = Client.open(direct)
        past.write(0, b"before" * 100)
        Failing.bad.set()
        thread = place.begin()
        eventually(lambda: place.access.task(DISK).status is Status.MIGRATING)
        with pytest.raises(ConvoyError):
            past.write(0, b"behind" * 100)
        past.close()
        with pytest.raises(ConvoyError):
            Client.open(direct)
        Failing.bad.clear()
        ended(place, thread, End.SWITCHED)
        assert place.copy("new").read_bytes()[:600] == b"before" * 100


def test_what_both_sides_cannot_do_the_guest_is_not_offered() -> None:
    rich = Offer("", MIB, WRITABLE, Blocks(1, 4096, 32 * MIB))
    poor = Offer("", MIB, WRITABLE & ~wire.CAN_ZERO, Blocks(512, 65536, MIB))
    found = offered(Plan(MIB), {SOURCE: rich, TARGET: poor})
    assert not found.can(wire.CAN_ZERO) and not found.can(wire.CAN_TRIM)
    assert found.can(wire.CAN_FLUSH) and found.can(wire.CAN_FUA)
    assert found.blocks == Blocks(512, 65536, MIB)


def test_a_copy_that_vanished_is_missing_and_nothing_is_put_in_its_place(tmp_path: Path) -> None:
    with site(tmp_path) as place:
        lost = place.copy("old")
        lost.rename(tmp_path / "elsewhere")
        for name in (place.access.disk(DISK).lc, "no-such-copy"):
            with pytest.raises(Missing):
                look(Address(name, path=str(tmp_path / "old.sock")))
        assert not lost.exists()


def test_a_catalogue_that_is_away_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    with site(tmp_path) as place:
        place.access.create(DISK, "new")
        fickle = Fickle(place.access)
        assert serve(fickle, DISK, place.post(), place.stop) is End.SWITCHED
        assert fickle.refused > 3
        assert place.access.task(DISK).status is Status.MIGRATED


class Fickle(Access):
    """Calls fail now and then."""

    def __init__(self, access: Access) -> None:
        self.__dict__.update(access.__dict__)
        self.random, self.refused = random.Random(3), 0

    def _fail(self) -> None:
        if self.random.random() < 0.4:
            self.refused += 1
            raise Transient("the catalogue is away")

    def disk(self, id: str) -> DiskRecord:
        self._fail()
        return super().disk(id)

    def settle(self, extern_id: str) -> Task:
        self._fail()
        return super().settle(extern_id)

    def switch(self, task: Task, epoch: int) -> DiskRecord:
        self._fail()
        return super().switch(task, epoch)


def test_a_hostile_guest_harms_neither_trans_nor_another_guest(tmp_path: Path) -> None:
    draw = random.Random(11)
    with site(tmp_path, new=Failing) as place:
        Failing.bad.set()
        thread = place.begin()
        eventually(lambda: place.access.task(DISK).status is Status.MIGRATING)
        guest = Guest(place.guest, BLOCKS // 2, 8).start()
        wrote(guest)
        for _ in range(60):
            client = Client.open(Address("vol", path=str(tmp_path / "trans.sock")))
            with client.detach() as sock, suppress(OSError):
                for _ in range(draw.randrange(1, 6)):
                    sock.sendall(hostile(draw))
        Failing.bad.clear()
        ended(place, thread, End.SWITCHED)
        wrote(guest)
        guest.stop()
        data = place.copy("new").read_bytes()
        assert guest.wrong == [] and guest.mistakes(data) == []


def hostile(draw: random.Random) -> bytes:
    """A request in or out of bounds, whole or cut short; or anything. It may only change the half
    of the disk that the other guest does not use."""
    half = 8 * MIB
    kind = draw.choice([0, 1, 3, 4, 5, 6, 7, 99])
    offset = draw.choice([half, half + draw.randrange(half), 16 * MIB - 1, 1 << 63, (1 << 64) - 1])
    length = draw.choice([0, 1, 4096, MIB, 8 * MIB, (1 << 32) - 1])
    magic = draw.choice([wire.REQUEST] * 7 + [0])
    head = wire.COMMAND.pack(magic, draw.choice([0, 0, 1, 2, 255]), kind, 7, offset, length)
    payload = bytes(draw.randrange(0, 5000)) if kind == wire.CMD_WRITE else b""
    return draw.choice([head + payload, head[:20], draw.randbytes(40)])
