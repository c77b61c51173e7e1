"""Replicas that move between real data nodes while somebody writes, and processes die."""

from __future__ import annotations

import http.client
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from common.errors import ConvoyError
from common.lifecycle.partitions.partition import Restore, Status
from common.lifecycle.partitions.record import Record
from common.store.nodes import Nodes
from common.store.partitions import Partitions
from common.store.tokens import TokenDocuments
from consumer.trans.partitions.client import Client
from consumer.trans.partitions.peer import Peer
from producer.partitions import orders
from producer.partitions.controller import Controller, Settings
from producer.partitions.facts import Knobs
from tests.servers.datanodes import Cluster, cluster
from tests.waiting import eventually

WRITES = 15  # of a move of one replica: the record, and three tokens taken and given back
QUICK = Settings(silence=timedelta(seconds=2), repair=timedelta(seconds=20))


class Writer:
    """Somebody who appends all the time and knows what was acknowledged."""

    def __init__(self, client: Client, id: str) -> None:
        self._client, self._id = client, id
        self.acked = bytearray()
        self.errors: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        self._thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._thread.join(60)

    def more(self, bytes: int = 2_000) -> Callable[[], bool]:
        """Has so much more been acknowledged since now?"""
        goal = len(self.acked) + bytes
        return lambda: len(self.acked) >= goal

    def _write(self) -> None:
        while not self._over.is_set():
            data = os.urandom(1_000)
            try:
                self._client.append(self._id, "1", len(self.acked), data)
            except ConvoyError as error:
                self.errors.append(str(error))
                return
            self.acked += data


class Scene:
    """A partition on the first nodes of a cluster, and who judges it."""

    def __init__(self, some: Cluster, replicas: int, settings: Settings = QUICK) -> None:
        self.cluster, self.partitions = some, Partitions(some.store)
        self.client = Client(self.partitions)
        self.hosts = tuple(some.names[:replicas])
        self.client.create("7", self.hosts)
        self.controller = Controller(some.store, settings=settings, knobs=Knobs(least_free_bytes=1))

    def record(self) -> Record:
        self.controller.turn()
        return self.partitions.get("7")

    def rests(self) -> Record | None:
        record = self.record()
        return record if record.restore is Restore.STOP and not record.claims else None

    def decommission(self, host: str) -> None:
        self.partitions.change("7", lambda record: orders.mark(record, host), by="test")

    def told(self, host: str, extent: str = "1") -> bytes:
        """What a host itself holds of an extent, proven by it."""
        return Peer(host).ask(f"/dp/7/extent/{extent}", off=0, len=1 << 24)

    def assert_whole(self, acked: bytes) -> None:
        """Every host has every acknowledged byte; nobody else has a copy; no token is left."""
        record = eventually(self.rests, 60)
        assert record
        for host in record.hosts:
            eventually(lambda h=host: self.told(h)[: len(acked)] == acked)  # type: ignore[misc]
        for name in set(self.cluster.names) - set(record.hosts):
            eventually(lambda n=name: not self.cluster.copies(n, "7"))  # type: ignore[misc]
        assert not any(TokenDocuments(self.cluster.store).held().values())
        assert self.client.read("7", "1")[: len(acked)] == acked


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_a_replica_moves_while_somebody_writes_and_no_byte_is_lost(
    replicas: int, tmp_path: Path
) -> None:
    with cluster(tmp_path, replicas + 1) as some:
        scene = Scene(some, replicas)
        [target] = set(some.names) - set(scene.hosts)
        source = scene.hosts[0]  # the primary
        with Writer(scene.client, "7").writing() as writer:
            eventually(writer.more())
            scene.decommission(source)
            record = eventually(scene.rests, 60)
            eventually(writer.more())
        assert writer.errors == []
        assert record and record.status is Status.INITIAL
        assert set(record.hosts) == {*scene.hosts, target} - {source}
        scene.assert_whole(bytes(writer.acked))


def test_a_node_that_dies_is_gone_without_and_a_copy_is_made_elsewhere(tmp_path: Path) -> None:
    heals = Settings(silence=timedelta(seconds=2), repair=timedelta(seconds=20), heals=True)
    with cluster(tmp_path, 4) as some:
        scene = Scene(some, 3, heals)
        with Writer(scene.client, "7").writing() as writer:
            eventually(writer.more())
            some.kill(scene.hosts[0])  # the primary
            eventually(lambda: scene.record().primary != scene.hosts[0], 60)
            eventually(writer.more(), 60)
            healed = set(some.names)
            eventually(lambda: set(scene.record().hosts) == healed, 60)
            eventually(writer.more())
        scene.assert_whole(bytes(writer.acked))
        some.start(scene.hosts[0])  # its copy is old: put aside, not taken for good
        scene.assert_whole(bytes(writer.acked))
        assert list(some.home.glob(f"{scene.hosts[0]}/disk_*/backup_datapartition_7_*"))


