"""Rounds of looking, judging and telling. Any number of processes may run them in one home: a
round belongs to whoever holds its lock, and all know what the others raised.

A sink that does not take a notice gets it again in the next round, in order; the others do not
wait for it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from common.clock import Clock, Stillness
from common.errors import ConvoyError, Denied
from common.settings import Settings
from ops.alarms import memory as memories
from ops.alarms.memory import Memory, Untold
from ops.alarms.rules import RULES
from ops.alarms.sinks import Sink
from ops.alarms.standing import Notice, Standing, judge
from ops.exporter.facts import Facts
from ops.exporter.look import Observer

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Alarms:
    """The alarms of one fleet, as this home sees it."""

    settings: Settings
    sinks: Mapping[str, Sink]
    clock: Clock = field(default_factory=Clock)
    _unwritten: Memory | None = None  # what a full disk did not take

    def round(self) -> dict[str, Standing]:
        """Look once, tell what changed; the alarms that stand."""
        with _turn(self.settings.home) as ours:
            known = self._unwritten or memories.read(self.settings.home)
            if ours:
                self._judge(known, self._look(known))
                self._tell(known)
                self._remember(known)
        return {name: s for name, s in known.standings.items() if s.raised is not None}

    def _look(self, known: Memory) -> Facts:
        signs = Stillness.after(self.clock, known.signs)
        facts = Observer(self.settings, self.clock, signs).look()
        known.signs = signs.seen()
        return facts

    def _judge(self, known: Memory, facts: Facts) -> None:
        tick, wall, host = self.clock.tick(), self.clock.wall(), self.settings.node
        for rule in RULES:
            was = known.standings.get(rule.name, Standing())
            now, notice = judge(rule, was, rule.condition(facts), tick=tick, wall=wall, host=host)
            known.standings[rule.name] = now
            if notice:
                known.untold.append(Untold(notice, tuple(self.sinks)))

    def _tell(self, known: Memory) -> None:
        deaf: set[str] = set()
        left = []
        for untold in known.untold:
            for name in untold.sinks:
                if name not in deaf and not self._send(name, untold.notice):
                    deaf.add(name)
            if waiting := tuple(name for name in untold.sinks if name in deaf):
                left.append(Untold(untold.notice, waiting))
        known.untold = left

    def _send(self, name: str, notice: Notice) -> bool:
        """True if it was taken, or there is nobody any more who could take it."""
        if name not in self.sinks:
            return True
        try:
            self.sinks[name].send(notice)
        except ConvoyError as error:
            log.warning("alarm.untold", sink=name, alarm=notice.alarm, why=str(error))
            return False
        return True

    def _remember(self, known: Memory) -> None:
        try:
            memories.write(self.settings.home, known)
            self._unwritten = None
        except Denied as error:
            self._unwritten = known
            log.warning("alarms.unwritten", why=str(error), hint=error.hint)


@contextmanager
def _turn(home: Path) -> Iterator[bool]:
    """Whether this round is ours; somebody else's is as good."""
    path = home / "run" / "alarms.lock"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Denied(f"{path} cannot be used: {error.strerror}", hint="set CONVOY_HOME") from error
    try:
        yield _taken(lock)
    finally:
        os.close(lock)


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
