"""A store that says "slow down" is taken at its word by the whole fleet, and forgiven in time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from common.errors import Backpressure, Held
from common.pressure import HIGHEST, Pressure, declines
from common.queue.broker import Broker
from common.queue.messages import Message
from common.store.sqlite import SqliteStore
from consumer.runner import Outcome, run
from tests.factories import Ground, says, settings_for


def test_pressure_rises_with_every_complaint_up_to_a_limit(broker: Broker) -> None:
    pressure = Pressure(broker)
    assert pressure.level("m1") == 0
    levels = [pressure.rise("m1") for _ in range(12)]
    assert levels == sorted(levels)
    assert HIGHEST - 0.5 < levels[-1] <= HIGHEST


def test_pressure_is_one_for_the_whole_fleet_and_each_migration_has_its_own(
    broker: Broker, broker_url: str
) -> None:
    other = Broker(broker_url)
    Pressure(broker).rise("m1")
    assert Pressure(other).level("m1") > 0.5
    assert Pressure(other).level("m2") == 0
    other.close()


def test_looking_at_the_pressure_leaves_nothing_behind(broker: Broker) -> None:
    Pressure(broker).level("m1")
    assert broker.script("return {redis.call('EXISTS', KEYS[1])}", ["pressure:m1"], []) == [0]


@pytest.mark.parametrize("level", [1, 2, 3])
def test_one_unit_in_two_to_the_level_is_still_taken(level: int) -> None:
    taken = sum(not declines(level, f"unit{number}", 1) for number in range(8000))
    assert 0.8 < taken / (8000 / 2**level) < 1.2


def test_without_pressure_nothing_is_declined() -> None:
    assert not any(declines(0.4, f"unit{number}", 1) for number in range(1000))


def test_a_consumer_under_pressure_passes_units_over_and_leaves_them_as_they_are(
    tmp_path: Path, broker: Broker
) -> None:
    store = SqliteStore(str(tmp_path / "state.db"))
    ground, settings = Ground(store), settings_for(tmp_path)
    migration = ground.moving()
    busy = says(Backpressure("slow down", retry_in=timedelta(0)))
    crew = ground.crew(busy, settings, ground.heartbeat(settings, broker))
    outcomes = []
    for _ in range(40):
        unit = ground.only(migration)
        outcomes.append(run(Message(migration.id, unit.id, unit.epoch), crew))
        ground.turned.turn(timedelta(seconds=1))
    store.close()
    assert set(outcomes) == {Outcome.LATER, Outcome.EASES}
    assert outcomes.count(Outcome.EASES) > outcomes.count(Outcome.LATER)
    assert unit.attempts == 0


def test_an_operators_pause_is_no_pressure(tmp_path: Path, broker: Broker) -> None:
    store = SqliteStore(str(tmp_path / "state.db"))
    ground, settings = Ground(store), settings_for(tmp_path)
    migration = ground.moving()
    crew = ground.crew(
        says(Held("paused", retry_in=timedelta(0))), settings, ground.heartbeat(settings, broker)
    )
    unit = ground.only(migration)
    assert run(Message(migration.id, unit.id, unit.epoch), crew) is Outcome.LATER
    store.close()
    assert Pressure(broker).level(migration.id) == 0
