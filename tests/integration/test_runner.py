"""What becomes of a delivered message, on a real store: claimed, moved, reported, once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from common.errors import Held, Missing, Permanent, Stale, Transient
from common.lifecycle.units import State
from common.lifecycle.users import Event
from common.model import Counts, Draft, Failure, Hold, Migration, Receipt, Unit
from common.queue.broker import Broker
from common.queue.messages import Message
from common.settings import Settings
from common.store.sqlite import SqliteStore
from consumer.meter import Meter
from consumer.mover import Job, Reach
from consumer.recent import FRESH
from consumer.runner import Outcome, backoff, run
from tests.factories import Ground, Turned, says, settings_for, waits
from tests.waiting import eventually

MOVED = Receipt(Counts(items=3, moved=2, skipped=1, bytes=30, bytes_moved=20), digest="ab" * 16)
REFUSED = Receipt(
    Counts(items=3, moved=2, failed=1), failures=(Failure("a/b", "a device", "leave it"),)
)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    store = SqliteStore(str(tmp_path / "state.db"))
    yield Ground(store)
    store.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for(tmp_path, attempts=3)


def deliver(
    ground: Ground, migration: Migration, job: Job, settings: Settings, broker: Broker
) -> Outcome:
    crew = ground.crew(job, settings, ground.heartbeat(settings, broker))
    return run(message(ground, migration), crew)


def message(ground: Ground, migration: Migration) -> Message:
    unit = ground.only(migration)
    return Message(migration.id, unit.id, unit.epoch)


def test_a_unit_is_moved_and_reported_with_its_receipt(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration = ground.moving()
    assert deliver(ground, migration, says(MOVED), settings, broker) is Outcome.MOVED
    sums = ground.units.sums(migration)
    assert (sums.done, sums.open) == (1, 0)
    assert sums.counts == MOVED.counts
    assert list(ground.units.digests(migration)) == ["ab" * 16]


def test_a_message_delivered_twice_moves_once(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration, seen = ground.moving(), list[Unit]()
    crew = ground.crew(says(MOVED, seen), settings, ground.heartbeat(settings, broker))
    note = message(ground, migration)
    assert [run(note, crew), run(note, crew)] == [Outcome.MOVED, Outcome.NOT_MINE]
    assert len(seen) == 1
    assert ground.units.sums(migration).counts == MOVED.counts


def test_a_message_of_an_earlier_epoch_is_ignored(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration = ground.moving()
    early = message(ground, migration)
    assert deliver(ground, migration, says(Transient("x")), settings, broker) is Outcome.LATER
    crew = ground.crew(says(MOVED), settings, ground.heartbeat(settings, broker))
    assert run(early, crew) is Outcome.NOT_MINE


def test_a_message_about_nothing_known_is_ignored(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    crew = ground.crew(says(MOVED), settings, ground.heartbeat(settings, broker))
    assert run(Message("users-none", "users-none.1.x", 1), crew) is Outcome.WAITS


@pytest.mark.parametrize("hold", [Hold.PAUSED, Hold.DRAINING])
def test_a_held_migration_starts_no_unit(
    ground: Ground, settings: Settings, broker: Broker, hold: Hold
) -> None:
    migration = ground.migrations.amend(ground.moving(), by="ann", what="hold", hold=hold)
    assert deliver(ground, migration, says(MOVED), settings, broker) is Outcome.WAITS
    assert ground.only(migration).attempts == 0


def test_a_hold_that_nobody_told_of_lets_units_start_for_a_moment_only(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration = ground.moving([Draft("move", "ann"), Draft("move", "bob"), Draft("move", "eve")])
    crew = ground.crew(says(MOVED), settings, ground.heartbeat(settings, broker))
    ann, bob, eve = (Message(migration.id, doc["id"], 1) for doc in ground.units.of(migration))
    assert run(ann, crew) is Outcome.MOVED
    held = ground.migrations.amend(migration, by="ann", what="hold", hold=Hold.PAUSED)
    assert run(bob, crew) is Outcome.MOVED  # as if the hold had come a moment later
    ground.turned.turn(timedelta(seconds=FRESH))
    assert run(eve, crew) is Outcome.WAITS
    ground.migrations.amend(held, by="ann", what="resume", hold=None)
    assert run(eve, crew) is Outcome.MOVED  # bad news is never remembered


def test_news_of_a_hold_is_heeded_at_once(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration = ground.moving([Draft("move", "ann"), Draft("move", "bob")])
    crew = ground.crew(says(MOVED), settings, ground.heartbeat(settings, broker))
    ann, bob = (Message(migration.id, doc["id"], 1) for doc in ground.units.of(migration))
    assert run(ann, crew) is Outcome.MOVED
    ground.migrations.amend(migration, by="ann", what="hold", hold=Hold.PAUSED)
    crew.recent.forget()
    assert run(bob, crew) is Outcome.WAITS


def test_a_cancelled_migration_starts_no_unit(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration = ground.migrations.advance(ground.moving(), Event.CANCEL, by="ann")
    assert deliver(ground, migration, says(MOVED), settings, broker) is Outcome.WAITS


def test_a_passing_failure_is_produced_again_after_a_growing_pause(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration = ground.moving()
    for attempt in (1, 2):
        outcome = deliver(ground, migration, says(Transient("away")), settings, broker)
        unit = ground.only(migration)
        assert outcome is Outcome.LATER
        assert (unit.state, unit.attempts, unit.reason) == (State.QUEUED, attempt, "away")
        assert not ground.units.due(migration, 10)
        ground.turned.turn(backoff(settings, attempt))
        assert ground.units.due(migration, 10)


def test_after_the_last_attempt_a_unit_is_quarantined_with_its_reason(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration = ground.moving()
    outcomes = [
        deliver(ground, migration, says(Transient("away")), settings, broker) for _ in range(3)
    ]
    assert outcomes == [Outcome.LATER, Outcome.LATER, Outcome.QUARANTINED]
    [(_, key, failure)] = ground.failures.of(migration)
    assert (key, failure.reason) == ("ann", "away")


def test_a_pause_that_is_no_failure_costs_no_attempt(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration = ground.moving()
    for _ in range(5):
        held = says(Held("the host is going down", retry_in=timedelta(seconds=5)))
        assert deliver(ground, migration, held, settings, broker) is Outcome.LATER
    assert ground.only(migration).attempts == 0


def test_what_cannot_be_helped_is_quarantined_at_once_with_advice(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration = ground.moving()
    gone = says(Missing("no such user"))
    assert deliver(ground, migration, gone, settings, broker) is Outcome.QUARANTINED
    [(_, key, failure)] = ground.failures.of(migration)
    assert (key, failure.item, failure.reason) == ("ann", "ann", "no such user")
    assert "mounted" in failure.advice


def test_a_unit_that_left_items_behind_is_quarantined_and_keeps_what_it_moved(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration = ground.moving()
    assert deliver(ground, migration, says(REFUSED), settings, broker) is Outcome.QUARANTINED
    sums = ground.units.sums(migration)
    assert (sums.quarantined, sums.counts.moved, sums.counts.failed) == (1, 2, 1)
    assert [f.item for _, _, f in ground.failures.of(migration)] == ["a/b"]


def test_a_released_unit_is_moved_again_and_its_old_failures_are_forgotten(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration = ground.moving()
    deliver(ground, migration, says(REFUSED), settings, broker)
    assert ground.units.release(migration, by="ann") == 1
    assert deliver(ground, migration, says(MOVED), settings, broker) is Outcome.MOVED
    assert list(ground.failures.of(migration)) == []
    assert ground.units.sums(migration).counts == MOVED.counts


def test_a_unit_that_wants_another_try_gets_it_although_it_moved_something(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration = ground.moving()
    again = Receipt(Counts(items=2, moved=1, failed=1), again="one file changes all the time")
    assert deliver(ground, migration, says(again), settings, broker) is Outcome.LATER
    assert ground.only(migration).reason == "one file changes all the time"


def test_units_that_a_unit_found_necessary_are_planned_before_it_is_done(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration = ground.moving()
    after = Draft("move", "ann", name="2", after=("g",))
    cut = Receipt(drafts=(Draft("move", "ann", name="1", group="g"), after))
    assert deliver(ground, migration, says(cut), settings, broker) is Outcome.MOVED
    assert ground.units.sums(migration).queued == 2


def test_an_unknown_job_fails_closed(ground: Ground, settings: Settings, broker: Broker) -> None:
    migration = ground.moving([Draft("fly", "ann")])
    assert deliver(ground, migration, says(MOVED), settings, broker) is Outcome.QUARANTINED
    assert "no job 'fly'" in ground.only(migration).reason


def test_a_crash_of_the_mover_is_told_and_tried_again(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration = ground.moving()
    bug = says(ZeroDivisionError("division by zero"))
    assert deliver(ground, migration, bug, settings, broker) is Outcome.LATER
    assert "ZeroDivisionError" in ground.only(migration).reason


def test_a_consumer_that_lost_its_unit_reports_nothing(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration = ground.moving()

    def robbed(reach: Reach) -> Receipt:
        ground.units.lapse(ground.only(migration), attempts=3)
        return MOVED

    job = waits(ground.turned, timedelta(0), robbed)
    assert deliver(ground, migration, job, settings, broker) is Outcome.LOST
    unit = ground.only(migration)
    assert (unit.state, unit.owner, unit.epoch) == (State.RUNNING, "", 2)
    assert ground.units.sums(migration).counts == Counts()
    assert deliver(ground, migration, says(MOVED), settings, broker) is Outcome.MOVED


def test_a_lease_that_could_not_be_renewed_is_given_up_before_the_leader_takes_it(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration = ground.moving()

    def late(reach: Reach) -> Receipt:
        reach.lease.still_mine()
        raise AssertionError("it may not go on")

    job = waits(ground.turned, settings.lease * 0.8, late)
    assert deliver(ground, migration, job, settings, broker) is Outcome.LOST


def test_a_pause_reaches_a_running_unit_which_is_given_back_uncounted(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration = ground.moving()
    heartbeat = ground.heartbeat(settings, broker)

    def job(unit: Unit, reach: Reach) -> Receipt:
        seen = ground.migrations.get(migration.id)
        ground.migrations.amend(seen, by="ann", what="pause", hold=Hold.PAUSED)
        heartbeat._beat()  # what the thread does when it hears the news
        with pytest.raises(Held):
            reach.lease.still_mine()
        reach.lease.still_mine()
        raise AssertionError("it may not go on")

    crew = ground.crew(job, settings, heartbeat)
    assert run(message(ground, migration), crew) is Outcome.LATER
    unit = ground.only(migration)
    assert (unit.state, unit.attempts, unit.reason) == (State.QUEUED, 0, "paused")


def test_confirming_a_lease_asks_the_store_itself(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration = ground.moving()

    def job(unit: Unit, reach: Reach) -> Receipt:
        reach.lease.confirm()
        ground.units.lapse(ground.only(migration), attempts=3)
        reach.lease.still_mine()  # nobody told us yet
        with pytest.raises(Stale):
            reach.lease.confirm()
        return MOVED

    assert deliver(ground, migration, job, settings, broker) is Outcome.LOST


def test_marks_of_a_dead_epoch_cannot_overwrite_those_of_a_later_one(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration = ground.moving()
    zombie: list[Reach] = []

    def dies(unit: Unit, reach: Reach) -> Receipt:
        zombie.append(reach)
        raise Transient("died")

    def lives(unit: Unit, reach: Reach) -> Receipt:
        reach.memory.put("ann", "cursor", b"late")
        return MOVED

    deliver(ground, migration, dies, settings, broker)
    deliver(ground, migration, lives, settings, broker)
    with pytest.raises(Stale):
        zombie[0].memory.put("ann", "cursor", b"early")
    with pytest.raises(Stale):
        zombie[0].memory.append("ann", "cursor", b"early")
    assert ground.marks.read(migration.id, "ann", "cursor") == [b"late"]


def test_a_consumer_says_what_it_is_doing(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration = ground.moving()
    heartbeat = ground.heartbeat(settings, broker, name="c07@host")

    def job(unit: Unit, reach: Reach) -> Receipt:
        reach.lease.show(items=2, bytes=20)
        heartbeat._beat()
        [consumer] = ground.consumers.all()
        assert (consumer["id"], consumer["unit"]) == ("c07@host", unit.id)
        sums = ground.units.sums(migration)
        assert (sums.live_items, sums.live_bytes) == (2, 20)
        return MOVED

    crew = ground.crew(job, settings, heartbeat)
    assert run(message(ground, migration), crew) is Outcome.MOVED
    assert ground.units.sums(migration).live_bytes == 0


def test_a_permanent_error_without_a_hint_of_its_own_still_gives_advice() -> None:
    assert "requeue" in Permanent("x").hint


def test_a_consumer_counts_what_it_does_for_its_metrics(
    ground: Ground, settings: Settings, broker: Broker
) -> None:
    migration = ground.moving([Draft("move", "ann"), Draft("move", "bob")])
    heartbeat = ground.heartbeat(settings, broker)
    ann, bob = (Message(migration.id, doc["id"], 1) for doc in ground.units.of(migration))
    run(ann, ground.crew(says(MOVED), settings, heartbeat))
    run(bob, ground.crew(says(Transient("the other side is away")), settings, heartbeat))
    run(bob, ground.crew(says(MOVED), settings, heartbeat))  # of an epoch that is over
    heartbeat.start()
    eventually(lambda: ground.consumers.all())
    heartbeat.stop()
    [consumer] = ground.consumers.all()
    counted = {k: many for k, many in consumer["counters"].items() if "microseconds" not in k}
    assert counted == {
        "units/moved": 1, "units/later": 1, "units/not_mine": 1, "failures/Transient": 1,
        "items/moved": 2, "items/skipped": 1, "bytes/moved": 20,
    }  # fmt: skip
    assert ground.consumers.beats() == [("c01", consumer["beat"])]


def test_time_is_counted_by_what_it_went_into() -> None:
    turned = Turned()
    meter = Meter(turned.clock())
    for seconds, phase in ((2, "claim"), (3, "move"), (1, "claim")):
        with meter.phase(phase):
            turned.turn(timedelta(seconds=seconds))
    assert meter.read() == {"microseconds/claim": 3_000_000, "microseconds/move": 3_000_000}
