"""Bandwidth and request budgets of the whole fleet: token buckets in Redis.

A bucket may run into debt; whoever overdraws waits until the debt is paid, so that many small
spends need few round trips. A debt ends at half a minute: what does not fit any more is asked for
again, never forgiven, so that a fleet of any size keeps the limit. Without limits nothing is asked
of Redis at all.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from common import quantities
from common.clock import Clock
from common.errors import Refused
from common.queue.broker import Broker

DEEPEST = 30  # seconds; the debt of a bucket, and the longest that anybody waits before a look
_AGAIN = 1.0  # seconds until what did not fit is asked for again
_SLICE = 0.25  # seconds; a waiting mover looks up this often whether its unit is still its own
_HOURS = re.compile(r"((?:[01][0-9]|2[0-3]):[0-5][0-9])-((?:[01][0-9]|2[0-3]):[0-5][0-9])")
# tokens grow with time up to one second's worth; the answer is the debt in milliseconds, and how
# much of what was wanted is spent. A debt from a higher limit is cut to what is allowed now.
_SCRIPT = f"""
local now = redis.call('TIME'); local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local rate, wanted = tonumber(ARGV[1]), tonumber(ARGV[2])
local was = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(was[1] or rate), tonumber(was[2] or ms)
tokens = math.min(rate, tokens + math.max(0, ms - at) * rate / 1000)
tokens = math.max(tokens, -{DEEPEST} * rate)
local spent = math.min(wanted, math.floor(tokens + {DEEPEST} * rate))
tokens = tokens - spent
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', ms)
redis.call('PEXPIRE', KEYS[1], 120000)
return {{math.max(0, math.ceil(-tokens * 1000 / rate)), spent}}
"""


class Throttle:
    """One migration's budgets as one consumer sees them. Safe from many threads."""

    def __init__(self, broker: Broker, name: str, clock: Clock | None = None) -> None:
        self._broker, self._name, self._clock = broker, name, clock or Clock()
        self._limits: Mapping[str, Any] = {}
        self._unpaid: dict[str, int] = {}
        self._lock = threading.Lock()

    def set(self, limits: Mapping[str, Any]) -> None:
        """`{"bandwidth": "200MiB/s", "requests": "500/s"}`, also per side as `source.bandwidth`;
        a timetable is written `08:00-18:00=50MiB/s,200MiB/s` (UTC, first match wins)."""
        self._limits = {name: text for name, text in limits.items() if text}

    def spend(
        self, sides: Iterable[str], count: int, requests: int, *, meanwhile: Callable[[], None]
    ) -> None:
        """Account for `count` bytes and `requests`, once in all and once on each of `sides`; wait
        until everything is paid for."""
        if not self._limits:
            return
        for measure, amount in (("bandwidth", count), ("requests", requests)):
            for scope in (measure, *(f"{side}.{measure}" for side in sides)):
                if amount and self._limits.get(scope):
                    self._pay(scope, amount, meanwhile)

    def _pay(self, scope: str, amount: int, meanwhile: Callable[[], None]) -> None:
        rate = self._rate(scope)
        with self._lock:
            owed = self._unpaid[scope] = self._unpaid.get(scope, 0) + amount
            if rate is not None and owed < rate / 20:  # too little to be worth a round trip
                return
            self._unpaid[scope] = 0
        while owed and rate is not None:
            key = f"bucket:{self._name}:{scope}"
            debt, spent = self._broker.script(_SCRIPT, [key], [rate, owed])
            owed -= spent
            self._wait(scope, min(debt / 1000, _AGAIN if owed else DEEPEST), meanwhile)
            rate = self._rate(scope)

    def _rate(self, scope: str) -> int | None:
        text = self._limits.get(scope)
        return current(str(text), self._clock.wall()) if text else None

    def _wait(self, scope: str, seconds: float, meanwhile: Callable[[], None]) -> None:
        """Sleep in slices, unless the operator changes this limit before the time is over."""
        text, until = self._limits.get(scope), self._clock.tick() + seconds
        while (left := until - self._clock.tick()) > 0 and self._limits.get(scope) == text:
            self._clock.sleep(min(left, _SLICE))
            meanwhile()


class Throttles:
    """All throttles of one consumer: one for each migration, over all its units, so that what a
    small unit spends is not forgotten with it."""

    def __init__(self, broker: Broker, clock: Clock | None = None) -> None:
        self._broker, self._clock = broker, clock
        self._made: dict[str, Throttle] = {}

    def __call__(self, migration: str) -> Throttle:
        if migration not in self._made:
            self._made[migration] = Throttle(self._broker, migration, self._clock)
        return self._made[migration]


class Entry(NamedTuple):
    """A rate (None: no limit) and the hours of the day, UTC, in which it holds ("": always)."""

    first: str
    last: str
    rate: int | None

    def holds(self, clock: str) -> bool:
        """Hours may run over midnight."""
        if self.first <= self.last:
            return not self.last or self.first <= clock < self.last
        return not self.last <= clock < self.first


def current(text: str, wall: float) -> int | None:
    """The rate in force at `wall` (seconds since the epoch) by a timetable; None is no limit.

    Refused if any part of the timetable cannot be understood, whatever the time is.
    """
    clock = datetime.fromtimestamp(wall, UTC).strftime("%H:%M")
    return next((entry.rate for entry in _timetable(text) if entry.holds(clock)), None)


@lru_cache
def _timetable(text: str) -> tuple[Entry, ...]:
    return tuple(map(_entry, text.split(",")))


def _entry(text: str) -> Entry:
    hours, equals, rate = (part.strip() for part in text.rpartition("="))
    match = _HOURS.fullmatch(hours)
    if equals and not match:
        raise Refused(
            f"{hours!r} are no hours of a timetable",
            hint="write it like 08:00-18:00=50MiB/s,200MiB/s (UTC, the first match wins)",
        )
    first, last = match.groups() if match else ("", "")
    return Entry(first, last, None if rate == "off" else max(1, quantities.size(rate)))
