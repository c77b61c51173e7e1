"""How hard the other side pushes back, shared by the whole fleet and forgotten by itself.

Every "slow down" of a store raises a migration's pressure by one; it halves in a quarter of a
minute. Under pressure consumers decline units, the more the higher it is, so that a fleet of any
size finds the pace that a store can take without anybody having to set it.
"""

from __future__ import annotations

import zlib

from common.queue.broker import Broker

HALF_LIFE = 15  # seconds
HIGHEST = 6  # one unit in 64 is still taken: the probe that notices when it is over
_SCRIPT = f"""
local now = redis.call('TIME'); local at = now[1] + now[2] / 1000000
local was = redis.call('HMGET', KEYS[1], 'level', 'at')
local level = tonumber(was[1] or 0) * 0.5 ^ (math.max(0, at - tonumber(was[2] or at)) / {HALF_LIFE})
level = math.min({HIGHEST}, level + tonumber(ARGV[1]))
if tonumber(ARGV[1]) > 0 then
  redis.call('HSET', KEYS[1], 'level', tostring(level), 'at', tostring(at))
  redis.call('EXPIRE', KEYS[1], {HALF_LIFE * 12})
end
return {{math.floor(level * 1000)}}
"""


class Pressure:
    """The pressure on one broker's migrations."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def rise(self, migration: str) -> float:
        """The other side said "slow down"; the level from now on."""
        return self._ask(migration, 1)

    def level(self, migration: str) -> float:
        """0 is none; n means that one unit in 2^n should be taken."""
        return self._ask(migration, 0)

    def _ask(self, migration: str, more: int) -> float:
        [level] = self._broker.script(_SCRIPT, [f"pressure:{migration}"], [more])
        return level / 1000


def declines(level: float, unit: str, attempt: int) -> bool:
    """Should this delivery be passed over? Drawn from its name: the same for every consumer."""
    if level < 0.5:
        return False
    drawn = zlib.crc32(f"{unit}:{attempt}".encode()) / 2**32
    return bool(drawn > 0.5**level)
