"""Budgets of the whole fleet on a real Redis, with time that is turned instead of waited for.

How time passes here is said in `tests/hours.py`; only between processes it is the real one.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from common.errors import Held, Transient
from common.model import Draft
from common.queue.app import PREFIX
from common.queue.broker import Broker
from common.throttle import DEEPEST, Throttle
from tests.factories import Ground, settings_for
from tests.hours import BUCKET, MIB, AgedBroker, Hours, nothing, throttled, tokens
from tests.memory import MemoryStore
from tests.servers.ports import free_port

NOBODY = f"redis://127.0.0.1:{free_port()}/0"


@pytest.fixture
def client(broker_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(broker_url) as ours:
        yield ours


@pytest.fixture
def hours() -> Hours:
    return Hours()


@pytest.fixture
def broker(broker_url: str, hours: Hours) -> Iterator[Broker]:
    ours = AgedBroker(broker_url, hours)
    yield ours
    ours.close()


@pytest.mark.parametrize(
    ("consumers", "chunk", "seconds"),
    [
        (1, 64 << 10, 30),
        (6, MIB, 60),
        (2, 50 * MIB, 200),  # each single spend is more than the deepest debt
    ],
)
def test_a_fleet_of_any_size_keeps_its_bandwidth(
    broker: Broker, hours: Hours, consumers: int, chunk: int, seconds: int
) -> None:
    moved: list[int] = []

    def mover() -> None:
        throttle = throttled(broker, hours, bandwidth="1MiB/s")
        while hours.now < seconds:
            throttle.spend(("target",), chunk, 1, meanwhile=nothing)
            moved.append(chunk)

    hours.run([mover] * consumers)
    rate = sum(moved) / hours.now / MIB
    assert 0.95 <= rate <= 1.05


def test_a_fleet_too_large_for_the_deepest_debt_keeps_its_bandwidth_and_nobody_starves(
    broker: Broker, hours: Hours
) -> None:
    moved = dict.fromkeys(range(8), 0)

    def mover(number: int) -> Callable[[], None]:
        def move() -> None:
            throttle = throttled(broker, hours, bandwidth="1MiB/s")
            while hours.now < 300:
                throttle.spend(("target",), 8 * MIB, 1, meanwhile=nothing)
                moved[number] += 8

        return move

    hours.run([mover(number) for number in moved])
    assert 0.95 <= sum(moved.values()) / hours.now <= 1.05
    assert min(moved.values()) >= 16  # of forty


def test_a_fleet_keeps_its_number_of_requests(broker: Broker, hours: Hours) -> None:
    asked: list[int] = []

    def mover() -> None:
        throttle = throttled(broker, hours, requests="50/s")
        while hours.now < 60:
            throttle.spend(("source",), 4096, 1, meanwhile=nothing)
            asked.append(1)

    hours.run([mover] * 4)
    assert 0.95 <= len(asked) / hours.now / 50 <= 1.05


def test_small_spends_are_gathered_and_none_is_free(
    broker: Broker, hours: Hours, client: redis.Redis
) -> None:
    throttle = throttled(broker, hours, requests="1000/s")
    for _ in range(49):
        throttle.spend(("target",), 0, 1, meanwhile=nothing)
    assert client.keys(f"{BUCKET}*") == []
    throttle.spend(("target",), 0, 1, meanwhile=nothing)
    assert tokens(client, "requests") == 1000 - 50


def test_many_small_units_of_a_consumer_are_not_free(
    broker: Broker, client: redis.Redis, tmp_path: Path
) -> None:
    ground = Ground(MemoryStore())
    drafts = [Draft("move", f"user{n}") for n in range(60)]
    migration = ground.moving(drafts, limits={"requests": "1000/s"})
    heartbeat = ground.heartbeat(settings_for(tmp_path), broker)
    for unit in ground.units.due(migration, 60):
        with heartbeat.hold(unit, migration) as lease:
            lease.spend(requests=1)
    [bucket] = client.keys(f"{PREFIX}bucket:*")
    assert client.hget(bucket, "tokens") == b"950"  # fifty were told of, ten are to come


def test_threads_of_one_consumer_share_its_account(broker: Broker, hours: Hours) -> None:
    throttle = throttled(broker, hours, bandwidth="1MiB/s")

    def lane() -> None:
        for _ in range(200):
            throttle.spend(("target",), MIB // 20, 0, meanwhile=nothing)

    hours.run([lane] * 4)
    assert hours.now == pytest.approx(39, rel=0.05)  # forty seconds' worth, and one was there


SPENDER = """
import sys
from common.clock import Clock
from common.queue.broker import Broker
from common.throttle import Throttle
broker = Broker(sys.argv[1])
throttle = Throttle(broker, "m", Clock(sleep=lambda seconds: None, tick=iter(range(999)).__next__))
throttle.set({"bandwidth": "1MiB/s"})
for _ in range(8):
    throttle.spend(("target",), 1 << 20, 1, meanwhile=lambda: None)
