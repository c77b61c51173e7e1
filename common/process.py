"""Processes of this host, told apart for good: by number, start and the boot they belong to."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Who:
    """A process that can be told from every other, also from a later one of its number."""

    pid: int
    start: int  # clock ticks from boot to its start, as the kernel says
    boot: str
    version: str = ""

    @property
    def alive(self) -> bool:
        """Does this very process still exist?"""
        return self.boot == boot() and started(self.pid) == self.start

    @property
    def since(self) -> float:
        """The tick at which it was started."""
        return self.start / os.sysconf("SC_CLK_TCK")


def myself(version: str = "") -> Who:
    """This process."""
    return Who(os.getpid(), started(os.getpid()) or 0, boot(), version)


def build(version: str) -> str:
    """What runs, told from other builds of the same version where versions are deployed."""
    prefix = Path(sys.prefix)
    return prefix.name if prefix.parent.name == "versions" else version


def boot() -> str:
    """What tells this run of the kernel from every other."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def started(pid: int) -> int | None:
    """When a process was started, in clock ticks since boot; None if there is none."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in ("Z", "X") else None


def stopped(pid: int) -> bool:
    """Was it stopped by a signal (or a debugger)?"""
    fields = _stat(pid)
    return bool(fields) and fields[0] in ("T", "t")


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
