"""Many faults, one after another, while somebody writes: `python -m tests.faults.partition_chaos`.

Data nodes are killed, frozen and lose disks, the controller is killed before and after its writes,
replicas are decommissioned and decommissions cancelled, all at random (`--seed`). At the end of
each run every host holds every acknowledged byte, nobody else has a copy, and no token is left.
Takes minutes; it is no test of the suite.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from common.errors import ConvoyError
from ops.processes import Child
from producer.partitions import orders
from tests.integration.test_partitions import Scene, Writer
from tests.servers.datanodes import Cluster, cluster
from tests.waiting import eventually

NODES = 5
OPTIONS = ("--silence", "2", "--repair", "8", "--heal", "--evacuate")


class Chaos:
    """One run."""

    def __init__(self, some: Cluster, replicas: int, dice: random.Random) -> None:
        self.scene, self.cluster, self.dice = Scene(some, replicas), some, dice
        self.controllers: list[Child] = []
        self.faults = 0
        self.lost = False
        self.control("--failpoint", "partition.after_write=kill:9")

    def control(self, *options: str) -> None:
        """A controller; the one before may live on, or not."""
        for child in self.controllers[:-1]:
            child.kill()
        self.controllers = [*self.controllers[-1:], self.cluster.controller(*OPTIONS, *options)]

    def strike(self) -> None:
        """One fault."""
        faults = [self.kill, self.freeze, self.usurp, self.decommission, self.cancel, self.disk]
        self.dice.choice(faults)()
        self.faults += 1

    def kill(self) -> None:
        name = self.dice.choice(self.cluster.names)
        self.cluster.kill(name)
        time.sleep(self.dice.random() * 3)
        self.cluster.start(name)

    def freeze(self) -> None:
        child = self.cluster.running[self.dice.choice(self.cluster.names)]
        child.tell(signal.SIGSTOP)
        time.sleep(self.dice.random() * 4)
        child.tell(signal.SIGCONT)

    def usurp(self) -> None:
        """Another controller, which dies at one of its writes."""
        point = self.dice.choice(["before", "after"])
        self.control("--failpoint", f"partition.{point}_write=kill:{self.dice.randint(1, 12)}")

    def decommission(self) -> None:
        record = self.scene.partitions.get("7")
        self.order(lambda r: orders.mark(r, self.dice.choice(record.hosts)))

    def cancel(self) -> None:
        self.order(self.dice.choice([orders.cancel, orders.pause, orders.reset]))

    def order(self, act: object) -> None:
        try:
            self.scene.partitions.change("7", act, by="chaos")  # type: ignore[arg-type]
        except ConvoyError:
            return  # it had no meaning just now

    def disk(self) -> None:
        """One disk errs from now on, once in a run and never that of the last two good copies."""
        record = self.scene.partitions.get("7")
        others = [host for host in record.hosts if host != record.primary]
        if self.lost or len(others) < 2:
            return
        for copy in self.cluster.copies(self.dice.choice(others), "7"):
            if (copy / "1").exists():
                self.lost = True
                (copy / "bad").symlink_to("/proc/self/mem")
                (copy / "bad").replace(copy / "1")

    def settle(self, writer: Writer) -> None:
        """Everybody is well again: nothing may be missing, and writing must go on."""
        self.control()
        eventually(writer.more(), 120)
        eventually(self.rests, 120)

    def rests(self) -> bool:
        scene = self.scene
        record = scene.partitions.get("7")
        return bool(scene.rests()) and len(record.hosts) >= record.replicas


def run(home: Path, replicas: int, seed: int, faults: int) -> str:
    """What happened; raises if anything is not as it must be."""
    with cluster(home, NODES) as some:
        chaos = Chaos(some, replicas, random.Random(seed))
        try:
            with Writer(chaos.scene.client, "7").writing() as writer:
                eventually(writer.more())
                while chaos.faults < faults:
                    chaos.strike()
                    time.sleep(chaos.dice.random())
                chaos.settle(writer)
            chaos.scene.assert_whole(bytes(writer.acked))
        finally:
            for child in chaos.controllers:
                child.kill()
        history = len(chaos.scene.partitions.history("7"))
        epoch = chaos.scene.partitions.get("7").epoch
        told = f"{chaos.faults} faults, {len(writer.acked)} bytes acknowledged, epoch {epoch}"
        return f"{told}, {history} writes of the record, writer stopped by {writer.errors}"


def main() -> None:
    """So many runs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--faults", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for seed in range(given.seed, given.seed + given.runs):
        home = Path(tempfile.mkdtemp(prefix="convoy-chaos-"))
        replicas = 1 + seed % 3
        sys.stdout.write(f"seed {seed}, {replicas} replicas: ")
        sys.stdout.flush()
        sys.stdout.write(f"{run(home, replicas, seed, given.faults)}\n")
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
