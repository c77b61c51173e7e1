"""A real redis-server per pytest worker, with its append-only file as in production.

Nobody's data to flush but ours: each test gets a database number of its own. A test that kills
or restarts the server takes `own_redis`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from common.errors import Missing
from common.queue.broker import Broker
from ops import embedded
from tests.servers import roll
from tests.servers.ports import free_port
from tests.servers.processes import server

DATABASES = 4096  # tests of one worker in one run; each takes the next
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """This worker's server, database 0."""
    try:
        binary = embedded.find_server(os.environ)
    except Missing as exc:
        roll.absent("redis-server", str(exc))
    home, port = tmp_path_factory.mktemp("redis"), free_port()
    argv = [binary, "--port", str(port), "--bind", "127.0.0.1", "--databases", str(DATABASES)]
    argv += ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]
    argv += ["--maxmemory-policy", "noeviction"]
    with (
        redis.Redis.from_url(f"redis://127.0.0.1:{port}/0") as client,
        server("redis-server", argv, ready=client.ping, home=home),
    ):
        roll.used("redis-server", f"{client.info('server')['redis_version']} ({binary})")
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture
def broker_url(redis_url: str) -> Iterator[str]:
    """A database of this test's own, emptied afterwards."""
    url = f"{redis_url.removesuffix('/0')}/{next(_NUMBERS)}"
    yield url
    with redis.Redis.from_url(url) as client:
        client.flushdb()


@pytest.fixture
def broker(broker_url: str) -> Iterator[Broker]:
    """That database, as the fleet's broker."""
    broker = Broker(broker_url)
    yield broker
    broker.close()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[embedded.Redis]:
    """A server of this test's own, as the embedded default starts it: to kill and to restart."""
    with embedded.Redis(tmp_path / "own-redis") as ours:
        yield ours
