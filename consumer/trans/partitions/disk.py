"""One disk directory of a data node: what lies on it, whether it is well, and a pool of its own.

Everything done to the disk goes through `run`: on threads of this disk alone, so that one that
hangs holds up nobody else, and with every failure noted for the judge. A disk that was found bad
stays so after a restart: that is kept beside the node's state, not only on the disk, which may not
take it.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from common.clock import Clock
from common.errors import Corrupt, Permanent, Transient
from consumer.trans.partitions import health
from consumer.trans.partitions.extents import META, Unsynced, flush, sync
from consumer.trans.partitions.health import Cause, Error, Limits, Status

T = TypeVar("T")
IDENTITY, PROBE = ".disk_id", ".diskStatus"
PREFIX, BACKUP = "datapartition_", "backup_datapartition_"
THREADS = 4
SLICES = 20  # of the time that a disk has to answer
KEPT = 1000  # errors


class Disk:
    """One directory."""

    def __init__(
        self,
        root: Path,
        state: Path,
        *,
        limits: Limits | None = None,
        patience: timedelta = timedelta(seconds=30),
        clock: Clock | None = None,
    ) -> None:
        self.root, self._patience = root, patience
        self._limits, self._clock = limits or Limits(), clock or Clock()
        self._errors: list[Error] = []
        self._guard = threading.Lock()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix=f"disk-{root.name}")
        self._verdict = state / f"bad-{root.as_posix().replace('/', '%')}.json"
        self.identity = self._identity()
        self._known = self._remembered()

    def run(self, act: Callable[[], T], *, copy: str, write: bool) -> T:
        """Do it on this disk; a failure is noted, and told as one of ours."""
        if self._known in (Cause.HUNG, Cause.LOST):
            raise Permanent(f"{self.root} is given up: {self._known}", hint="look at the disk")
        future = self._pool.submit(act)
        if not self._came(future):
            self._note(Cause.HUNG, copy, write=write)
            raise Transient(f"{self.root} does not answer", hint="look at the disk")
        try:
            return future.result()
        except Corrupt:
            self._note(Cause.ROT, copy, write=write)
            raise
        except OSError as error:
            why = health.cause(error.errno, fsync=isinstance(error, Unsynced))
            self._note(why, copy, write=write)
            raise Permanent(f"{self.root}: {error}", hint=f"{why}: look at the disk") from error

    def _came(self, future: Future[T]) -> bool:
        """In slices: for a process that was itself held up, only one of them is over."""
        return any(
            wait([future], self._patience.total_seconds() / SLICES).done for _ in range(SLICES)
        )

    @property
    def verdict(self) -> tuple[Status, Cause | None]:
        with self._guard:
            return health.judged(self._errors, self._clock.tick(), self._limits, self._known)

    @property
    def status(self) -> Status:
        return self.verdict[0]

    def probe(self) -> None:
        """Write, flush and read a little, by path, and look whether it is still the same disk."""
        try:
            self.run(self._probed, copy="", write=True)
        except (Permanent, Transient, Corrupt):
            return  # noted

    def copies(self) -> dict[str, Path]:
        """The partitions that lie here. Folders without META were never finished."""
        found = {}
        for folder in sorted(self.root.glob(f"{PREFIX}*")):
            if (folder / META).exists():
                found[folder.name.removeprefix(PREFIX).rpartition("_")[0]] = folder
        return found

    def backups(self) -> list[str]:
        return sorted(path.name for path in self.root.glob(f"{BACKUP}*"))

    def make(self, id: str, size: int) -> Path:
        """An empty folder for a copy; what an unfinished one left is taken over."""
        folder = self.root / f"{PREFIX}{id}_{size}"
        folder.mkdir(mode=0o700, exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        sync(self.root)
        return folder

    def aside(self, folder: Path, stamp: str) -> Path:
        """Rename a copy, so that it is a copy no more; nothing is ever removed."""
        to = self.root / f"backup_{folder.name}-{stamp}"
        count = 1
        while to.exists():
            to, count = self.root / f"backup_{folder.name}-{stamp}.{count}", count + 1
        folder.rename(to)
        sync(self.root)
        return to

    @property
    def room(self) -> tuple[int, int]:
        """Bytes in all, and free."""
        try:
            found = os.statvfs(self.root)
        except OSError:
            return 0, 0
        return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _probed(self) -> None:
        if (self.root / IDENTITY).read_text() != self.identity:
            raise FileNotFoundError(2, "another disk is mounted here", str(self.root))
        path, data = self.root / PROBE, os.urandom(512)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(fd, data, 0)
            flush(fd)
            if os.pread(fd, 512, 0) != data:
                raise Corrupt(f"{path} is not what was just written")
        finally:
            os.close(fd)

    def _identity(self) -> str:
        """Drawn once. A disk that was known and is empty now is not the one that was known."""
        path = self.root / IDENTITY
        if not path.exists():
            if any(self.root.glob(f"{PREFIX}*")):
                raise Permanent(
                    f"{self.root} holds copies and has no identity", hint="is it the right disk?"
                )
            path.write_text(uuid.uuid4().hex)
            sync(self.root)
        return path.read_text()

    def _note(self, why: Cause, copy: str, *, write: bool) -> None:
        with self._guard:
            self._errors.append(Error(self._clock.tick(), why, copy, write))
            del self._errors[:-KEPT]
        status, found = self.verdict
        if status is Status.BAD and found and not self._known:
            self._known = found
            self._verdict.write_text(json.dumps({"identity": self.identity, "cause": found.value}))
            sync(self._verdict.parent)

    def _remembered(self) -> Cause | None:
        """A disk that was bad is bad, whether or not it could take a note of that."""
        if not self._verdict.exists():
            return None
        told = json.loads(self._verdict.read_text())
        return Cause(told["cause"]) if told["identity"] == self.identity else None
