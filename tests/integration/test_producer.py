"""The producer on a real store and a real broker: windows, fairness, leases, leadership."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from common.errors import Stale
from common.lifecycle.units import State
from common.lifecycle.users import Phase
from common.model import Counts, Draft, Migration, Receipt, Unit
from common.queue.app import PREFIX, make_app
from common.queue.broker import Broker
from common.queue.messages import Message, Outbox
from common.settings import Settings
from common.store.leaders import Leadership
from common.store.sqlite import SqliteStore
from producer.conductor import Conductor
from producer.dispatcher import Dispatcher
from producer.sweeper import Sweeper
from tests.factories import Ground, settings_for

LEASE = timedelta(seconds=8)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    store = SqliteStore(str(tmp_path / "state.db"))
    yield Ground(store)
    store.close()


@pytest.fixture
def settings(tmp_path: Path, broker_url: str) -> Settings:
    return settings_for(
        tmp_path, broker_url=broker_url, window=2, window_least=4, attempts=3, lease=LEASE
    )


@pytest.fixture
def dispatcher(ground: Ground, settings: Settings) -> Iterator[Dispatcher]:
    broker = Broker(settings.broker())
    yield Dispatcher(ground.units, Outbox(make_app(settings)), broker, settings)
    broker.close()


def sent(settings: Settings) -> list[Message]:
    """What lies on the queue, oldest first."""
    with redis.Redis.from_url(settings.broker()) as client:
        raw = client.lrange(f"{PREFIX}users", 0, -1)
        messages = [json.loads(entry) for entry in reversed(raw)]
    return [Message(*json.loads(base64.b64decode(m["body"]))[0]) for m in messages]


def many(count: int) -> list[Draft]:
    return [Draft("move", f"u{number:03}") for number in range(count)]


def sweeper(ground: Ground, settings: Settings) -> Sweeper:
    return Sweeper(ground.units, ground.consumers, ground.events, settings, ground.clock)


def claimed(ground: Ground, migration: Migration) -> Unit:
    seen = ground.only(migration)
    unit = ground.units.claim(migration, seen.id, seen.epoch, owner="c01")
    assert unit is not None
    return unit


def test_a_message_names_its_unit_and_nothing_else(
    ground: Ground, settings: Settings, dispatcher: Dispatcher
) -> None:
    migration = ground.moving()
    assert dispatcher.round([migration], consumers=0) == 1
    assert sent(settings) == [Message(migration.id, ground.only(migration).id, 1)]


def test_never_more_than_the_window_is_in_the_queue(
    ground: Ground, settings: Settings, dispatcher: Dispatcher
) -> None:
    migration = ground.moving(many(50))
    assert [dispatcher.round([migration], consumers=0) for _ in range(3)] == [4, 0, 0]
    assert dispatcher.round([migration], consumers=10) == 16
    assert len(sent(settings)) == 20


def test_a_lost_message_is_published_again_after_a_while(
    ground: Ground, settings: Settings, dispatcher: Dispatcher
) -> None:
    migration = ground.moving()
    dispatcher.round([migration], consumers=0)
    with redis.Redis.from_url(settings.broker()) as client:
        client.flushdb()
    assert dispatcher.round([migration], consumers=0) == 0
    ground.turned.turn(settings.resend)
    assert dispatcher.round([migration], consumers=0) == 1


def test_a_claimed_unit_is_not_published_again(
    ground: Ground, settings: Settings, dispatcher: Dispatcher
) -> None:
    migration = ground.moving()
    dispatcher.round([migration], consumers=0)
    claimed(ground, migration)
    ground.turned.turn(settings.resend * 10)
    assert dispatcher.round([migration], consumers=0) == 0


def test_a_broker_that_is_away_loses_nothing(
    ground: Ground, settings: Settings, tmp_path: Path
) -> None:
    migration = ground.moving()
    unit = ground.only(migration)
    ground.units.postpone([unit], settings.resend)  # noted, then the publication failed
    assert not ground.units.due(migration, 10)
    ground.turned.turn(settings.resend)
    assert [u.id for u in ground.units.due(migration, 10)] == [unit.id]


def test_tenants_and_their_migrations_take_turns(
    ground: Ground, settings: Settings, dispatcher: Dispatcher
) -> None:
    crowd = [ground.moving(many(30), source=f"file:///{n}", tenant="a") for n in range(3)]
    alone = ground.moving(many(30), source="file:///alone", tenant="b")
    assert dispatcher.round([*crowd, alone], consumers=6) == 12
    counted = [message.migration for message in sent(settings)]
    assert counted.count(alone.id) == 6
    assert [counted.count(m.id) for m in crowd] == [2, 2, 2]


def test_a_unit_that_comes_after_others_sleeps_until_they_are_done(
    ground: Ground, settings: Settings, dispatcher: Dispatcher
) -> None:
    first = Draft("move", "ann", group="ann", wakes=True)
    migration = ground.moving([first, Draft("final", "ann", after=("ann",))])
    assert dispatcher.round([migration], consumers=0) == 1
    assert dispatcher.round([migration], consumers=0) == 0
    [note] = sent(settings)
    unit = ground.units.claim(migration, note.unit, note.epoch, owner="c01")
    assert unit is not None
    ground.units.finish(unit, Receipt(), seconds=1)
    ground.units.wake(unit)
    assert dispatcher.round([migration], consumers=0) == 1


def test_a_lost_wake_up_call_is_made_good(
    ground: Ground, settings: Settings, dispatcher: Dispatcher
) -> None:
    first = Draft("move", "ann", group="ann", wakes=True)
    migration = ground.moving([first, Draft("final", "ann", after=("ann",))])
    dispatcher.round([migration], consumers=0)
    [note] = sent(settings)
    unit = ground.units.claim(migration, note.unit, note.epoch, owner="c01")
    assert unit is not None
    ground.units.finish(unit, Receipt(), seconds=1)  # ... and died before it could wake anybody
    assert dispatcher.round([migration], consumers=0) == 0
    dispatcher.wake(migration)
    assert dispatcher.round([migration], consumers=0) == 1


def test_a_wall_clock_that_was_set_back_does_not_put_units_to_sleep(
    ground: Ground, settings: Settings, dispatcher: Dispatcher
) -> None:
    migration = ground.moving()
    ground.turned.now -= 86_400
    assert dispatcher.round([migration], consumers=0) == 0
    assert ground.units.hasten(migration, settings.backoff_most + settings.resend) == 1
    assert dispatcher.round([migration], consumers=0) == 1


def test_a_silent_holder_loses_its_unit_after_one_lease(ground: Ground, settings: Settings) -> None:
    migration, judge = ground.moving(), sweeper(ground, settings)
    held = claimed(ground, migration)
    assert judge.sweep() == 0
    ground.turned.turn(LEASE)
    assert judge.sweep() == 1
    with pytest.raises(Stale):
        ground.units.finish(held, Receipt(), seconds=1)
    unit = ground.only(migration)
    assert (unit.state, unit.owner, unit.epoch) == (State.RUNNING, "", held.epoch + 1)
    assert [u.id for u in ground.units.due(migration, 1)] == [unit.id]


def test_a_holder_that_beats_keeps_its_unit(ground: Ground, settings: Settings) -> None:
    migration, judge = ground.moving(), sweeper(ground, settings)
    held = claimed(ground, migration)
    for _ in range(10):
        judge.sweep()
        ground.turned.turn(LEASE / 2)
        ground.units.beat(held)
    assert judge.sweep() == 0


def test_wall_clocks_play_no_part_in_the_judgement_of_leases(
    ground: Ground, settings: Settings
) -> None:
    migration, judge = ground.moving(), sweeper(ground, settings)
    claimed(ground, migration)
    judge.sweep()
    ground.turned.now += 1_000_000
    assert judge.sweep() == 0


def test_a_unit_that_kills_every_consumer_ends_in_quarantine(
    ground: Ground, settings: Settings
) -> None:
    migration, judge = ground.moving(), sweeper(ground, settings)
    for _ in range(settings.attempts):
        claimed(ground, migration)
        judge.sweep()
        ground.turned.turn(LEASE)
        assert judge.sweep() == 1
    unit = ground.only(migration)
    assert unit.state is State.QUARANTINED
    assert "attempt 3 of 3" in unit.reason


def test_only_consumers_that_give_signs_count_and_the_long_silent_are_struck_off(
    ground: Ground, settings: Settings
) -> None:
    judge = sweeper(ground, settings)
    ground.consumers.beat("c01")
    ground.consumers.beat("c02")
    assert judge.alive() == 2
    ground.turned.turn(LEASE)
    ground.consumers.beat("c01")
    assert judge.alive() == 1
    ground.turned.turn(LEASE * 30)
    judge.alive()
    assert ground.consumers.all() == [] or judge.alive() == 0


def test_a_migration_is_done_when_all_its_units_are(ground: Ground) -> None:
    migration = ground.moving()
    conductor = Conductor(ground.migrations, ground.units, ground.events)
    assert conductor.look(migration).phase == Phase.MOVING
    receipt = Receipt(Counts(items=1, moved=1))
    ground.units.finish(claimed(ground, migration), receipt, seconds=1)
    done = conductor.look(migration)
    assert done.phase == Phase.DONE and done.ended == ground.turned.now
    assert conductor.look(migration) == migration  # a race that was lost is no error


def test_a_migration_with_a_unit_in_quarantine_is_not_done_but_stuck(ground: Ground) -> None:
    migration = ground.moving()
    conductor = Conductor(ground.migrations, ground.units, ground.events)
    ground.units.quarantine(claimed(ground, migration), why="no such user")
    assert conductor.look(migration).phase == Phase.MOVING
    assert ground.units.stuck(migration)


def test_what_waits_for_a_unit_in_quarantine_is_stuck_too(ground: Ground) -> None:
    first = Draft("move", "ann", group="ann", wakes=True)
    migration = ground.moving([first, Draft("final", "ann", after=("ann",))])
    [unit] = ground.units.due(migration, 10)
    held = ground.units.claim(migration, unit.id, unit.epoch, owner="c01")
    assert held is not None
    ground.units.quarantine(held, why="no such user")
    assert ground.units.stuck(migration)
    ground.units.release(migration, by="ann")
    assert not ground.units.stuck(migration)


def test_of_many_candidates_one_leads(ground: Ground) -> None:
    offices = [
        Leadership(ground.store, "producer", name, LEASE, ground.clock) for name in ("a", "b", "c")
    ]
    assert [office.campaign() for office in offices] == [True, False, False]
    assert [office.campaign() for office in offices] == [True, False, False]


def test_a_silent_leader_is_followed_by_another_and_knows_it_when_it_wakes(ground: Ground) -> None:
    old = Leadership(ground.store, "producer", "a", LEASE, ground.clock)
    new = Leadership(ground.store, "producer", "b", LEASE, ground.clock)
    assert old.campaign() and not new.campaign()
    ground.turned.turn(LEASE)
    assert new.campaign()
    assert not old.campaign()


def test_a_leader_that_resigns_makes_room_at_once(ground: Ground) -> None:
    old = Leadership(ground.store, "producer", "a", LEASE, ground.clock)
    new = Leadership(ground.store, "producer", "b", LEASE, ground.clock)
    assert old.campaign() and not new.campaign()
    old.resign()
    assert new.campaign()
