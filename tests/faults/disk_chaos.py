"""Kills Trans at random while it moves a disk under its guest, and compares. A program of its own:

    python -m tests.faults.disk_chaos --moves 20 --kills 5 --seed 1

Half of the guests are reset when their connection breaks: they never ask again. Ends with 1 if the
guest ever read what it must not, if a block of the moved disk is not what it must be, or if a move
did not end.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from datetime import timedelta
from functools import partial
from pathlib import Path

from common.lifecycle.disks import Status
from ops.demo.guest import BLOCK, Guest
from ops.processes import Child
from tests.disks import DISK, MIB, Site, site
from tests.waiting import eventually

PATIENCE = 120.0


def move(home: Path, draw: random.Random, kills: int) -> tuple[int, list[str]]:
    """One move of a disk of random size; how many kills met a living Trans, and what is wrong."""
    size = draw.randrange(8, 65) * MIB
    with site(home, size) as place:
        resends, seed = draw.random() < 0.5, draw.randrange(1 << 30)
        guest = Guest(place.guest, size // BLOCK, seed, resends=resends)
        guest.start()
        eventually(lambda: guest.writes > 50 or guest.wrong, PATIENCE)
        place.access.create(DISK, "new")
        struck = torment(place, draw, kills)
        until = guest.writes + 50
        eventually(lambda: guest.writes > until or guest.wrong, PATIENCE)
        guest.stop()
        wrong = guest.wrong + guest.mistakes(place.copy("new").read_bytes())
        if place.access.settle(DISK).status is not Status.MIGRATED:
            wrong.append("not migrated")
        return struck, wrong


def torment(place: Site, draw: random.Random, kills: int) -> int:
    """Trans after Trans, each killed after a random while, until one is left alone."""
    struck = 0
    while place.access.disk(DISK).set == "old":
        child = place.process(f"t{struck}", iodepth=draw.choice([1, 2, 4]))
        deadline = time.monotonic() + PATIENCE
        if struck < kills:
            eventually(partial(serves, place, f"t{struck}", child), PATIENCE)
            deadline = time.monotonic() + draw.expovariate(4)
        while child.alive and time.monotonic() < deadline:
            time.sleep(0.002)
        alive = child.alive
        child.kill()
        if alive:
            struck += 1
            if struck > kills:
                raise AssertionError("a move that does not end")
        child.stop(timedelta(seconds=1))
    return struck


def serves(place: Site, name: str, child: Child) -> bool:
    return not child.alive or place.access.task(DISK).trans_ip.endswith(f"{name}.sock")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--moves", type=int, default=20)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    draw, struck, bad = random.Random(given.seed), 0, 0
    for number in range(given.moves):
        with tempfile.TemporaryDirectory() as home:
            kills, wrong = move(Path(home), draw, given.kills)
        struck, bad = struck + kills, bad + bool(wrong)
        sys.stdout.write(f"{number}: {kills} kills, {wrong[:3] or 'fine'}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{given.moves} moves, {struck} kills, {bad} of them wrong\n")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
