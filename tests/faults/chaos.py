"""Kills a fleet at random while it migrates, and compares what arrived. A program of its own:

    python -m tests.faults.chaos --kills 200 --migrations 20 --seed 1 [--mongo]

With `--mongo` the state lies on the best MongoDB server at hand, which is killed, too.
Ends with 1 if an item was missing, damaged, in a wrong place, left over, or counted wrongly.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import Transient
from common.model import Migration
from tests.fleet import Fleet, children, fleet, kill
from tests.servers.mongo import QUICK, Mongo, OwnMongo
from tests.servers.ports import free_port
from tests.trees import differences, plant

ACTS = ("child", "consumer", "producer", "redis", "redis without its file", "freeze")
STORE = "store"  # an act, where the store has a process
PATIENCE = 180  # seconds that one migration may take


@dataclass
class Chaos:
    """One fleet, its tormentor, and what was found wrong."""

    fleet: Fleet
    old: Path
    new: Path
    random: random.Random
    mongo: OwnMongo | None = None
    kills: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    frozen: list[tuple[float, list[int]]] = field(default_factory=list)

    def migrate(self, number: int, kills: int) -> None:
        """One migration into a fresh target, with so many kills on the way."""
        target = self.new / f"target{number:03}"
        migration = self.fleet.order(self.old, target)
        deadline, left = time.monotonic() + PATIENCE, kills
        strike = time.monotonic() + self.random.uniform(0, 0.5)
        while not self.ended(migration) or self.frozen:
            self.thaw()
            if left and time.monotonic() >= strike and not self.ended(migration):
                self.act(self.random.choice((*ACTS, STORE) if self.mongo else ACTS))
                left -= 1
                strike = time.monotonic() + self.random.uniform(0.1, 0.8)
            if time.monotonic() > deadline:
                self.wrong.append(f"{migration.id}: not done after {PATIENCE} s")
                return
            time.sleep(0.05)
        self.judge(migration, target)
        shutil.rmtree(target)

    def ended(self, migration: Migration) -> bool:
        """Not while the store is away."""
        try:
            return self.fleet.ended(migration)
        except Transient:
            return False

    def act(self, what: str) -> None:
        """One blow."""
        self.kills[what] += 1
        fleet_ = self.fleet
        name = self.random.choice([n for n in fleet_.members if n != "producer"])
        consumer = fleet_.members[name].pid
        match what:
            case "child":
                for pid in children(consumer):
                    kill(pid)
            case "consumer":
                kill(consumer)
            case "producer":
                kill(fleet_.members["producer"].pid)
            case "redis":
                kill(fleet_.redis.pid)
            case "redis without its file":
                kill(fleet_.redis.pid)
                shutil.rmtree(fleet_.redis.home / "data", ignore_errors=True)
                (fleet_.redis.home / "data").mkdir(mode=0o700)
            case "freeze":
                pids = [consumer, *children(consumer)]
                for pid in pids:
                    kill(pid, signal.SIGSTOP)
                lease = fleet_.settings.lease.total_seconds()
                self.frozen.append((time.monotonic() + lease * 1.6, pids))
            case "store":
                assert self.mongo is not None
                self.mongo.kill()
                self.mongo.start()

    def thaw(self) -> None:
        """Wake the zombies whose lease is over."""
        for entry in list(self.frozen):
            if time.monotonic() >= entry[0]:
                for pid in entry[1]:
                    kill(pid, signal.SIGCONT)
                self.frozen.remove(entry)

    def judge(self, migration: Migration, target: Path) -> None:
        """Compare everything, without asking anything of ours but the sums."""
        name, users = migration.id, sorted(p.name for p in self.old.iterdir())
        seen = self.fleet.migrations.get(migration.id)
        if seen.phase != "done":
            reasons = [d["reason"] for d in self.fleet.units.of(seen) if d["state"] != "done"]
            self.wrong.append(f"{name}: {seen.phase}: {reasons[:3]}")
            return
        for user in users:
            found = differences(self.old / user, target / user)
            self.wrong += [f"{name}: {user}: {line}" for line in found]
        extra = {p.name for p in target.iterdir()} - set(users)
        self.wrong += [f"{name}: {leftover}: left over" for leftover in sorted(extra)]
        files = sum(not p.is_dir() or p.is_symlink() for p in self.old.rglob("*"))
        sums = self.fleet.units.sums(seen)
        counted = (sums.done, sums.counts.items, sums.counts.moved, sums.counts.failed)
        if counted != (len(users), files, files, 0):
            self.wrong.append(f"{name}: counted {counted}, not {(len(users), files, files, 0)}")


def users(root: Path, count: int, dice: random.Random) -> None:
    """Users with a little of everything, some of them larger."""
    for number in range(count):
        user = root / f"user{number:03}"
        plant(user)
        for index in range(dice.randrange(20, 120)):
            user.joinpath("docs", f"f{index:04}").write_bytes(dice.randbytes(dice.randrange(9000)))
        if number % 5 == 0:
            user.joinpath("film").write_bytes(dice.randbytes(24 << 20))


def torment(
    home: Path, *, kills: int, migrations: int, seed: int, many: int = 30, mongo: bool = False
) -> Chaos:
    """Run it all; the verdict is in `wrong`."""
    dice = random.Random(seed)
    old, new = home / "old", home / "new"
    old.mkdir(parents=True)
    new.mkdir()
    users(old, many, dice)
    with ExitStack() as stack:
        own = OwnMongo(home / "mongo", free_port(), stack) if mongo else None
        url = _started(own).database("chaos", QUICK) if own else ""
        running = stack.enter_context(fleet(home / "fleet", consumers=3, state_url=url))
        chaos = Chaos(running, old, new, dice, own)
        for number in range(migrations):
            share = kills * (number + 1) // migrations - kills * number // migrations
            chaos.migrate(number, share)
            sys.stderr.write(f"{number + 1}/{migrations} {dict(chaos.kills)} {chaos.wrong[:3]}\n")
    return chaos


def _started(own: OwnMongo) -> Mongo:
    own.home.mkdir()
    return own.start()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--migrations", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mongo", action="store_true", help="keep the state on a MongoDB server")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="convoy-chaos-") as home:
        began = time.monotonic()
        chaos = torment(Path(home), **vars(arguments))
    report = {"kills": dict(chaos.kills), "seconds": time.monotonic() - began}
    sys.stdout.write(json.dumps(report | {"wrong": chaos.wrong}, indent=1) + "\n")
    return 1 if chaos.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
