"""What people may ask of a host: write down what is wanted, and have the watchdog act at once.

Nothing here starts or ends a process by itself. What is not done when an order returns is done by
the watchdog of the host, if one is installed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta

from common.errors import Corrupt, Missing
from common.process import Who
from ops.desk import who
from ops.host import wanted
from ops.host.roles import Role
from ops.host.wanted import Wanted
from ops.watchdog import Watchdog

GLANCE = 0.2  # seconds between two looks whether somebody has ended
TEND = 2.0  # seconds between two rounds meanwhile


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders to one host about one role."""

    dog: Watchdog
    kind: Role

    def start(self, count: int | None = None) -> None:
        """From now on this many posts are to be manned: as many as before unless given."""
        self.dog.settings.broker(), self.dog.settings.state()  # Refused if they are not known
        self._want(on=True, count=count)
        self.dog.round()

    def stop(self, *, now: bool = False, wait: timedelta = timedelta(0)) -> int:
        """From now on none is; how many still work on what they have in hand."""
        self._want(on=False)
        told = self.dog.dismiss(self.kind, now=now)
        return self._await(told, wait)

    def scale(self, count: int) -> None:
        """Another number of posts; a role that is off stays off."""
        before = self._before()
        self._want(on=before.on if before else True, count=count)
        self.dog.round()

    def restart(self, *, now: bool = False, wait: timedelta = timedelta(0)) -> int:
        """End everyone, one by one as they come to it, and start another in its place; how many
        have not ended yet."""
        if self._before() is None:
            raise Missing(
                f"nobody ever said how many {self.kind.name}s this host is to run",
                hint=f"`convoy host start --role {self.kind.name} --count N`",
            )
        self._want(on=True)
        told = self.dog.dismiss(self.kind, now=now)
        left = self._await(told, wait)
        self.dog.round()
        return left

    def _await(self, told: list[Who], wait: timedelta) -> int:
        clock = self.dog.clock
        until, tend = clock.tick() + wait.total_seconds(), clock.tick() + TEND
        while any(each.alive for each in told) and clock.tick() < until:
            clock.sleep(GLANCE)
            if clock.tick() >= tend:
                self.dog.round()
                tend = clock.tick() + TEND
        return sum(each.alive for each in told)

    def _want(self, *, on: bool, count: int | None = None) -> None:
        before = self._before()
        if count is None:
            count = before.count if before else self._usual()
        at = self.dog.clock.wall()
        wanted.write(self.dog.home, Wanted(self.kind.name, count, on, by=who(), at=at))

    def _before(self) -> Wanted | None:
        try:
            return wanted.read(self.dog.home, self.kind)
        except Corrupt:  # is said anew now
            return None

    def _usual(self) -> int:
        """One per core, as on a machine of its own; of what leads, one."""
        return len(os.sched_getaffinity(0)) if self.kind.name == "consumer" else 1
