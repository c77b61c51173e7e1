"""Limits that are changed while movers wait for them take effect within a glance."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from common.queue.broker import Broker
from common.throttle import DEEPEST
from tests.hours import BUCKET, MIB, AgedBroker, Hours, nothing, throttled


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


@pytest.mark.parametrize("limits", [{}, {"bandwidth": "off"}, {"bandwidth": "1GiB/s"}])
def test_a_limit_that_is_raised_or_lifted_ends_the_wait(
    broker: Broker, hours: Hours, limits: dict[str, str]
) -> None:
    throttle = throttled(broker, hours, bandwidth="1MiB/s")
    done: list[float] = []

    def mover() -> None:
        throttle.spend(("target",), 20 * MIB, 1, meanwhile=nothing)
        done.append(hours.now)

    def operator() -> None:
        hours.sleep(3)
        throttle.set(limits)

    hours.run([mover, operator])
    assert 3 <= done[0] <= 3.5


def test_a_limit_that_is_lowered_holds_from_then_on(broker: Broker, hours: Hours) -> None:
    throttle = throttled(broker, hours, bandwidth="100MiB/s")
    moved: list[int] = []

    def mover() -> None:
        while hours.now < 100:
            throttle.spend(("target",), MIB, 1, meanwhile=nothing)
            moved.append(MIB)
            if hours.now < 10:
                before.append(MIB)

    def operator() -> None:
        hours.sleep(10)
        throttle.set({"bandwidth": "1MiB/s"})

    before: list[int] = []
    hours.run([mover, mover, operator])
    assert 0.95 <= sum(before) / (10 * 100 * MIB) <= 1.15
    assert sum(moved) - sum(before) <= (90 + 5) * MIB


def test_a_debt_from_a_higher_limit_is_cut_to_the_present_one(
    broker: Broker, hours: Hours, client: redis.Redis
) -> None:
    client.hset(f"{BUCKET}bandwidth", mapping={"tokens": str(-3000 * MIB), "at": "0"})

    def mover() -> None:
        throttled(broker, hours, bandwidth="1MiB/s").spend(("target",), MIB, 0, meanwhile=nothing)

    hours.run([mover])
    assert hours.now <= DEEPEST + 2
