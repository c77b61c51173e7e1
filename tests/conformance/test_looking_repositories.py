"""What the control centre asks of the store, on every driver: short records, what changed, pages,
samples, throughput, who holds what, and the audit trail."""

from __future__ import annotations

from datetime import timedelta

import pytest

from common.errors import Refused
from common.lifecycle.units import State
from common.lifecycle.users import Event
from common.model import Counts, Draft, Hold, Kind, Migration, Receipt
from common.store import audit
from common.store.audit import Audit
from common.store.base import Store
from common.store.unit_looks import UnitLooks
from tests.factories import Ground

MOVED = Receipt(Counts(items=4, moved=4, bytes=40, bytes_moved=40))


@pytest.fixture
def ground(document_store: Store) -> Ground:
    return Ground(document_store)


@pytest.fixture
def looks(document_store: Store) -> UnitLooks:
    return UnitLooks(document_store)


@pytest.fixture
def trail(ground: Ground) -> Audit:
    return Audit(ground.store, ground.clock)


def drafts(many: int) -> list[Draft]:
    return [Draft("user", f"user-{number:03}") for number in range(many)]


def finish(ground: Ground, migration: Migration, many: int) -> None:
    for unit in ground.units.due(migration, many):
        taken = ground.units.claim(migration, unit.id, unit.epoch, owner="c01@h")
        assert taken is not None
        ground.units.finish(taken, MOVED, seconds=1)


def test_a_brief_says_what_the_record_says(ground: Ground) -> None:
    migration = ground.moving(drafts(1), tenant="acme", limits={"requests": "5/s"})
    ground.migrations.amend(migration, by="ann", what="paused", hold="paused")
    [brief] = ground.migrations.briefs()
    whole = ground.migrations.get(migration.id)
    assert (brief.id, brief.kind, brief.phase, brief.version) == (
        whole.id, Kind.USERS, "moving", whole.version,
    )  # fmt: skip
    assert (brief.tenant, brief.hold, brief.limits) == ("acme", Hold.PAUSED, {"requests": "5/s"})
    assert (brief.created, brief.started, brief.ended) == (ground.turned.now, whole.started, None)
    assert not brief.over


def test_whatever_changes_a_record_touches_it(ground: Ground) -> None:
    old = ground.moving(drafts(1))
    other = ground.moving(drafts(1), source="file:///other")
    ground.turned.turn(timedelta(minutes=5))
    since = ground.turned.now

    def touched() -> list[str]:
        return [brief.id for brief in ground.migrations.briefs(touched=since)]

    assert touched() == []
    held = ground.migrations.amend(old, by="ann", what="paused", hold="paused")
    assert touched() == [old.id]
    ground.migrations.progress(other.id, 1, planned=7, cursor="x")
    assert sorted(touched()) == sorted([old.id, other.id])
    assert held.hold is Hold.PAUSED


def test_a_migration_keeps_the_time_of_its_first_generation(ground: Ground) -> None:
    migration = ground.moving(drafts(1))
    first = ground.turned.now
    ground.turned.turn(timedelta(hours=1))
    ground.migrations.renew(migration, Event.AGAIN, by="ann")
    [brief] = ground.migrations.briefs()
    assert (brief.created, brief.started, brief.generation) == (first, first + 3600, 2)


def test_pages_of_units_follow_each_other_without_gap_or_overlap(
    ground: Ground, looks: UnitLooks
) -> None:
    migration = ground.moving(drafts(23))
    ground.moving(drafts(5), source="file:///other")
    seen: list[str] = []
    behind = ""
    while found := [doc["id"] for doc in looks.page(migration, behind=behind, limit=5)]:
        assert len(found) <= 5
        seen += found
        behind = found[-1]
    assert seen == sorted(doc["id"] for doc in ground.units.of(migration))


def test_units_are_found_by_state_by_user_and_by_id(ground: Ground, looks: UnitLooks) -> None:
    migration = ground.moving(drafts(4))
    finish(ground, migration, 1)
    [done] = looks.page(migration, state=State.DONE, limit=9)
    [by_user] = looks.page(migration, text=done["key"], limit=9)
    [by_id] = looks.page(migration, text=done["id"], limit=9)
    assert by_user == by_id == done
    assert list(looks.page(migration, text="user-", limit=9)) == []


