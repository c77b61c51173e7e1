"""The test floor's own Redis: real, durable, and every test's database its own."""

from __future__ import annotations

import os
import signal

import pytest
import redis

from ops import embedded
from tests.waiting import eventually


@pytest.mark.parametrize("turn", [1, 2])
def test_a_test_finds_its_database_empty(broker_url: str, turn: int) -> None:
    with redis.Redis.from_url(broker_url) as client:
        assert client.dbsize() == 0
        client.set("left", turn)


def test_the_server_writes_everything_down_as_in_production(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_a_server_of_a_tests_own_can_be_killed_and_comes_back(own_redis: embedded.Redis) -> None:
    with redis.Redis.from_url(own_redis.url) as client:
        client.set("kept", "1")
        os.kill(own_redis.pid, signal.SIGKILL)
        eventually(lambda: not own_redis.alive)
        own_redis.restart()
        assert client.get("kept") == b"1"
