"""One host with a watchdog, on a real fleet: what is wanted there, and what is alive."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import presence
from common.clock import Clock
from common.presence import Seen
from ops.host import environment
from ops.host.judge import Limits, Past, silence
from ops.host.roles import ROLES
from ops.host.wanted import Wanted, read, write
from ops.processes import Child, spawn
from ops.watchdog import Watchdog
from tests.fleet import Fleet, fleet
from tests.servers.sshd import ended, of
from tests.terminal import Done, Terminal, argv

HOST = "kennel"
QUICK = {"watch": "500ms", "watch_grace": "1s", "watch_first_sign": "60s", "watch_pause": "2s"}


@dataclass(repr=False)
class Kennel:
    """A home on a host, and the fleet that it belongs to."""

    fleet: Fleet
    home: Path
    person: Terminal  # at this host

    def convoy(self, *words: str, code: int = 0) -> Done:
        """A command of that person, run in this process."""
        done = self.person.called(*words)
        assert done.code == code, done
        return done

    def told(self, *words: str, code: int = 0) -> Any:
        """What it says with --json."""
        return self.person.told(*words, code=code)

    def want(self, count: int) -> None:
        """Write down what is wanted, and do nothing about it."""
        write(self.home, Wanted("consumer", count, True))

    def dog(self, clock: Clock | None = None) -> Watchdog:
        """A watchdog in this process; its rounds are called by hand."""
        return Watchdog(self.home, environment.settings(self.home), clock or Clock())

    @contextmanager
    def loop(self) -> Iterator[Child]:
        """A watchdog that runs as a loop, as a process of its own."""
        child = spawn(
            "watchdog", argv("watchdog", "--loop"), env=self.person.env, log=self.home / "loop.log"
        )
        try:
            yield child
        finally:
            child.stop()

    def posts(self, role: str = "consumer") -> dict[str, Seen]:
        """Every post that somebody holds."""
        found = presence.everyone(self.home, role, HOST)
        return {seen.name: seen for seen in found if seen.held}

    def well(self, role: str = "consumer") -> bool:
        """Is exactly who is wanted there, each with a sign of life that is not late?"""
        wish = read(self.home, ROLES[role])
        posts, now = self.posts(role), Clock().tick()
        limits = Limits.of(self.fleet.settings)
        return posts.keys() == set(wish.posts() if wish else ()) and all(
            seen.who and seen.sign and not silence(seen, seen.who, Past(), now, limits)
            for seen in posts.values()
        )

    def doubles(self) -> list[str]:
        """Names that two main processes bear at this moment, whatever any lock says."""
        names: Counter[str] = Counter()
        for pid in of(self.home):
            words = _words(pid)
            if "-n" in words and _words(_parent(pid))[1:] != words[1:]:  # a child is named alike
                names[words[words.index("-n") + 1]] += 1
        return [name for name, count in names.items() if count > 1]

    def story(self) -> list[dict[str, Any]]:
        """What the watchdogs did."""
        path = self.home / "log/restart.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@contextmanager
def kennel(home: Path, *, lease: float = 3, **settings: str) -> Iterator[Kennel]:
    """A fleet with a producer of its own, and one host on which nothing runs yet."""
    with fleet(home, consumers=0, lease=lease, **{**QUICK, **settings}) as running:
        place = home / "host"
        env = {**running.env, "CONVOY_HOME": str(place), "CONVOY_HOST": HOST, "COLUMNS": "120"}
        environment.keep(place, env)
        try:
            yield Kennel(running, place, Terminal(place, env))
        finally:
            ended(place)


def _words(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def _parent(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])


def python_that_dies(home: Path) -> None:
    """Settings with which no Python comes up, as after an upgrade that went wrong."""
    path = home / environment.FILE
    environment.write(home, path.read_text() + "PYTHONHOME=/nowhere\n")


def by_name(pid: int) -> dict[str, str]:
    """The environment of a process."""
    text = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    return dict(line.partition("=")[::2] for line in text.split("\0") if line)