def test_throughput_is_counted_by_the_minute_in_which_units_were_finished(
    ground: Ground, looks: UnitLooks
) -> None:
    migration = ground.moving(drafts(5))
    minute = int(ground.turned.now // 60)
    finish(ground, migration, 2)
    ground.turned.turn(timedelta(minutes=3))
    finish(ground, migration, 1)
    assert looks.by_minute(migration) == [(minute, 2, 8, 80), (minute + 3, 1, 4, 40)]


def test_a_sample_is_of_this_generation_only_and_no_larger_than_asked(
    ground: Ground, looks: UnitLooks
) -> None:
    migration = ground.moving(drafts(30))
    ground.moving(drafts(30), source="file:///other")
    everything = looks.sample(migration, 100, fields=("key",))
    some = looks.sample(migration, 10, fields=("key",))
    assert sorted(doc["key"] for doc in everything) == [d.key for d in drafts(30)]
    assert some == everything[:10]


def test_holders_are_those_whose_units_run(ground: Ground, looks: UnitLooks) -> None:
    migration = ground.moving(drafts(3))
    unit = ground.units.due(migration, 1)[0]
    ground.units.claim(migration, unit.id, unit.epoch, owner="c01@h")
    [held] = looks.holders()
    assert (held["id"], held["owner"], held["key"]) == (unit.id, "c01@h", unit.key)
    assert held["claimed_at"] == ground.turned.now


def test_the_newest_events_come_first_page_by_page(ground: Ground) -> None:
    for number in range(5):
        ground.events.add("m", "thing.happened", by="ann", number=number)
        ground.turned.turn(timedelta(seconds=1))
    first = list(ground.events.latest("m", limit=2))
    behind = [first[-1]["at"], first[-1]["id"]]
    rest = list(ground.events.latest("m", after=behind))
    assert [event["number"] for event in [*first, *rest]] == [4, 3, 2, 1, 0]


def test_an_act_is_in_the_trail_before_it_begins_and_says_how_it_ended(trail: Audit) -> None:
    with trail.act("pause", by="ann@centre", to="users-1", why="lunch", size=3) as said:
        [line] = trail.latest()
        assert (line["outcome"], line["ended"]) == (audit.BEGUN, None)
        said["released"] = 7
    [line] = trail.latest()
    assert {k: line[k] for k in ("what", "by", "to", "why", "outcome")} == {
        "what": "pause",
        "by": "ann@centre",
        "to": "users-1",
        "why": "lunch",
        "outcome": audit.DONE,
    }
    assert line["facts"] == {"size": 3, "released": 7}
    assert line["ended"] is not None


def test_an_act_that_is_refused_or_crashes_is_in_the_trail(trail: Audit) -> None:
    with pytest.raises(Refused), trail.act("cancel", by="ann"):
        raise Refused("it is over")
    with pytest.raises(ZeroDivisionError), trail.act("limits", by="ann"):
        raise ZeroDivisionError
    found = {line["what"]: (line["outcome"], line["facts"]) for line in trail.latest()}
    assert found["cancel"] == (audit.FAILED, {"error": "it is over"})
    assert found["limits"] == (audit.FAILED, {"error": "ZeroDivisionError"})


def test_the_trail_is_paged_newest_first_and_by_what_was_acted_on(
    trail: Audit, ground: Ground
) -> None:
    for number in range(7):
        trail.note(f"act {number}", audit.DONE, by="ann", to=f"m{number % 2}")
        ground.turned.turn(timedelta(seconds=1))
    first = list(trail.latest(limit=3))
    behind = [first[-1]["at"], first[-1]["id"]]
    rest = list(trail.latest(after=behind))
    assert [line["what"] for line in [*first, *rest]] == [f"act {n}" for n in range(6, -1, -1)]
    assert [line["what"] for line in trail.latest(to="m1")] == ["act 5", "act 3", "act 1"]


def test_the_trail_takes_any_text_and_keeps_no_credentials(trail: Audit) -> None:
    trail.note("x\0y", audit.DENIED, by="\ud800", to="s3://key:secret@bucket/x", why="a" * 9999)
    [line] = trail.latest()
    assert line["to"] == "s3://***@bucket/x"
    assert "secret" not in str(line)
    assert (len(line["why"]), line["by"]) == (2000, "\\ud800")
