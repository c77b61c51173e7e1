"""An operator's desk on a real store, with nothing else running: wishes, looks, verdicts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from common.errors import Missing, Refused
from common.lifecycle.units import State
from common.lifecycle.users import Event
from common.model import Counts, Draft, Failure, Hold, Kind, Migration, Receipt, Unit
from ops import report as reports
from ops import wishes
from ops.desk import Desk, desk
from ops.verification import verification
from ops.watching import End, Sample, Watcher, Window, end_of, users
from tests.factories import Ground, settings_for

PARKED = Receipt(Counts(items=3, moved=2, failed=1), failures=(Failure("a", "a device", "no"),))
MOVED = Receipt(Counts(items=4, moved=4, bytes=40, bytes_moved=40), digest="0" * 31 + "5")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Desk]:
    with desk(settings_for(tmp_path / "home")) as opened:
        yield opened


@pytest.fixture
def ground(here: Desk) -> Ground:
    return Ground(here.store)


def drafts(*names: str, job: str = "user") -> list[Draft]:
    return [Draft(job, name, group=name) for name in names]


def claimed(ground: Ground, migration: Migration, key: str) -> Unit:
    [doc] = [doc for doc in ground.units.of(migration) if doc["key"] == key]
    unit = ground.units.claim(migration, doc["id"], doc["epoch"], owner="c01@here")
    assert unit is not None
    return unit


def parked(ground: Ground, migration: Migration, key: str, *, silent: bool = False) -> Unit:
    unit = claimed(ground, migration, key)
    if not silent:
        ground.failures.replace(unit, PARKED.failures)
    ground.units.quarantine(unit, why="1 item did not arrive", receipt=PARKED)
    return unit


def done(ground: Ground, migration: Migration, key: str) -> None:
    ground.units.finish(claimed(ground, migration, key), MOVED, seconds=1)


def events(here: Desk, migration: Migration) -> list[str]:
    return [event["what"] for event in here.events.of(migration.id)]


def test_a_hold_is_on_the_record_with_who_and_wishing_it_twice_is_wishing_it_once(
    here: Desk, ground: Ground
) -> None:
    migration = ground.moving(drafts("ann"))
    held = wishes.hold(here, migration, Hold.PAUSED)
    assert wishes.hold(here, held, Hold.PAUSED) == held
    assert here.find(migration.id).hold is Hold.PAUSED
    assert wishes.hold(here, held, None).hold is None
    assert events(here, migration) == ["migration.paused", "migration.resumed"]
    assert [line["by"] for line in here.migrations.history(migration.id)][-2:] == [here.who] * 2


def test_a_wish_made_on_an_old_look_is_made_again_on_the_new_one(
    here: Desk, ground: Ground
) -> None:
    old = ground.moving(drafts("ann"))
    wishes.limit(here, old, {"bandwidth": "1MiB/s"})
    assert wishes.hold(here, old, Hold.DRAINING).limits == {"bandwidth": "1MiB/s"}


def test_many_operators_at_once_all_get_their_wish(here: Desk, ground: Ground) -> None:
    migration = ground.moving(drafts("ann"))
    names = [f"source.{number}" for number in range(8)]
    threads = [
        threading.Thread(target=wishes.limit, args=(here, migration, {name: "5/s"}))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(here.find(migration.id).limits) == names


def test_limits_are_merged_and_taken_away_by_off(here: Desk, ground: Ground) -> None:
    migration = ground.moving(limits={"requests": "5/s"})
    limited = wishes.limit(here, migration, {"bandwidth": "1MiB/s", "requests": "off"})
    assert limited.limits == {"bandwidth": "1MiB/s"}
    assert wishes.limit(here, limited, {"requests": "off"}) == limited


@pytest.mark.parametrize(
    "text", ["fast", "25:00-26:00=1MiB/s", "08:00=1MiB/s", "08:00-9:00=1MiB", "1MiB/s,x", ""]
)
def test_a_rate_nobody_understands_is_refused_before_anything_is_written(text: str) -> None:
    with pytest.raises(Refused):
        wishes.checked({"bandwidth": text})


def test_timetables_and_plain_rates_are_understood() -> None:
    wishes.checked({"bandwidth": "08:00-18:00=50MiB/s,22:00-06:00=off,200MiB/s", "requests": "9"})


def test_a_cancelled_migration_has_ended_and_can_be_wished_nothing_more(
    here: Desk, ground: Ground
) -> None:
    over = wishes.cancel(here, ground.moving(drafts("ann")), why="wrong bucket")
    assert (over.phase, over.ended is not None) == ("cancelled", True)
    with pytest.raises(Refused, match="is cancelled"):
        wishes.cancel(here, over)
    with pytest.raises(Refused, match="is cancelled"):
        wishes.hold(here, over, None)
    assert here.migrations.history(over.id)[-1]["why"] == "wrong bucket"


def test_units_are_released_by_id_by_user_or_all_together(here: Desk, ground: Ground) -> None:
    migration = ground.moving(drafts("ann", "bob", "carl", "dora"))
    units = [parked(ground, migration, name) for name in ("ann", "bob", "carl", "dora")]
    assert wishes.release(here, migration, units[0].id) == 1
    assert wishes.release(here, migration, "bob") == 1
    assert wishes.release(here, migration) == 2
    assert here.units.sums(migration).queued == 4
    with pytest.raises(Missing, match="'ann' is not in quarantine"):
        wishes.release(here, migration, "ann")


def test_an_id_may_be_shortened_while_it_stays_unmistakable(here: Desk, ground: Ground) -> None:
    one, two = ground.moving(source="file:///one"), ground.moving(source="file:///two")
    assert here.find(one.id[:12]).id == one.id
    assert here.find(two.id.removeprefix("users-")).id == two.id
    with pytest.raises(Refused, match="is the beginning of"):
        here.find("users-")
    for nobody in ("users-x", ""):
        with pytest.raises(Missing):
            here.find(nobody)


def test_the_report_names_refused_lines_items_and_units_that_never_said_why(
    here: Desk, ground: Ground
) -> None:
    migration = ground.moving(drafts("ann", "bob", "carl"))
    refused: dict[str, Any] = {
        "refused": 3,
        "refusals": [[7, "../x", "it contains a slash or a NUL"]],
    }
    migration = here.migrations.amend(migration, by="test", what="accept", **refused)
    parked(ground, migration, "ann")
    parked(ground, migration, "bob", silent=True)
    done(ground, migration, "carl")
    found = reports.report(here, migration)
    said = {(row["user"], row["item"], row["reason"]) for row in found["failures"]}
    assert said == {
        ("", "line 7: ../x", "it contains a slash or a NUL"),
        ("", "2 more lines of the list", "refused"),
        ("ann", "a", "a device"),
        ("bob", "bob", "1 item did not arrive"),
    }
    assert all(row["advice"] for row in found["failures"])
    assert found["units"] == {"total": 3, "queued": 0, "running": 0, "done": 1, "quarantined": 2}
    assert (found["complete"], found["failures_total"]) == (False, 4)


def test_the_report_of_a_migration_where_all_is_done_is_complete(
    here: Desk, ground: Ground
) -> None:
    migration = ground.moving(drafts("ann", "bob"))
    for name in ("ann", "bob"):
        done(ground, migration, name)
    migration = here.migrations.advance(migration, Event.MOVED, by="test", ended=1_000_009.0)
    found = reports.report(here, migration)
    assert found["complete"] is True
    assert found["items"] == {"total": 8, "moved": 8, "skipped": 0, "mended": 0, "failed": 0}
    assert (found["digest"], found["seconds"]) == ("0" * 31 + "a", 9.0)


def test_a_verification_is_over_the_users_of_the_last_whole_list(
    here: Desk, ground: Ground
) -> None:
    first = ground.moving([*drafts("ann", "bob"), *drafts("ann", job="span")])
    for name in ("ann", "bob"):
        for doc in list(ground.units.of(first)):
            if doc["key"] == name and doc["state"] == State.QUEUED:
                unit = ground.units.claim(first, doc["id"], doc["epoch"], owner="c01")
                assert unit is not None
                ground.units.finish(unit, MOVED, seconds=1)
    over = here.migrations.advance(first, Event.MOVED, by="test", ended=1.0)
    assert _users(here, over) == ["ann", "bob"]
    options = {"pass": "verify"}
    again = here.migrations.renew(over, Event.AGAIN, by="test", options=options)
    here.units.plan(again, drafts("ann", job="verify"))  # and there it was cut short
    assert _users(here, again) == ["ann", "bob"]


def test_a_migration_that_is_still_being_planned_is_not_verified(here: Desk) -> None:
    planning = here.migrations.create(Kind.USERS, "file:///a", "file:///b")
    with pytest.raises(Refused, match="still being planned"):
        verification(planning, by="test")


def _users(here: Desk, migration: Migration) -> list[str]:
    errand = verification(migration, by="test")
    assert errand.order.options == {"pass": "verify"}
    assert errand.subjects is not None
    return sorted(errand.subjects(here))


def test_watching_ends_when_nothing_is_left_to_wait_for(here: Desk, ground: Ground) -> None:
    migration = ground.moving(drafts("ann", "bob"))

    def end() -> End | None:
        return end_of(here, Watcher(here, migration.id).look())

    assert end() is None
    parked(ground, migration, "ann")
    assert end() is None  # bob is still to be moved
    held = wishes.hold(here, here.find(migration.id), Hold.DRAINING)
    assert end() is End.DRAINED
    wishes.hold(here, held, None)
    parked(ground, migration, "bob")
    assert end() is End.STUCK
    wishes.release(here, here.find(migration.id))
    assert end() is None
    wishes.cancel(here, here.find(migration.id))
    assert end() is End.ENDED


def test_progress_counts_what_is_in_hand_and_users_apart_from_units(
    here: Desk, ground: Ground
) -> None:
    migration = ground.moving([*drafts("ann", "bob"), *drafts("ann", job="span")])
    done(ground, migration, "bob")
    [span] = [d for d in ground.units.of(migration) if d["job"] == "span"]
    unit = ground.units.claim(migration, span["id"], 1, owner="c01@here")
    assert unit is not None
    ground.units.beat(unit, live_items=5, live_bytes=50)
    seen = Watcher(here, migration.id).look()
    assert (seen.users, seen.users_total, seen.sums.total) == (1, 2, 3)
    assert (seen.items, seen.bytes) == (9, 90)
    assert seen.share == pytest.approx(1 / 3)


def test_with_hooks_a_user_is_done_after_the_last_pass(here: Desk, ground: Ground) -> None:
    migration = ground.moving([*drafts("ann"), *drafts("ann", job="final")])
    [first] = [d for d in ground.units.of(migration) if d["job"] == "user"]
    unit = ground.units.claim(migration, first["id"], 1, owner="c01@here")
    assert unit is not None
    ground.units.finish(unit, MOVED, seconds=1)
    assert users(here.units.by_job(migration)) == (0, 1)


def test_rates_are_those_of_the_last_half_minute_and_never_negative() -> None:
    window = Window()
    for second in range(0, 101, 10):
        window.add(Sample(second, second, 0, second * second))
    assert window.rates() == (1.0, 0.0, (100**2 - 70**2) / 30)
    window.add(Sample(110, 0, 0, 0))
    assert window.rates() == (0.0, 0.0, 0.0)


def test_looking_takes_at_most_a_tenth_of_the_time(here: Desk, ground: Ground) -> None:
    migration = ground.moving(drafts("ann"))
    slow = Watcher(Desk(here.settings, here.store, None, ground.clock, "me"), migration.id)
    assert slow.due
    slow.look()
    assert not slow.due
    ground.turned.turn(timedelta(seconds=0.2))
    assert slow.due
