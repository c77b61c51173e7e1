"""Describes the machine a figure comes from: enough to judge it, nothing to find it by."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path


def described(folder: Path) -> str:
    """One line: cores, memory, kernel, the file system of `folder`, Python, and the load."""
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    kernel = ".".join(re.findall(r"\d+", platform.release())[:2])
    return (
        f"{cores()} cores, {gib:.0f} GiB memory, Linux {kernel}, {file_system(folder)}, "
        f"Python {platform.python_version()}, {loaded()}"
    )


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def loaded() -> str:
    """The load average of the last minute, ours included."""
    return f"load {os.getloadavg()[0]:.1f}"


def file_system(folder: Path) -> str:
    """The type of the file system that holds `folder`, as /proc/mounts says."""
    place, best, kind = folder.resolve(), "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, type_, *_ = line.split()
        if place.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, type_
    return kind
