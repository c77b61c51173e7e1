"""Real data nodes: child processes with disk directories of their own, over one SQLite store."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from common.store.base import Store
from common.store.connect import connect
from common.store.nodes import Nodes
from ops.processes import Child, spawn
from tests.servers.ports import free_port
from tests.terminal import ROOT
from tests.waiting import eventually

BEAT = "0.1"


@dataclass
class Cluster:
    """Data nodes by address, and the store that they and we look at."""

    home: Path
    store: Store
    url: str
    running: dict[str, Child] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return sorted(self.running)

    def disks(self, name: str) -> list[Path]:
        return sorted((self.home / name).glob("disk_*"))

    def start(self, name: str = "") -> str:
        """A node, or a dead one again; returns when it was heard in the store."""
        name = name or f"127.0.0.1:{free_port()}"
        home = self.home / name
        for folder in ("state", "disk_1", "disk_2"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        argv: list[str | Path] = [sys.executable, "-m", "consumer.trans.partitions"]
        argv += [
            "--listen",
            name,
            "--state",
            home / "state",
            "--store",
            self.url,
            "--beat",
            BEAT,
            "--patience",
            "2",
        ]
        for disk in self.disks(name):
            argv += ["--disk", disk]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        before = self._beat(name)
        self.running[name] = spawn("node", argv, env=env, log=home / "node.log")
        eventually(lambda: self._beat(name) > before or self._died(name))
        return name

    def kill(self, name: str) -> None:
        """SIGKILL; it is not missed until somebody looks."""
        self.running[name].tell(signal.SIGKILL)
        self.running.pop(name).kill()

    def controller(self, *options: str) -> Child:
        """A controller of its own process."""
        argv = [sys.executable, "-m", "producer.partitions", "--store", self.url]
        argv += ["--beat", BEAT, "--least-free", "1", *options]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return spawn("controller", argv, env=env, log=self.home / "controller.log")

    def copies(self, name: str, id: str) -> list[Path]:
        """The folders on a node that are copies of a partition, backups not counted."""
        return [f for disk in self.disks(name) for f in disk.glob(f"datapartition_{id}_*")]

    def _beat(self, name: str) -> int:
        doc = Nodes(self.store).get(name)
        return int(doc["beat"]) if doc else 0

    def _died(self, name: str) -> bool:
        child = self.running[name]
        if not child.alive:
            raise RuntimeError(f"{name} ended: {child.said()}")
        return False


@contextmanager
def cluster(home: Path, nodes: int) -> Iterator[Cluster]:
    """So many nodes, until the block ends."""
    url = f"sqlite:///{home}/state.db"
    store = connect(url)
    some = Cluster(home, store, url)
    try:
        for _ in range(nodes):
            some.start()
        yield some
    finally:
        for child in some.running.values():
            child.kill()
        store.close()
