"""Bandwidth and request budgets of the whole fleet: token buckets in Redis.

A bucket may run into debt; whoever overdraws waits until the debt is paid, so that many small
spends need few round trips. Without limits nothing is asked of Redis at all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from common import quantities
from common.clock import Clock
from common.queue.broker import Broker

_SLICE = 0.25  # seconds; a waiting mover looks up this often whether its unit is still its own
# tokens grow with time up to one second's worth; the answer is the debt in milliseconds
_SCRIPT = """
local now = redis.call('TIME'); local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local rate, spent = tonumber(ARGV[1]), tonumber(ARGV[2])
local was = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(was[1] or rate), tonumber(was[2] or ms)
tokens = math.min(rate, tokens + math.max(0, ms - at) * rate / 1000) - spent
tokens = math.max(tokens, -30 * rate)
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', ms)
redis.call('PEXPIRE', KEYS[1], 120000)
if tokens >= 0 then return {0} end
return {math.ceil(-tokens * 1000 / rate)}
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

    def spend(self, side: str, count: int, requests: int, *, meanwhile: Callable[[], None]) -> None:
        """Account for `count` bytes and `requests` on `side`; wait until both are paid for."""
        if not self._limits:
            return
        for measure, amount in (("bandwidth", count), ("requests", requests)):
            for scope in (measure, f"{side}.{measure}"):
                if amount and scope in self._limits:
                    self._pay(scope, amount, meanwhile)

    def _pay(self, scope: str, amount: int, meanwhile: Callable[[], None]) -> None:
        rate = current(str(self._limits[scope]), self._clock.wall())
        if rate is None:
            return
        with self._lock:
            owed = self._unpaid[scope] = self._unpaid.get(scope, 0) + amount
            if owed < rate / 20:  # a twentieth of a second's worth is not worth a round trip
                return
            self._unpaid[scope] = 0
        [debt] = self._broker.script(_SCRIPT, [f"bucket:{self._name}:{scope}"], [rate, owed])
        until = self._clock.tick() + debt / 1000
        while (left := until - self._clock.tick()) > 0:
            self._clock.sleep(min(left, _SLICE))
            meanwhile()


def current(text: str, wall: float) -> int | None:
    """The rate in force at `wall` (seconds since the epoch) by a timetable; None is no limit."""
    clock = datetime.fromtimestamp(wall, UTC).strftime("%H:%M")
    for entry in text.split(","):
        hours, equals, rate = entry.strip().rpartition("=")
        first, _, last = hours.partition("-")
        inside = first <= clock < last if first <= last else not last <= clock < first
        if not equals or inside:
            return max(1, quantities.size(rate)) if rate not in ("", "off") else None
    return None
