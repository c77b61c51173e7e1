"""Kills Trans, gates and proxy at random while a disk moves, and compares. A program of its own:

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
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from common.lifecycle.disks import Status
from ops.demo.guest import BLOCK, Guest
from tests.disks import DISK, MIB, Site, site
from tests.waiting import eventually

PATIENCE = 120.0


def move(home: Path, draw: random.Random, kills: int) -> tuple[Counter[str], list[str]]:
    """One move of a disk of random size; which kills met somebody alive, and what is wrong."""
    size = draw.randrange(8, 65) * MIB
    with site(home, size, bare=True) as place, ExitStack() as stack:
        crew = Crew(place, draw)
        stack.callback(crew.end)
        resends, seed = draw.random() < 0.5, draw.randrange(1 << 30)
        guest = Guest(place.guest, size // BLOCK, seed, resends=resends).start()
        eventually(lambda: guest.writes > 50 or guest.wrong, PATIENCE)
        place.access.create(DISK, "new")
        crew.torment(kills)
        until = guest.writes + 50
        eventually(lambda: guest.writes > until or guest.wrong, PATIENCE)
        guest.stop()
        wrong = guest.wrong + guest.mistakes(place.copy("new").read_bytes())
        if place.access.settle(DISK).status is not Status.MIGRATED:
            wrong.append("not migrated")
        return crew.struck, wrong


class Crew:
    """All processes of a site; whoever is killed is started again."""

    def __init__(self, place: Site, draw: random.Random) -> None:
        self._place, self._draw = place, draw
        self.struck: Counter[str] = Counter()
        self._children = {name: place.around(name) for name in ("old", "new", "proxy")}

    def torment(self, kills: int) -> None:
        """Kill somebody after a random while, again and again, until the disk has moved."""
        deadline = time.monotonic() + PATIENCE
        strike = 0.0
        while self._place.access.disk(DISK).set == "old":
            if time.monotonic() > deadline:
                raise AssertionError("a move that does not end")
            self._attend()
            if self.struck.total() < kills and time.monotonic() > strike:
                if strike:
                    self._kill(self._draw.choice(["trans", "trans", *self._children]))
                strike = time.monotonic() + self._draw.expovariate(2)
            time.sleep(0.005)

    def _attend(self) -> None:
        """Start again whoever has ended."""
        trans = self._children.get("trans")
        if trans is None or not trans.alive:
            name = f"t{self.struck.total()}"
            self._children["trans"] = self._place.process(name, iodepth=self._draw.choice([1, 4]))

    def _kill(self, name: str) -> None:
        child = self._children[name]
        self.struck[name] += child.alive
        child.kill()
        if name != "trans":
            self._children[name] = self._place.around(name)

    def end(self) -> None:
        for child in self._children.values():
            child.stop(timedelta(seconds=2))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--moves", type=int, default=20)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    draw, struck, bad = random.Random(given.seed), Counter[str](), 0
    for number in range(given.moves):
        with tempfile.TemporaryDirectory() as home:
            kills, wrong = move(Path(home), draw, given.kills)
        struck, bad = struck + kills, bad + bool(wrong)
        sys.stdout.write(f"{number}: {dict(kills)}, {wrong[:3] or 'fine'}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{given.moves} moves, {struck.total()} kills {dict(struck)}, {bad} wrong\n")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
