"""Makes what was staged durable: one syncfs for all of it, or an fsync for each file.

syncfs is as good as free and reports every write that failed since its handle was opened, which
therefore is opened before the first write. It is trusted only on file systems and kernels known
to mean it, and left for fsync where it proves to be slow because others write there, too.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from common.clock import Clock
from common.endpoints.posix import kernel
from common.endpoints.posix.directories import Handle

TRUSTED = frozenset(
    {
        0xEF53,  # ext2, ext3, ext4
        0x58465342,  # xfs
        0x9123683E,  # btrfs
        0xF2F52010,  # f2fs
        0x2FC12FC1,  # zfs
        0x01021994,  # tmpfs
    }
)
REPORTS_SINCE = (5, 8)  # the first kernel whose syncfs tells of failed writes
LANES = 16  # fsyncs at once: what a journal can join into one commit
PATIENCE = 3.0  # seconds that a syncfs of little may take before it is left for fsync
LITTLE = 64 << 20  # bytes
MANY = 4  # directories from which one syncfs is cheaper: each fsync flushes the disk


T = TypeVar("T")


class Durability:
    """How this place is made durable."""

    def __init__(self, handle: Handle, clock: Clock) -> None:
        self._handle, self._clock = handle, clock  # opened before the first write
        self.together = kernel.file_system(handle.fd) in TRUSTED and reports(platform.release())

    def settle(self, directory: int, names: Iterable[str], size: int) -> None:
        """The staged files `names` of `directory`, `size` bytes in all. OSError if one failed."""
        if not self.together:
            _each(lambda name: _fsync(directory, name), names)
            return
        self._sync(size)

    def cheaper_together(self, directories: int) -> bool:
        """Would one syncfs be cheaper than an fsync of each of so many directories?"""
        return self.together and directories > MANY

    def everything(self) -> None:
        """All of the file system. OSError if a write to it failed."""
        self._sync(0)

    def _sync(self, size: int) -> None:
        begun = self._clock.tick()
        kernel.syncfs(self._handle.fd)
        if self._clock.tick() - begun > PATIENCE and size < LITTLE:
            self.together = False  # somebody else's writes are waited for

    def directories(self, handles: Iterable[Handle]) -> None:
        """Names, modes and times in these directories."""
        if self.together:  # a journal that the first fsync commits: the others find it done
            for handle in handles:
                os.fsync(handle.fd)
        else:
            _each(lambda handle: os.fsync(handle.fd), handles)


def reports(release: str) -> bool:
    """Does the syncfs of this kernel report failed writes?"""
    found = re.match(r"(\d+)\.(\d+)", release)
    return found is not None and (int(found[1]), int(found[2])) >= REPORTS_SINCE


def _each(act: Callable[[T], object], these: Iterable[T]) -> None:
    """Act on all of them, some at once; no more of them are held than that."""
    stream = iter(these)
    with ThreadPoolExecutor(LANES, "fsync") as lanes:
        while batch := list(islice(stream, LANES)):
            list(lanes.map(act, batch))


def _fsync(directory: int, name: str) -> None:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
