"""The watchdog of a host: what should run and does not is started, what hangs is ended.

It looks at locks and signs (`common/presence.py`), obeys what people want (`ops/host/wanted.py`)
and judges without side effects (`ops/host/judge.py`); here are the effects. Any number may run at
once: a round belongs to whoever holds its lock, and a post to whoever holds that one's. It never
looks for a process by its name, and never signals one whose start it does not know.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import structlog

from common import presence
from common.clock import Clock
from common.errors import ConvoyError, Corrupt, Denied
from common.presence import Seen
from common.process import Who, stopped
from common.settings import Settings
from ops.host import detached, environment, memory, wanted
from ops.host.journal import Journal
from ops.host.judge import NOW, UNWANTED, Act, Limits, Past, Verdict, judge
from ops.host.memory import Memory
from ops.host.roles import ROLES, Role

SOON = 1.0  # seconds between two looks while something is about to be decided
LINGER = timedelta(seconds=75)  # the most that one run from cron waits for such a thing
TURN = 10.0  # seconds to wait for another watchdog's round to end
SIGNALS = {Act.TELL: signal.SIGTERM, Act.END: signal.SIGTERM, Act.KILL: signal.SIGKILL}
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Watchdog:
    """One home on one host."""

    home: Path
    settings: Settings
    clock: Clock = field(default_factory=Clock)
    _unwritten: Memory | None = None  # what a full disk did not take

    @property
    def journal(self) -> Journal:
        return Journal(self.home, self.settings, self.clock)

    def once(self, most: timedelta = LINGER) -> None:
        """One round, and more of them as long as something is about to be decided."""
        until = self.clock.tick() + most.total_seconds()
        while self.round() and self.clock.tick() < until:
            self.clock.sleep(SOON)

    def round(self) -> bool:
        """Look at every post once and do what is to be done; is something about to be decided?"""
        with turn(self.home, self.clock) as ours:
            if not ours:
                return False
            known = self._unwritten or memory.read(self.home)
            hasty = [self._look(known, *post) for post in self._posts(known)]
            known.round = self.clock.tick()
            self._remember(known)
        return any(hasty)

    def dismiss(self, kind: Role, *, now: bool) -> list[Who]:
        """Tell everyone of a role to end: after the unit in hand, or at its next item (`now`).

        Whoever is wanted all the same is started again when it is gone.
        """
        signum, why = (signal.SIGQUIT, NOW) if now else (signal.SIGTERM, UNWANTED)
        told = []
        with turn(self.home, self.clock):
            known = self._unwritten or memory.read(self.home)
            for seen in presence.everyone(self.home, kind.name, self.settings.node):
                if seen.who and seen.held and tell(seen.who, signum):
                    told.append(seen.who)
                    past = known.of(kind.name, seen.name)
                    past = replace(past, told=self.clock.tick(), pid=seen.who.pid, why=why)
                    known.keep(kind.name, seen.name, past)
                    how = "give back" if now else "drain"
                    self.journal.note("dismiss", kind.name, seen.name, how, pid=seen.who.pid)
            self._remember(known)
        return told

    def _posts(self, known: Memory) -> Iterator[tuple[Role, str, bool]]:
        """Every post that is wanted or manned, and whether it is wanted."""
        for kind in ROLES.values():
            try:
                wish = wanted.read(self.home, kind)
            except Corrupt as error:  # no order to end anything
                self._say(known, kind.name, str(error))
                continue
            if known.said.pop(kind.name, None):
                self.journal.calm(kind.name, "all", "can be read again")
            if wish is None:
                continue
            posts, node = wish.posts(), self.settings.node
            for name in posts:
                yield kind, name, True
            for seen in presence.everyone(self.home, kind.name, node):
                stray = kind.number(seen.name) is None  # named by a person, who sees to it
                if seen.name not in posts and not (wish.on and stray):
                    yield kind, seen.name, False

    def _look(self, known: Memory, kind: Role, name: str, wish: bool) -> bool:
        seen = presence.look(self.home, kind.name, f"{name}@{self.settings.node}")
        halted = any(stopped(pid) for pid in _pids(seen))
        now, limits = self.clock.tick(), Limits.of(self.settings)
        past = known.of(kind.name, name)
        verdict = judge(seen, past, now, limits, wanted=wish, stopped=halted)
        now_ = self._do(verdict, kind, name, seen)
        known.keep(kind.name, name, now_)
        if verdict.alarm:
            self.journal.alarm(kind.name, name, verdict.alarm)
        elif past.alarmed and not now_.alarmed:
            self.journal.calm(kind.name, name, "lives, or is not wanted any more")
        return verdict.hasty

    def _do(self, verdict: Verdict, kind: Role, name: str, seen: Seen) -> Past:
        """The effect of a verdict; what to remember after it."""
        if verdict.act is Act.START:
            return self._start(verdict, kind, name, seen.node)
        if verdict.act in SIGNALS and seen.who:
            sent = tell(seen.who, SIGNALS[verdict.act])
            how = "sent" if sent else "gone"
            self.journal.note(verdict.act, kind.name, name, verdict.why, pid=seen.who.pid, how=how)
        return verdict.past

    def _start(self, verdict: Verdict, kind: Role, name: str, node: str) -> Past:
        lock = presence.try_to_take(self.home, kind.name, node)
        if lock is None:  # somebody is faster, or only looks
            return replace(verdict.past, up=False, starts=verdict.past.starts[:-1])
        try:
            presence.forget(self.home, kind.name, node)
            env = environment.load(self.home)
            argv = kind.argv(name, self.settings.node)
            pid = detached.start(name, argv, env=env, home=self.home, lock=lock)
        except ConvoyError as error:
            self.journal.note("failed", kind.name, name, str(error))
            return verdict.past  # up: its death is noticed next time, and was an early one
        finally:
            lock.close()
        self.journal.note("start", kind.name, name, verdict.why, pid=pid)
        return verdict.past

    def _remember(self, known: Memory) -> None:
        try:
            memory.write(self.home, known)
            self._unwritten = None
        except Denied as error:
            self._unwritten = known
            log.warning("watchdog.unwritten", why=str(error), hint=error.hint)

    def _say(self, known: Memory, what: str, why: str) -> None:
        """An alarm about the host itself, once as long as it lasts."""
        if known.said.get(what) != why:
            known.said[what] = why
            self.journal.alarm(what, "all", why)


def tell(who: Who, signum: int) -> bool:
    """Send a signal to this very process; False if it is gone."""
    try:
        handle = os.pidfd_open(who.pid)
    except OSError:
        return False
    try:
        if not who.alive:  # asked while the handle holds the number
            return False
        signal.pidfd_send_signal(handle, signum)
    except ProcessLookupError:
        return False
    else:
        return True
    finally:
        os.close(handle)


@contextmanager
def turn(home: Path, clock: Clock) -> Iterator[bool]:
    """Our turn among the watchdogs of this home; False if it does not come."""
    path = home / "run" / "watchdog.lock"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = clock.tick() + TURN
    try:
        while not (ours := _try(lock)) and clock.tick() < until:
            clock.sleep(0.05)
        yield ours
    finally:
        os.close(lock)


def _try(lock: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _pids(seen: Seen) -> Iterator[int]:
    if seen.who:
        yield seen.who.pid
        if seen.sign:
            yield seen.sign.pid