@pytest.mark.parametrize("who", ["source", "target"])
def test_a_move_outlives_the_death_of_either_side(who: str, tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as some:
        scene = Scene(some, 2)
        [target] = set(some.names) - set(scene.hosts)
        with Writer(scene.client, "7").writing() as writer:
            eventually(writer.more(20_000))
            scene.decommission(scene.hosts[1])
            eventually(lambda: scene.record().target == target)
            victim = target if who == "target" else scene.hosts[1]
            some.kill(victim)
            scene.record()
            some.start(victim)
            record = eventually(scene.rests, 60)
            eventually(writer.more())
        assert record and set(record.hosts) == {scene.hosts[0], target}
        assert writer.errors == []
        scene.assert_whole(bytes(writer.acked))


def test_a_cancelled_move_leaves_everything_as_it_was(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as some:
        scene = Scene(some, 2)
        scene.client.append("7", "1", 0, b"before")
        scene.decommission(scene.hosts[0])
        eventually(lambda: scene.record().learners)
        scene.partitions.change("7", orders.cancel, by="test")
        record = eventually(scene.rests)
        assert record and (record.hosts, record.status) == (scene.hosts, Status.INITIAL)
        scene.assert_whole(b"before")


def test_a_second_decommission_of_one_partition_waits_for_the_first(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as some:
        scene = Scene(some, 2)
        scene.client.append("7", "1", 0, b"x")
        scene.decommission(scene.hosts[0])
        with pytest.raises(ConvoyError, match="being changed"):
            scene.decommission(scene.hosts[1])
        eventually(scene.rests, 60)
        scene.decommission(scene.hosts[1])
        record = eventually(scene.rests, 60)
        assert record and scene.hosts[1] not in record.hosts
        scene.assert_whole(b"x")


def test_below_the_floor_reads_go_on_and_writes_are_refused_with_the_reason(
    tmp_path: Path,
) -> None:
    with cluster(tmp_path, 2) as some:
        scene = Scene(some, 2)
        scene.client.append("7", "1", 0, b"kept")
        some.kill(scene.hosts[1])
        hasty = Client(scene.partitions, patience=timedelta(seconds=1))
        with pytest.raises(ConvoyError, match="1 of 2 replicas"):
            hasty.append("7", "1", 4, b"more")
        assert scene.client.read("7", "1")[:4] == b"kept"


def by_eio(copy: Path) -> None:
    (copy / "bad").symlink_to("/proc/self/mem")  # EIO, from the kernel
    (copy / "bad").replace(copy / "1")


def by_hanging(copy: Path) -> None:
    os.mkfifo(copy.parent / "bad")
    (copy.parent / "bad").replace(copy.parent / ".disk_id")  # whoever opens it to read waits


def by_loss(copy: Path) -> None:
    copy.parent.rename(copy.parent.with_name("gone"))


FAULTS = {"eio": by_eio, "hung": by_hanging, "lost": by_loss}


@pytest.mark.parametrize("cause", FAULTS)
def test_a_disk_that_errs_is_left_without_a_person(cause: str, tmp_path: Path) -> None:
    auto = Settings(silence=timedelta(seconds=2), evacuates=True, heals=True)
    with cluster(tmp_path, 4) as some:
        scene = Scene(some, 3, auto)
        with Writer(scene.client, "7").writing() as writer:
            eventually(writer.more())
            bad = scene.hosts[1]
            [copy] = some.copies(bad, "7")
            FAULTS[cause](copy)
            eventually(lambda: (str(copy.parent), cause) in found_bad(some, bad), 60)
            # its place is taken by another disk, maybe of the same node
            eventually(lambda: settled(scene, copy), 60)
            eventually(writer.more())
        assert writer.errors == []
        for host in scene.record().hosts:
            assert scene.told(host)[: len(writer.acked)] == bytes(writer.acked)


def found_bad(some: Cluster, name: str) -> set[tuple[str, str]]:
    """The disks of a node that it calls bad, and why."""
    disks = (Nodes(some.store).get(name) or {})["disks"]
    return {(disk["path"], disk["cause"]) for disk in disks if disk["status"] == "unavailable"}


def settled(scene: Scene, copy: Path) -> bool:
    """Are there three replicas again, none of them on that disk?"""
    record = scene.rests()
    there = {
        name: (Nodes(scene.cluster.store).get(name) or {})["copies"].get("7", {}).get("disk")
        for name in scene.cluster.names
    }
    return (
        bool(record)
        and len(scene.partitions.get("7").hosts) == 3
        and all(
            there[host] and there[host] != str(copy.parent)
            for host in scene.partitions.get("7").hosts
        )
    )


def test_a_controller_that_is_killed_after_every_write_still_ends_the_move(tmp_path: Path) -> None:
    with cluster(tmp_path, 2) as some:
        scene = Scene(some, 1)
        scene.client.append("7", "1", 0, b"kept")
        scene.decommission(scene.hosts[0])
        deaths = 0
        while scene.partitions.get("7").restore is not Restore.STOP:
            child = some.controller("--silence", "5", "--failpoint", "partition.after_write=kill")
            over = eventually(lambda c=child: c.code is not None or stopped(scene), 60)  # type: ignore[misc]
            deaths += child.code == -signal.SIGKILL
            child.kill()
            assert over
        record = eventually(scene.rests)
        assert record and record.hosts == tuple(set(some.names) - set(scene.hosts))
        assert deaths >= WRITES
        scene.assert_whole(b"kept")


def stopped(scene: Scene) -> bool:
    return scene.partitions.get("7").restore is Restore.STOP


def test_a_node_that_was_frozen_does_not_blame_its_disks(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as some:
        scene = Scene(some, 3)
        frozen = scene.hosts[2]
        with Writer(scene.client, "7").writing() as writer:
            eventually(writer.more())
            some.running[frozen].tell(signal.SIGSTOP)
            eventually(lambda: frozen not in scene.record().hosts, 60)  # longer than a disk has
            some.running[frozen].tell(signal.SIGCONT)
            eventually(lambda: not some.copies(frozen, "7"), 60)
            eventually(writer.more())
        assert found_bad(some, frozen) == set()
        scene.assert_whole(bytes(writer.acked))


HOSTILE = [
    ("GET", "/", b""),
    ("GET", "/dp/7/extent/1", b""),
    ("GET", "/dp/7/extent/1?off=x&len=1", b""),
    ("GET", "/dp/7/nothing", b""),
    ("GET", "/dp/8/watermarks", b""),
    ("GET", "/dp/../../etc/passwd", b""),
    ("PUT", "/dp/7/extent/META?off=0", b"x"),
    ("PUT", "/dp/7/extent/1.sum?off=0", b"x"),
    ("PUT", "/dp/7/extent/2?off=-1", b"x"),
    ("PUT", "/dp/7/extent/2?off=0", b""),
    ("PUT", "/dp/7/extent/2?off=0&md5=00", b"x"),
    ("PUT", "/dp/7/watermarks?off=0", b"x"),
    ("POST", "/dp/7/take?epoch=1&sender=nobody&extent=1&off=4", b"x"),
    ("POST", "/dp/7/take?epoch=99&sender=nobody&extent=1&off=4", b"x"),
    ("POST", "/dp/7/like?epoch=1&sender=nobody", b"{}"),
    ("POST", "/dp/7/like?epoch=1&sender=nobody", b"[" * 100_000),
    ("POST", "/dp/7/like?epoch=9&sender=x", b'{"config": [1], "lists": {}}'),
    ("POST", "/dp/7/proven?epoch=1&sender=x&extent=1", b'{"lists": {"1": [[0]]}}'),
    ("POST", "/dp/7/create", b'{"config": [5, ["x"], "x", []]}'),
    ("POST", "/dp/7/whole?epoch=1&sender=nobody", b""),
    ("POST", "/dp/7/whole?sender=nobody", b""),
]


def test_whatever_is_asked_of_a_node_it_says_why_not_and_goes_on(tmp_path: Path) -> None:
    with cluster(tmp_path, 1) as some:
        scene = Scene(some, 1)
        scene.client.append("7", "1", 0, b"kept")
        for verb, path, body in HOSTILE:
            line = http.client.HTTPConnection(scene.hosts[0], timeout=10)
            line.request(verb, path, body)
            reply = line.getresponse()
            told = reply.read()
            line.close()
            assert reply.status >= 400 and b"error" in told, (verb, path, reply.status, told)
        assert scene.client.append("7", "1", 4, b"more") == 8
        scene.assert_whole(b"keptmore")
