"""What goes wrong in real life, done on purpose: processes that die, disks that lie, strangers
that write. Kills only processes that are ours, by their ids, and harms only files it is given."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from common.store.base import Doc
from ops.desk import Desk
from ops.watching import Progress


def damage(path: bytes) -> None:
    """Flip one bit; length and time stay as they were, as when a disk goes bad."""
    before = os.stat(path)
    with open(path, "r+b") as file:
        file.seek(before.st_size // 2)
        [byte] = file.read(1)
        file.seek(before.st_size // 2)
        file.write(bytes([byte ^ 0x10]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def overwrite(path: bytes, text: bytes) -> None:
    """Write something else into it, as its owner or a stranger would."""
    with open(path, "wb") as file:
        file.write(text)


@dataclass(slots=True)
class Saboteur:
    """Watches progress and kills: a consumer's child, its parent, the producer; each at its time.

    `at` are shares of the work at which somebody dies, in the order of `victims`.
    """

    here: Desk
    say: Callable[[str], object]
    at: tuple[float, ...] = (0.08, 0.2, 0.35, 0.5, 0.65)
    victims: tuple[str, ...] = ("child", "parent", "child", "producer", "child")
    killed: list[str] = field(default_factory=list)
    _struck: set[str] = field(default_factory=set)  # users whose unit lost its consumer already

    def show(self, seen: Progress) -> None:
        """One look at the progress; perhaps one victim."""
        turn = len(self.killed)
        if turn >= len(self.at) or seen.share < self.at[turn]:
            return
        if said := self._strike(self.victims[turn]):
            self.killed.append(said)
            self.say(f"kill -9 {said} at {seen.share:.0%}")

    def note(self, text: str) -> None:
        """Nothing to see."""

    def _strike(self, victim: str) -> str:
        if victim == "producer":
            return self._kill(self._leader(), "the producer")
        for unit in self.here.units.running():
            if unit.key in self._struck:
                continue  # nobody works on it until its lease is over
            for row in self.here.consumers.all():
                if row["id"] == unit.owner:
                    self._struck.add(unit.key)
                    return self._behead(row, unit.key, with_parent=victim == "parent")
        return ""

    def _behead(self, row: Doc, user: str, *, with_parent: bool) -> str:
        pid, name = int(row["pid"]), str(row["id"]).partition("@")[0]
        if with_parent:
            return self._kill(parent(pid), f"{name}, parent and child, with user {user!r} in hand")
        return self._kill(pid, f"{name} with user {user!r} in hand")

    def _leader(self) -> int:
        doc = self.here.store.collection("leaders").get("producer")
        return int(str(doc["holder"]).rpartition("/")[2] or 0) if doc else 0

    def _kill(self, pid: int, name: str) -> str:
        if not is_ours(pid):
            return ""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return f"{name} ({pid})"


def parent(pid: int) -> int:
    """The process that started `pid`; 0 if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])


def is_ours(pid: int) -> bool:
    """Does this process descend from us?"""
    while pid > 1:
        pid = parent(pid)
        if pid == os.getpid():
            return True
    return False
