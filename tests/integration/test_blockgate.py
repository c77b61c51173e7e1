"""BlockGate: one writer per disk, the latest that came; also after its own death."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.endpoints.nbd.admission import mount
from common.endpoints.nbd.client import Client, look
from common.endpoints.nbd.export import File
from common.endpoints.nbd.listener import Listener, bound
from common.endpoints.nbd.passes import FENCE, MOUNT, READ, Pass, fencing, mounting, reading, token
from common.endpoints.nbd.serving import serve
from common.endpoints.nbd.stream import Address, Bytes
from common.errors import Conflict, ConvoyError, Corrupt, Denied, Refused, Stale, Transient
from consumer.trans.disks.blockgate import Backing, BlockGate, Door
from tests.waiting import eventually

SECRET = "s3cret"
MIB = 1 << 20


class Slow(File):
    """A disk whose next write waits until it is let go."""

    entered, go = threading.Event(), threading.Event()

    def write(self, offset: int, data: Bytes, *, fua: bool) -> None:
        type(self).entered.set()
        assert type(self).go.wait(30)
        super().write(offset, data, fua=fua)


@contextmanager
def gate(home: Path, kind: type[File] = File) -> Iterator[Address]:
    """A gate before the one disk `d`."""
    disk = home / "disk"
    if not disk.exists():
        with disk.open("wb") as file:
            file.truncate(MIB)

    def find(name: str) -> Backing:
        path = str(disk)
        return Backing(lambda: kind(path, name), lambda: File(path, name, writable=False))

    made = BlockGate(str(home / "state"), SECRET, find)
    listener = Listener(
        bound(str(home / "gate.sock")), lambda stream: serve(stream, made.at(stream))
    )
    try:
        yield Address("d", path=str(home / "gate.sock"))
    finally:
        listener.close()
        made.close()


def writer(where: Address, epoch: int, returns: int = 0, *, fence: bool = False) -> Client:
    name = fencing(SECRET, "d", epoch) if fence else mounting(SECRET, "d", mount(epoch, returns))
    return Client.open(where._replace(export=name))


def test_a_later_mount_cuts_off_the_earlier_one(tmp_path: Path) -> None:
    with gate(tmp_path) as where:
        first = writer(where, 1)
        first.write(0, b"1" * 512)
        second = writer(where, 2)
        with pytest.raises(ConvoyError):
            first.write(0, b"x" * 512)
        second.write(512, b"2" * 512)
        assert second.read(0, 1024) == b"1" * 512 + b"2" * 512
        with pytest.raises(Transient):  # shutting down, in the protocol's words
            writer(where, 1, 9)
        first.close()
        second.close()


def test_a_mount_may_have_several_connections(tmp_path: Path) -> None:
    with gate(tmp_path) as where:
        one, two = writer(where, 3), writer(where, 3)
        one.write(0, b"1" * 512)
        two.write(512, b"2" * 512)
        assert one.read(0, 1024) == b"1" * 512 + b"2" * 512
        again = writer(where, 3, 1)
        for lost in (one, two):
            with pytest.raises(ConvoyError):
                lost.read(0, 512)
            lost.close()
        again.close()


def test_nobody_is_let_in_before_everything_of_the_one_before_has_ended(tmp_path: Path) -> None:
    Slow.entered.clear()
    Slow.go.clear()
    with gate(tmp_path, Slow) as where:
        old = writer(where, 1)
        seen: list[object] = []

        def write() -> None:
            try:
                old.write(0, b"o" * 512)
            except ConvoyError as error:
                seen.append(error)

        def come() -> None:
            new = writer(where, 2)
            seen.append(bytes(new.read(0, 512)))
            new.close()

        threads = [threading.Thread(target=write), threading.Thread(target=come)]
        threads[0].start()
        assert Slow.entered.wait(30)
        threads[1].start()
        eventually(lambda: (tmp_path / "state" / "d.mount").read_text().startswith(str(mount(2))))
        threads[0].join(30)  # cut off at once ...
        assert len(seen) == 1 and isinstance(seen[0], ConvoyError)
        Slow.go.set()
        threads[1].join(30)
        assert seen[1] == b"o" * 512  # ... but carried out before the new one was let in
        old.close()


def test_a_fence_ends_all_writing_of_an_epoch_and_reading_goes_on(tmp_path: Path) -> None:
    with gate(tmp_path) as where:
        first = writer(where, 5)
        first.write(0, b"1" * 512)
        fence = writer(where, 5, fence=True)
        assert fence.read(0, 512) == b"1" * 512
        with pytest.raises(Refused):
            fence.write(0, b"x" * 512)
        with pytest.raises(ConvoyError):
            first.write(0, b"x" * 512)
        for returns in (0, 7):
            with pytest.raises(Transient):
                writer(where, 5, returns)
        after = writer(where, 6)
        after.write(0, b"6" * 512)
        late = writer(where, 5, fence=True)  # a fence of the past changes nothing
        after.write(512, b"7" * 512)
        for client in (first, fence, after, late):
            client.close()


def test_a_gate_that_died_lets_no_earlier_writer_back_in(tmp_path: Path) -> None:
    with gate(tmp_path) as where:
        writer(where, 7).close()
    with gate(tmp_path) as where:
        with pytest.raises(Transient):
            writer(where, 6)
        writer(where, 7, fence=True).close()
    with gate(tmp_path) as where:
        with pytest.raises(Transient):
            writer(where, 7)
        writer(where, 8).close()


def test_a_gate_whose_memory_cannot_be_read_serves_nobody(tmp_path: Path) -> None:
    with gate(tmp_path) as where:
        writer(where, 1).close()
    (tmp_path / "state" / "d.mount").write_text("garbage")
    with gate(tmp_path) as where, pytest.raises(ConvoyError):
        writer(where, 2)
    assert issubclass(Corrupt, ConvoyError)


def test_a_mount_that_the_catalogue_did_not_grant_is_denied(tmp_path: Path) -> None:
    with gate(tmp_path) as where:
        granted = token(SECRET, "d", 1)
        for name in (
            Pass("d", mount(1), MOUNT, "0" * 32),
            Pass("d", mount(1), MOUNT, "\u00e4" * 32),
            Pass("d", mount(2), MOUNT, granted),
            Pass("d", mount(1), MOUNT, token(SECRET, "e", 1)),
            Pass("d", mount(2), FENCE, granted),
            Pass("d", 0, READ, granted),
            Pass("d"),
        ):
            with pytest.raises(Denied):
                Client.open(where._replace(export=str(name)))


@pytest.mark.parametrize("name", ["d@mount@1", "d@mount@x@y", "../d", ".d", "", "d@a@1@b", "d/e"])
def test_a_name_that_could_be_no_disk_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused):
        Pass.read(name)


def test_a_reader_reads_and_disturbs_no_writer(tmp_path: Path) -> None:
    with gate(tmp_path) as where:
        assert look(where).size == MIB
        wrote = writer(where, 1)
        reader = Client.open(where._replace(export=reading(SECRET, "d")))
        assert reader.read(0, 512) == bytes(512)
        with pytest.raises(Refused):
            reader.write(0, b"x" * 512)
        wrote.write(0, b"1" * 512)
        assert reader.read(0, 512) == b"1" * 512
        reader.close()
        wrote.close()


def test_two_gates_cannot_serve_one_set(tmp_path: Path) -> None:
    with gate(tmp_path), pytest.raises(Conflict):
        BlockGate(str(tmp_path / "state"), SECRET, lambda name: pytest.fail("asked"))


def test_a_request_of_a_mount_that_is_over_is_stale(tmp_path: Path) -> None:
    door = Door(str(tmp_path / "e.mount"))
    with pytest.raises(Stale), door.use(mount(1)):
        pytest.fail("carried out")