broker.close()
"""


def test_processes_share_one_budget(broker_url: str, client: redis.Redis) -> None:
    argv, began = [sys.executable, "-c", SPENDER, broker_url], time.monotonic()
    children = [subprocess.Popen(argv) for _ in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    left, grown = tokens(client, "bandwidth") / MIB, time.monotonic() - began
    assert 1 - 24 <= left <= 1 - 24 + grown


def test_a_debt_ends_at_half_a_minute_and_so_does_every_wait(
    broker: Broker, hours: Hours, client: redis.Redis
) -> None:
    deepest: list[float] = []

    def mover() -> None:
        throttle = throttled(broker, hours, bandwidth="1MiB/s")
        throttle.spend(("target",), 10 * MIB, 1, meanwhile=nothing)
        deepest.append(tokens(client, "bandwidth"))

    hours.run([mover] * 12)
    assert min(deepest) >= -DEEPEST * MIB
    assert hours.now == pytest.approx(119, rel=0.05)  # 120 MiB less the first second's


def test_a_wait_is_slept_in_slices_and_ends_when_the_unit_is_wanted_back(
    broker: Broker, hours: Hours
) -> None:
    def wanted_back() -> None:
        if hours.now >= 2:
            raise Held("paused", retry_in=timedelta(0))

    def mover() -> None:
        throttle = throttled(broker, hours, bandwidth="1MiB/s")
        with pytest.raises(Held):
            throttle.spend(("target",), 20 * MIB, 1, meanwhile=wanted_back)

    hours.run([mover])
    assert 2 <= hours.now <= 2.5


def test_both_sides_share_the_common_budget(broker: Broker, hours: Hours) -> None:
    throttle = throttled(broker, hours, bandwidth="1MiB/s")

    def mover() -> None:
        throttle.spend(("source",), 10 * MIB, 1, meanwhile=nothing)
        throttle.spend(("target",), 10 * MIB, 1, meanwhile=nothing)

    hours.run([mover])
    assert hours.now == pytest.approx(19, rel=0.05)


def test_what_passes_both_sides_counts_once_in_all_and_once_on_each(
    broker: Broker, client: redis.Redis, hours: Hours
) -> None:
    limits = {"bandwidth": "4MiB/s", "source_bandwidth": "3MiB/s", "target_bandwidth": "2MiB/s"}
    throttle = throttled(broker, hours, **limits)
    throttle.spend(("source", "target"), MIB, 1, meanwhile=nothing)
    scopes = ("bandwidth", "source.bandwidth", "target.bandwidth")
    assert [tokens(client, scope) / MIB for scope in scopes] == [3, 2, 1]


def test_a_side_has_a_budget_of_its_own_besides_the_common_one(
    broker: Broker, hours: Hours
) -> None:
    throttle = throttled(broker, hours, bandwidth="10MiB/s", target_bandwidth="1MiB/s")

    def mover() -> None:
        throttle.spend(("source",), 10 * MIB, 1, meanwhile=nothing)
        assert hours.now == 0
        throttle.spend(("target",), 10 * MIB, 1, meanwhile=nothing)

    hours.run([mover])
    assert hours.now == pytest.approx(10, rel=0.05)  # one for the common budget, nine for its own


def test_migrations_have_budgets_of_their_own(
    broker: Broker, hours: Hours, client: redis.Redis
) -> None:
    other = Throttle(broker, "other", hours.clock())
    other.set({"bandwidth": "1MiB/s"})
    other.spend(("target",), MIB, 1, meanwhile=nothing)
    throttled(broker, hours, bandwidth="1MiB/s").spend(("target",), MIB, 1, meanwhile=nothing)
    assert hours.now == 0


def test_a_forgotten_bucket_is_full_again(
    broker: Broker, hours: Hours, client: redis.Redis
) -> None:
    throttled(broker, hours, bandwidth="1MiB/s").spend(("target",), MIB, 1, meanwhile=nothing)
    left = client.pttl(f"{BUCKET}bandwidth")
    assert isinstance(left, int) and DEEPEST * 1000 < left <= 120_000


@pytest.mark.parametrize("limits", [{}, {"bandwidth": ""}, {"requests": "off"}, {"other": "1"}])
def test_without_limits_nothing_is_asked_of_redis(limits: dict[str, str], hours: Hours) -> None:
    with closing(Broker(NOBODY)) as broker:
        throttle = Throttle(broker, "m", hours.clock())
        throttle.set(limits)
        throttle.spend(("target",), MIB, 1, meanwhile=nothing)
    assert hours.now == 0


def test_with_a_limit_a_broker_that_is_away_is_told_as_such(hours: Hours) -> None:
    with closing(Broker(NOBODY)) as broker:
        throttle = throttled(broker, hours, bandwidth="1MiB/s")
        with pytest.raises(Transient, match="broker"):
            throttle.spend(("target",), MIB, 1, meanwhile=nothing)
