"""A data node: its disks, the copies on them, and the loop in which it follows the records.

It asks the store what became of its partitions, rather than being told: so a late order cannot
exist. A record that is not there, or a store that is away, changes nothing here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from common.clock import Clock
from common.errors import Conflict, ConvoyError, Missing, Refused
from common.lifecycle.partitions.record import Config, Record
from common.store.base import Store
from common.store.nodes import Nodes
from common.store.partitions import Partitions
from consumer.trans.partitions import judge
from consumer.trans.partitions.disk import Disk
from consumer.trans.partitions.extents import Extents
from consumer.trans.partitions.health import Status
from consumer.trans.partitions.judge import Copy
from consumer.trans.partitions.replica import Replica

SIZE = 128 << 30  # of a partition, as its folder is named
AT_ONCE = 8  # partitions and disks that are looked after at a time
log = structlog.get_logger(__name__)


class Node:
    """One data node."""

    def __init__(
        self,
        name: str,
        roots: Sequence[Path],
        state: Path,
        store: Store,
        *,
        clock: Clock | None = None,
        patience: timedelta = timedelta(seconds=30),
    ) -> None:
        self.name, self._clock = name, clock or Clock()
        self.partitions, self._nodes = Partitions(store), Nodes(store)
        self.disks = [Disk(root, state, patience=patience, clock=self._clock) for root in roots]
        self.replicas: dict[str, Replica] = {}
        self._guard = threading.Lock()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="node")
        self._busy: set[str] = set()
        for disk in self.disks:
            self._load(disk)

    def replica(self, id: str) -> Replica:
        """The copy of a partition; Missing if there is none here."""
        found = self.replicas.get(id)
        if found is None:
            raise Missing(f"{self.name} has no copy of partition {id}", hint="look at its record")
        return found

    def create(self, id: str, config: Config) -> None:
        """A first, empty copy of a partition that is new: one that has a record is not."""
        with self._guard:
            known = self.replicas.get(id)
            if known and known.copy.config == config:
                return
            if known or self.partitions.some([id]):
                raise Refused(f"partition {id} exists", hint="choose another id")
            self._make(id, Copy(self.name, config, aligned=config.epoch))

    def turn(self) -> None:
        """One round: give a sign, look at the disks, follow the records, lead and teach.

        What may take long is done beside: neither a large copy nor a disk that hangs holds up the
        next sign.
        """
        self._sign()
        for disk in self.disks:
            self._beside(str(disk.root), disk.probe)
        for record in self._records():
            self._beside(f"dp {record.id}", partial(self._work, record))

    def _beside(self, what: str, act: Callable[[], None]) -> None:
        """Unless it is still being done."""
        with self._guard:
            if what in self._busy:
                return
            self._busy.add(what)
        self._pool.submit(self._done, what, act)

    def _done(self, what: str, act: Callable[[], None]) -> None:
        try:
            act()
        except ConvoyError as error:
            log.info("node.failed", what=what, why=str(error))
        finally:
            with self._guard:
                self._busy.discard(what)

    def _work(self, record: Record) -> None:
        self._follow(record)
        replica = self.replicas.get(record.id)
        if replica and replica.copy.leads and self._sound(replica):
            self._led(replica)

    def _sign(self) -> None:
        self._nodes.beat(self.name, disks=list(map(_told, self.disks)), copies=self._copies())

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for disk in self.disks:
            disk.close()

    def _records(self) -> list[Record]:
        mine = self.partitions.some(list(self.replicas))
        known = {record.id for record in mine}
        coming = self.partitions.coming_to(self.name)
        return [*mine, *(record for record in coming if record.id not in known)]

    def _follow(self, record: Record) -> None:
        config, replica = record.config, self.replicas.get(record.id)
        if replica is None:
            if self.name in config.learners:
                with self._guard:
                    self._make(record.id, Copy(self.name, config))
            return
        if not judge.retires(replica.copy, config.epoch):
            return
        if self.name in (*config.hosts, *config.learners):
            replica.follow(config)
        else:
            self._aside(replica)

    def _led(self, replica: Replica) -> None:
        """A host that cannot be reached is no reason not to teach."""
        try:
            if not replica.serves:
                replica.align()
        except ConvoyError as error:
            log.info("partition.unaligned", partition=replica.id, why=str(error))
        if replica.copy.config.learners and replica.teach():
            log.info("partition.attested", partition=replica.id)

    def _make(self, id: str, copy: Copy) -> None:
        """On the disk with most room, of those that take new copies."""
        fit = [disk for disk in self.disks if disk.status is Status.GOOD]
        if not fit:
            raise Conflict(f"{self.name} has no disk that takes a new copy")
        disk = max(fit, key=lambda some: some.room[1])
        folder = disk.run(lambda: disk.make(id, SIZE), copy=id, write=True)
        replica = Replica(id, disk, Extents(folder), copy, self.partitions)
        replica.on_disk(lambda: replica.extents.keep(copy), write=True)
        self.replicas[id] = replica

    def _aside(self, replica: Replica) -> None:
        with self._guard, replica.lock:
            now = datetime.fromtimestamp(self._clock.wall(), UTC)
            stamp, folder = now.strftime("%Y%m%d%H%M%S"), replica.extents.folder
            disk = replica.disk
            disk.run(lambda: disk.aside(folder, stamp), copy=replica.id, write=True)
            del self.replicas[replica.id]

    def _load(self, disk: Disk) -> None:
        for id, folder in disk.copies().items():
            try:
                extents = disk.run(lambda at=folder: Extents(at), copy=id, write=False)  # type: ignore[misc]
                copy = disk.run(extents.known, copy=id, write=False)
            except ConvoyError as error:
                log.warning("partition.unreadable", partition=id, why=str(error))
                continue
            self.replicas[id] = Replica(id, disk, extents, copy, self.partitions)

    def _sound(self, replica: Replica) -> bool:
        return replica.disk.status is not Status.BAD

    def _copies(self) -> dict[str, Any]:
        return {
            id: {
                "epoch": replica.copy.config.epoch,
                "aligned": replica.copy.aligned,
                "sound": self._sound(replica),
                "disk": str(replica.disk.root),
                "bytes": sum(replica.lengths().values()),
            }
            for id, replica in list(self.replicas.items())
        }


def _told(disk: Disk) -> dict[str, Any]:
    (status, cause), (total, free) = disk.verdict, disk.room
    return {
        "path": str(disk.root),
        "disk_id": disk.identity,
        "status": status.value,
        "cause": cause.value if cause else "",
        "total": total,
        "free": free,
        "backups": disk.backups(),
    }
