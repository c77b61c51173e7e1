"""Hours that pass when everybody sleeps, and buckets that age by them.

Movers are real threads with real buckets on a real Redis. When all of them sleep, time moves on to
the one that wakes first, for the buckets too: half an hour passes in a second, on any machine.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import redis

from common.clock import Clock
from common.queue.app import PREFIX
from common.queue.broker import Broker
from common.throttle import Throttle

MIB = 1 << 20
BUCKET = f"{PREFIX}bucket:m:"
AGED = """
if redis.call('EXISTS', KEYS[1]) == 1 then
    local real = redis.call('TIME')
    redis.call('HSET', KEYS[1], 'at', real[1] * 1000 + math.floor(real[2] / 1000) - {age})
end
"""


@dataclass
class Hours:
    """Time that passes when everybody sleeps, and only then."""

    now: float = 0.0
    awake: int = 0
    _sleepers: list[tuple[float, int, threading.Event]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def clock(self) -> Clock:
        return Clock(wall=lambda: self.now, tick=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        over = threading.Event()
        with self._lock:
            heapq.heappush(self._sleepers, (self.now + seconds, next(self._numbers), over))
            self._rest()
        assert over.wait(60)

    def leave(self) -> None:
        """One who is done does not hold up the others."""
        with self._lock:
            self._rest()

    def _rest(self) -> None:
        self.awake -= 1
        if self.awake or not self._sleepers:
            return
        self.now = self._sleepers[0][0]
        while self._sleepers and self._sleepers[0][0] <= self.now:
            self.awake += 1
            heapq.heappop(self._sleepers)[2].set()

    def run(self, movers: list[Callable[[], None]]) -> None:
        """Let all of them move at once, until the last is done."""
        failed: list[BaseException] = []

        def guarded(mover: Callable[[], None]) -> None:
            try:
                mover()
            except BaseException as error:
                failed.append(error)
            finally:
                self.leave()

        self.awake = len(movers)
        threads = [threading.Thread(target=guarded, args=[mover]) for mover in movers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failed == []


class AgedBroker(Broker):
    """A broker whose buckets age by these hours, and not by the time that the test takes."""

    def __init__(self, url: str, hours: Hours) -> None:
        super().__init__(url)
        self._hours, self._asked, self._lock = hours, dict[str, float](), threading.Lock()

    def script(self, source: str, keys: Sequence[str], args: Sequence[str | float]) -> list[int]:
        with self._lock:
            now = self._hours.now
            age = round((now - self._asked.get(keys[0], now)) * 1000)
            self._asked[keys[0]] = now
            return super().script(AGED.format(age=age) + source, keys, args)


def throttled(broker: Broker, hours: Hours, **limits: str) -> Throttle:
    throttle = Throttle(broker, "m", hours.clock())
    throttle.set({name.replace("_", "."): limit for name, limit in limits.items()})
    return throttle


def nothing() -> None:
    """Meanwhile the unit stays ours."""


def tokens(client: redis.Redis, scope: str) -> float:
    value = client.hget(f"{BUCKET}{scope}", "tokens")
    assert isinstance(value, bytes)
    return float(value)
