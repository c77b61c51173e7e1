"""The broker as such: how much is in it, and news that travel to everyone at once.

News are hints like messages: whoever misses one looks at the store a little later.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from common.errors import ConvoyError, Denied, Transient, translate
from common.queue.app import PREFIX

_FOREIGN: dict[type[BaseException], type[ConvoyError]] = {
    AuthenticationError: Denied,
    RedisError: Transient,
    OSError: Transient,
}
_CHANNEL = f"{PREFIX}news"


class Broker:
    """A connection of its own to the Redis behind the queue."""

    def __init__(self, url: str) -> None:
        self._redis: redis.Redis = redis.Redis.from_url(
            url, socket_timeout=10, socket_connect_timeout=5, health_check_interval=25
        )

    def waiting(self, queue: str) -> int:
        """Messages of `queue` that no consumer has been handed yet."""
        with translate(_FOREIGN, "broker"):
            return int(self._redis.llen(f"{PREFIX}{queue}"))

    def unacknowledged(self) -> tuple[int, float | None]:
        """Messages that consumers were handed and did not acknowledge, and when the oldest was."""
        with translate(_FOREIGN, "broker"):
            many = int(self._redis.hlen(f"{PREFIX}unacked"))
            oldest: Any = self._redis.zrange(f"{PREFIX}unacked_index", 0, 0, withscores=True)
        return many, float(oldest[0][1]) if oldest else None

    def tell(self, subject: str) -> None:
        """Tell everyone that the record `subject` changed (pause, limits, cancel)."""
        with translate(_FOREIGN, "broker"):
            self._redis.publish(_CHANNEL, subject)

    def script(self, source: str, keys: Sequence[str], args: Sequence[str | float]) -> list[int]:
        """Run a Lua script atomically; integers come back."""
        with translate(_FOREIGN, "broker"):
            try:
                answer = self._redis.eval(source, len(keys), *(PREFIX + k for k in keys), *args)
            except ResponseError as error:  # a fault of the script, not of the broker
                raise AssertionError(f"script: {error}") from error
        return [int(value) for value in answer]

    def settings(self) -> dict[str, str]:
        """What the server says of itself that matters to us: version, persistence, eviction."""
        with translate(_FOREIGN, "broker"):
            info = self._redis.info()
            policy = str(info.get("maxmemory_policy", "unknown"))
        return {
            "version": str(info["redis_version"]),
            "appendonly": "yes" if info.get("aof_enabled") else "no",
            "policy": policy,
        }

    def close(self) -> None:
        self._redis.close()


class News:
    """A subscription to what `Broker.tell` says. Use from one thread."""

    def __init__(self, url: str) -> None:
        self._redis: redis.Redis = redis.Redis.from_url(
            url, socket_connect_timeout=5, health_check_interval=25
        )
        self._pubsub: Any = self._redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]

    def wait(self, most: timedelta) -> str | None:
        """The subject of the next news, or None after `most`. Transient if the broker is away."""
        with translate(_FOREIGN, "broker"):
            if not self._pubsub.subscribed:
                self._pubsub.subscribe(_CHANNEL)
            message = self._pubsub.get_message(timeout=most.total_seconds())
        return message["data"].decode() if message else None

    def close(self) -> None:
        self._pubsub.close()
        self._redis.close()
