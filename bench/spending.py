"""What running commands costs: wall time, and the processor time of them and all they started.

We adopt what a command leaves behind, so that nothing it started escapes the bill.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

SHOWN = 2000  # characters of a failed command's words
_TICK = os.sysconf("SC_CLK_TCK")
_ADOPT = 36  # PR_SET_CHILD_SUBREAPER <linux/prctl.h>

ctypes.CDLL(None).prctl(_ADOPT, 1, 0, 0, 0)


class Spent(NamedTuple):
    """Seconds by the clock on the wall, and of processors."""

    seconds: float
    cpu: float


class Failed(Exception):
    """A command that was to be timed did not succeed."""


def run(commands: Sequence[Sequence[str]], env: Mapping[str, str] | None = None) -> Spent:
    """Run all of them at once and wait for the last. Failed if one fails."""
    full, before = {**os.environ, **(env or {})}, set(_children())
    with TemporaryFile() as said:
        began, cpu = time.monotonic(), 0.0
        children = [
            subprocess.Popen(
                c, env=full, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said
            )
            for c in commands
        ]
        for child in children:
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            cpu += used.ru_utime + used.ru_stime
        seconds = time.monotonic() - began
        for orphan in set(_children()) - before:
            rest = os.wait4(orphan, 0)[2]
            cpu += rest.ru_utime + rest.ru_stime
        if any(child.returncode for child in children):
            said.seek(0)
            words = said.read()[-SHOWN:].decode(errors="replace")
            raise Failed(f"{commands[0][:3]}: {[c.returncode for c in children]}: {words}")
    return Spent(seconds, cpu)


def used(pids: Iterable[int]) -> float:
    """Processor seconds so far of running processes, their children and those they buried."""
    return sum(_ticks(pid) for pid in family(pids)) / _TICK


def family(pids: Iterable[int]) -> set[int]:
    """These processes and all that descends from them."""
    found: set[int] = set()
    left = list(pids)
    while left:
        pid = left.pop()
        if pid not in found:
            found.add(pid)
            left += _children(pid)
    return found


def resident(pids: Iterable[int]) -> int:
    """Bytes in memory of these processes (proportional to what they share)."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) << 10
    return total


def _ticks(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return sum(map(int, text.rpartition(")")[2].split()[11:15]))


def _children(pid: int | str = "self") -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found
