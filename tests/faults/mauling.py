"""Kills and freezes the consumers of a watched host while users move. A program of its own:

    python -m tests.faults.mauling --blows 100 --consumers 20 --seed 1

Ends with 1 if the host was not as wanted within the limit, if there were ever two of one name, or
if an item was missing, damaged, left over, or counted wrongly.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.faults.chaos import users as plant_users
from tests.fleet import kill
from tests.kennel import Kennel, kennel
from tests.trees import differences
from tests.waiting import eventually

ACTS = ("kill", "freeze", "freeze the child")
LIMIT = 90.0  # seconds until the host is as wanted again


@dataclass
class Mauling:
    """What was done, how long the host took each time, and what was found wrong."""

    host: Kennel
    random: random.Random
    blows: Counter[str] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def strike(self) -> None:
        """One blow to one consumer; then wait until all are back."""
        posts = self.host.posts()
        name = self.random.choice(sorted(posts))
        act, seen = self.random.choice(ACTS), posts[name]
        if seen.who is None or seen.sign is None:
            self.wrong.append(f"{name}: is there without a sign")
            return
        self.blows[act] += 1
        began = time.monotonic()
        match act:
            case "kill":
                kill(seen.who.pid)
            case "freeze":
                kill(seen.who.pid, signal.SIGSTOP)
            case "freeze the child":
                kill(seen.sign.pid, signal.SIGSTOP)
        while not self._back(name, seen.who.pid):
            self.wrong += [f"{double}: two of one name" for double in self.host.doubles()]
            if time.monotonic() - began > LIMIT:
                self.wrong.append(f"{name}: not back {LIMIT:.0f} s after: {act}")
                return
            time.sleep(0.1)
        self.took.append(time.monotonic() - began)

    def _back(self, name: str, before: int) -> bool:
        seen = self.host.posts().get(name)
        return bool(seen and seen.who and seen.who.pid != before) and self.host.well()

    def judge_story(self) -> None:
        """Every blow must stand in the journal: the killed started again, the frozen ended."""
        acts = Counter(line["act"] for line in self.host.story())
        frozen = self.blows["freeze"] + self.blows["freeze the child"]
        if acts["end"] < frozen or acts["kill"] < frozen:
            self.wrong.append(f"{frozen} were frozen, the journal says {dict(acts)}")
        wanted = self.host.told("host", "status")["roles"]["consumer"]["wanted"]
        if acts["start"] < wanted + sum(self.blows.values()):
            self.wrong.append(f"{sum(self.blows.values())} blows, the journal says {dict(acts)}")


def maul(
    home: Path,
    *,
    blows: int,
    consumers: int,
    migrations: int,
    seed: int,
    users: int = 30,
    lease: float = 3,
) -> Mauling:
    """Run it all; the verdict is in `wrong`."""
    dice = random.Random(seed)
    old, new = home / "old", home / "new"
    old.mkdir(parents=True)
    new.mkdir()
    plant_users(old, users, dice)
    with kennel(home / "fleet", lease=lease) as host:
        host.convoy("host", "start", "--count", str(consumers))
        with host.loop():
            eventually(host.well, within=LIMIT * 2)
            found = Mauling(host, dice)
            for number in range(migrations):
                target = new / f"target{number:03}"
                migration = host.fleet.order(old, target)
                share = blows * (number + 1) // migrations - blows * number // migrations
                for _ in range(share):
                    found.strike()
                eventually(partial(host.fleet.ended, migration), within=LIMIT * 2)
                _compare(found, old, target, migration.id)
                sys.stderr.write(f"{number + 1}/{migrations} {dict(found.blows)}\n")
            found.judge_story()
    return found


def _compare(found: Mauling, old: Path, target: Path, name: str) -> None:
    """What arrived, without asking anything of ours but the sums."""
    fleet = found.host.fleet
    seen = fleet.migrations.get(name)
    if seen.phase != "done":
        found.wrong.append(f"{name}: {seen.phase}")
        return
    people = sorted(path.name for path in old.iterdir())
    for user in people:
        found.wrong += [f"{user}: {line}" for line in differences(old / user, target / user)]
    extra = {path.name for path in target.iterdir()} - set(people)
    found.wrong += [f"{left}: left over" for left in sorted(extra)]
    files = sum(not path.is_dir() or path.is_symlink() for path in old.rglob("*"))
    sums = fleet.units.sums(seen)
    counted = (sums.done, sums.counts.items, sums.counts.failed)
    if counted != (len(people), files, 0):
        found.wrong.append(f"{name}: counted {counted}, not {(len(people), files, 0)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blows", type=int, default=100)
    parser.add_argument("--consumers", type=int, default=20)
    parser.add_argument("--migrations", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lease", type=float, default=3, help="seconds; a fleet's is 60")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="convoy-mauling-") as home:
        began = time.monotonic()
        found = maul(Path(home), **vars(arguments))
    report = {
        "blows": dict(found.blows),
        "seconds": round(time.monotonic() - began, 1),
        "back_median": round(statistics.median(found.took), 1),
        "back_most": round(max(found.took), 1),
        "wrong": found.wrong,
    }
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
