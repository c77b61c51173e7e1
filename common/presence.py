"""Presence: the lock that a long-lived process holds for life, and the signs that it gives.

In the home, one folder per role: `run/consumer/c01@host.lock` says by its lock whether somebody is
there and by its text who; `.sign` beside it holds the last sign of life. Both are records of fixed
size, written in place, so that a full disk silences nobody. Times in them are ticks of the host's
monotonic clock, which all its processes share until it is booted again.

Nothing here judges: whether silence means death is the watchdog's business. The lock belongs to
one process: what it forks lets go of it, and what it executes does not inherit it, except by
`hand_on`.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from common.errors import Conflict, Denied, Refused
from common.process import Who, boot, myself

HANDED = "CONVOY_PRESENCE"  # the number of the open lock that was handed to us
RECORD = 512  # bytes; less than any file system writes at once
PATIENCE = timedelta(seconds=2)  # who merely looks holds the lock for a moment too
GLANCE = 0.02  # seconds between two tries
T = TypeVar("T", "Who", "Sign")
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@:-]*")


@dataclass(frozen=True, slots=True)
class Sign:
    """What a process said last. `due` promises the next one."""

    boot: str
    pid: int
    tick: float
    due: float
    talking: bool = False  # to a store that may be away: that may take longer
    unit: str = ""
    turned: float = 0.0  # when the parent's loop last turned; 0 while it is not to be judged


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at one post."""

    role: str
    node: str
    held: bool
    who: Who | None = None  # if it lives
    sign: Sign | None = None

    @property
    def name(self) -> str:
        """Its name on this host."""
        return self.node.partition("@")[0]


class Presence:
    """A lock in our hands."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path, self._lock = path, lock

    def note(self, who: Who) -> None:
        """Say who holds the lock."""
        with suppress(OSError):  # a full disk: the lock itself holds all the same
            _put(self._lock, asdict(who))

    def hand_on(self, environ: MutableMapping[str, str]) -> int:
        """Let the next program that this process executes, or starts with this number among its
        open files, have the lock."""
        os.set_inheritable(self._lock, True)
        environ[HANDED] = str(self._lock)
        return self._lock

    def close(self) -> None:
        """Let go; the lock is free when nobody else has it."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            with suppress(OSError):
                os.close(lock)


class Signs:
    """Where one process says that it lives."""

    def __init__(self, home: Path, role: str, node: str) -> None:
        self._path = place(home, role, node, "sign")
        self._file = -1
        self._boot = boot()

    def give(self, *, patience: timedelta, **said: Any) -> None:
        """Say that we live, and will say so again within `patience`."""
        now = time.monotonic()
        sign = Sign(self._boot, os.getpid(), now, now + patience.total_seconds(), **said)
        with suppress(OSError, Denied):  # an unusable home: then nobody watches either
            if self._file < 0:
                self._file = _opened(self._path)
            _put(self._file, asdict(sign))

    def close(self) -> None:
        """No more signs."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def take(home: Path, role: str, node: str, *, version: str = "") -> Presence:
    """Hold the post of this role and name for life; Conflict if somebody else does."""
    path = place(home, role, node, "lock")
    present = _handed(path) or _taken(path, PATIENCE)
    if present is None:
        other = _read(path, Who)
        by = f" (process {other.pid})" if other else ""
        raise Conflict(
            f"another {role} {node} runs here{by}",
            hint="give this one another name (-n) or a home of its own (CONVOY_HOME)",
        )
    os.register_at_fork(after_in_child=present.close)
    forget(home, role, node)
    present.note(myself(version))
    return present


def try_to_take(home: Path, role: str, node: str) -> Presence | None:
    """The same for somebody else's sake, without a word; None if it is taken."""
    return _taken(place(home, role, node, "lock"), timedelta(0))


def forget(home: Path, role: str, node: str) -> None:
    """Wipe out the last sign of whoever held the post before; for who holds the lock.

    In place: on a disk that is full there would be no room for another.
    """
    with suppress(OSError, Denied):
        sign = _opened(place(home, role, node, "sign"))
        try:
            os.pwrite(sign, b" " * RECORD, 0)
        finally:
            os.close(sign)


def look(home: Path, role: str, node: str) -> Seen:
    """Who is there now, and what was said last."""
    path = place(home, role, node, "lock")
    who, sign = _read(path, Who), _read(path.with_suffix(".sign"), Sign)
    return Seen(
        role,
        node,
        _held(path),
        who if who and who.alive else None,
        sign if sign and sign.boot == boot() else None,
    )


def everyone(home: Path, role: str, host: str) -> Iterator[Seen]:
    """A look at every post of a role that ever was on this host."""
    for path in sorted((home / "run" / role).glob(f"*@{host}.lock")):
        yield look(home, role, path.name.removesuffix(".lock"))


def place(home: Path, role: str, node: str, what: str) -> Path:
    """Where the lock or the sign of a post lies."""
    if not _NODE.fullmatch(node):
        raise Refused(f"{node!r} is no name for a {role}", hint="use letters, digits, - _ and .")
    return home / "run" / role / f"{node}.{what}"


def _handed(path: Path, environ: MutableMapping[str, str] = os.environ) -> Presence | None:
    """The lock that whoever started us took for us, if it is the one of this path."""
    number = environ.pop(HANDED, "")
    if not number.isdigit():
        return None
    with suppress(OSError):
        lock, there = int(number), os.stat(path)
        if os.path.samestat(os.fstat(lock), there):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # holds it already, or now
            os.set_inheritable(lock, False)
            return Presence(path, lock)
    return None


def _taken(path: Path, patience: timedelta) -> Presence | None:
    lock = _opened(path)
    until = time.monotonic() + patience.total_seconds()
    while not _locks(lock, fcntl.LOCK_EX):
        if time.monotonic() >= until:
            os.close(lock)
            return None
        time.sleep(GLANCE)
    return Presence(path, lock)


def _held(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _locks(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


def _locks(lock: int, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _opened(path: Path) -> int:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Denied(
            f"{path} cannot be opened: {error.strerror}",
            hint="set CONVOY_HOME to a folder that you may write",
        ) from error
    with suppress(OSError):
        if os.fstat(file).st_size < RECORD:
            os.posix_fallocate(file, 0, RECORD)  # now, not when the disk is full
    return file


def _put(file: int, record: Mapping[str, Any]) -> None:
    text = json.dumps(record).encode()
    if len(text) > RECORD:  # a name of a unit that nobody could read anyway
        text = json.dumps(dict(record) | {"unit": "", "version": ""}).encode()
    os.pwrite(file, text.ljust(RECORD), 0)


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        found = json.loads(path.read_bytes()[:RECORD])
        known = {field.name for field in fields(kind)}  # a newer version may say more
        return kind(**{name: value for name, value in found.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError):  # none yet
        return None
