"""Judgements about partitions over all small facts: targets, tokens, self-heal, disks and nodes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import product

import pytest

from common.lifecycle.partitions.disk import Event
from common.lifecycle.partitions.disk import Status as Whole
from common.lifecycle.partitions.partition import Restore, Status, Type
from common.lifecycle.partitions.record import Record
from producer.partitions import disk
from producer.partitions.disk import Sums, Task
from producer.partitions.facts import Candidate, Knobs, Seen, Tokens, View, Wait
from producer.partitions.heal import healed
from producer.partitions.judge import Judge
from producer.partitions.target import chosen, keys, verdicts
from producer.partitions.tokens import taken, without

KNOBS = Knobs(least_free_bytes=10)
ROOM = Candidate("x", "/d", "n1", "z1", free_bytes=100)
HERE = Candidate("a", "/d", "n1", "z1", free_bytes=100)


def a_record(**fields: object) -> Record:
    return Record("7", 3, ("a", "b", "c"), "a", source="a", source_disk="/d")._replace(**fields)  # type: ignore[arg-type]


def seen(*candidates: Candidate, **tokens: Tokens) -> View:
    return View({}, {key.replace("_", " "): held for key, held in tokens.items()}, candidates)


# targets

UNFIT = {
    "holds a replica already": ROOM._replace(host="b"),
    "gives no sign of life": ROOM._replace(alive=False),
    "its disk takes no writes": ROOM._replace(writable=False),
    "is being decommissioned": ROOM._replace(draining=True),
    "has less than 10 bytes free": ROOM._replace(free_bytes=9),
    "was tried and failed": ROOM._replace(host="bad"),
}


@pytest.mark.parametrize("reason", UNFIT)
def test_no_replica_goes_where_a_rule_speaks_against_it_and_the_rule_is_named(reason: str) -> None:
    view, record = seen(HERE, UNFIT[reason]), a_record(excluded=("bad",))
    assert chosen(record, view, KNOBS) is None
    [told] = [v for v in verdicts(record, view, KNOBS) if v.candidate == UNFIT[reason]]
    assert told.reasons == (reason,)


def test_a_target_that_was_asked_for_is_the_only_one() -> None:
    other = ROOM._replace(host="y")
    found = chosen(a_record(specified="y"), seen(HERE, ROOM, other), KNOBS)
    assert found and found.candidate == other


def test_the_nearest_is_preferred_then_the_emptiest() -> None:
    far = ROOM._replace(host="u", zone="z2", nodeset="n9", free_bytes=10_000)
    zone = ROOM._replace(host="v", nodeset="n2", free_bytes=9_000)
    roomy = ROOM._replace(host="w", free_bytes=200)
    order = [
        v.candidate.host for v in verdicts(a_record(), seen(HERE, far, zone, ROOM, roomy), KNOBS)
    ]
    assert order == ["w", "x", "v", "u", "a"]


def test_without_a_token_it_waits_and_no_attempt_is_spent() -> None:
    record = a_record(status=Status.MARKED, restore=Restore.FORBIDDEN)
    full = Tokens((("8", 1),), limit=1)
    view = View({h: Seen(epoch=1) for h in "abc"}, {"nodeset n1": full}, (HERE, ROOM))
    act = Judge(KNOBS).act(record, view)
    assert isinstance(act, Wait) and "nodeset n1" in act.why


def test_a_candidate_that_need_not_wait_is_preferred() -> None:
    other = ROOM._replace(host="y", nodeset="n2")
    view = View({}, {"nodeset n1": Tokens((("8", 1),), limit=1)}, (HERE, ROOM, other))
    found = chosen(a_record(), view, KNOBS)
    assert found and found.candidate == other and not found.lacking


def test_no_two_disks_share_a_token_whatever_their_paths_hold() -> None:
    paths = ["/d", "/d_1", "/d 1", "/d/1_2"]
    found = {keys(a_record(source_disk=path), ROOM) for path in paths}
    assert len(found) == len(paths)


# tokens

LIMIT = 1


@dataclass(frozen=True)
class Race:
    """Two controllers, each with a partition of its own, and one token document."""

    doc: Tokens = field(default_factory=lambda: Tokens(limit=LIMIT))
    version: int = 0
    read: tuple[tuple[Tokens, int] | None, ...] = (None, None)


def race(*, guarded: bool) -> int:
    """The most tokens held at once, over every interleaving of taking and giving back."""
    first = Race()
    known, todo, most = {first}, deque([first]), 0
    while todo:
        here = todo.popleft()
        most = max(most, len(here.doc.held))
        for there in after(here, guarded=guarded):
            if there not in known and there.version < 6:
                known.add(there)
                todo.append(there)
    return most


def after(here: Race, *, guarded: bool) -> list[Race]:
    found = []
    for who, entry in enumerate([("p", 1), ("q", 1)]):
        looked = here.read[who]
        read = list(here.read)
        if looked is None:
            read[who] = (here.doc, here.version)
            found.append(Race(here.doc, here.version, tuple(read)))
            continue
        read[who] = None
        new = without(looked[0], entry) if looked[0].has(entry) else taken(*looked[:1], entry)
        if new is None or (guarded and looked[1] != here.version):
            found.append(Race(here.doc, here.version, tuple(read)))
        else:
            doc = new if guarded else here.doc._replace(held=tuple({*here.doc.held, *new.held}))
            found.append(Race(doc, here.version + 1, tuple(read)))
    return found


def test_no_order_of_two_controllers_hands_out_more_tokens_than_there_are() -> None:
    assert race(guarded=True) == LIMIT


def test_a_limit_looked_at_before_the_change_would_be_passed() -> None:
    assert race(guarded=False) > LIMIT  # D6


def test_no_limit_is_no_limit_and_taking_twice_is_taking_once() -> None:
    first = taken(Tokens(), ("p", 1))
    assert first and taken(first, ("p", 1)) == first
    assert taken(first, ("q", 1)) == Tokens((("p", 1), ("q", 1)))
    assert without(first, ("p", 2)) == first


# self-heal

WORDS = {
    "well": Seen(epoch=4),
    "old": Seen(epoch=3),
    "empty": Seen(epoch=0),
    "silent": Seen(alive=False),
    "broken": Seen(sound=False, epoch=4),
    "not whole": Seen(epoch=4, whole=False),
}


def test_self_heal_removes_only_on_present_words_and_leaves_as_many_good_ones_as_wanted() -> None:
    acted = 0
    for many in (2, 3, 4):
        for said in product(WORDS, repeat=many):
            hosts = tuple("abcd"[:many])
            view = View({h: WORDS[w] for h, w in zip(hosts, said, strict=True)}, {})
            record = Record("7", 3, hosts, "a", epoch=4)
            after_ = healed(record, view)
            if after_ is None:
                continue
            acted += 1
            good = [h for h in after_.hosts if view.of(h) == WORDS["well"]]
            assert view.of("a") == WORDS["well"], (said, after_)
            assert len(after_.hosts) >= many or len(good) >= 3, (said, after_)
    assert acted == 22  # it does something


@pytest.mark.parametrize("restore", [Restore.RUNNING, Restore.FORBIDDEN])
def test_self_heal_keeps_away_while_somebody_changes_the_hosts(restore: Restore) -> None:
    view = View({h: Seen(epoch=1) for h in "ab"}, {})
    record = Record("7", 3, ("a", "b"), "a")
    assert healed(record._replace(restore=restore), view) is None
    found = healed(record, view)
    assert found and found.type is Type.AUTO_ADD


def test_a_report_of_nothing_at_all_heals_nothing() -> None:
    assert healed(Record("7", 3, ("a", "b"), "a"), View({}, {})) is None


# disks and nodes

TASK = Task("a", "/d", term=9, status=Whole.RUNNING, members=("1", "2", "3", "4"))
SHAPES: dict[str, dict[str, object]] = {
    "done": {"hosts": ("b", "c", "d")},
    "running": {"status": Status.RUNNING},
    "waiting": {"status": Status.MARKED},
    "paused": {"status": Status.PAUSED},
    "failed": {"status": Status.FAILED, "rollbacks": 3},
}


def member(id: str, shape: str) -> Record:
    return a_record(id=id, term=9, **SHAPES[shape])


def test_every_partition_of_a_disk_is_counted_in_exactly_one_place() -> None:
    for shapes in product(SHAPES, repeat=4):
        records = {id: member(id, shape) for id, shape in zip("1234", shapes, strict=True)}
        found = disk.sums(TASK, records, KNOBS)
        assert found == Sums(*(shapes.count(name) for name in Sums._fields))
        assert found.total == len(TASK.members)


def test_a_disk_has_moved_exactly_at_a_hundred_percent_and_failed_only_when_nothing_is_open() -> (
    None
):
    for counts in product(range(4), repeat=5):
        found = Sums(*counts)
        event = disk.judged(TASK, found)
        open_ = found.running + found.waiting + found.paused
        assert (event is Event.FINISH) == (found.progress == "100.00%")
        assert (event is Event.FAIL) == (found.failed > 0 and not open_)


def test_progress_is_rounded_down_and_never_goes_back_as_partitions_leave() -> None:
    assert Sums(done=20_219, waiting=79_781).progress == "20.21%"
    assert Sums(done=99_999, waiting=1).progress == "99.99%"
    assert Sums().progress == "100.00%"


def test_a_rollback_that_is_not_the_last_is_no_failure_of_the_disk() -> None:
    trying = {"1": member("1", "failed")._replace(rollbacks=1)}
    assert disk.sums(TASK._replace(members=("1",)), trying, KNOBS) == Sums(running=1)  # D11


def test_a_partition_that_somebody_else_moves_waits_and_is_marked_when_it_is_free() -> None:
    busy = member("1", "running")._replace(source="b", restore=Restore.FORBIDDEN)
    records = {"1": busy, "2": member("2", "done")}
    task = TASK._replace(members=("1", "2"))
    assert disk.sums(task, records, KNOBS) == Sums(done=1, waiting=1)  # D11: never ignored
    assert disk.unmarked(task, records, KNOBS) == []
    free = busy._replace(status=Status.INITIAL, restore=Restore.STOP)
    assert disk.unmarked(task, records | {"1": free}, KNOBS) == [free]
    assert disk.unmarked(task._replace(status=Whole.PAUSED), {"1": free}, KNOBS) == []


def test_a_partition_that_was_deleted_is_done() -> None:
    assert disk.sums(TASK._replace(members=("1",)), {}, KNOBS) == Sums(done=1)


def test_the_fewer_good_copies_are_left_the_sooner_it_is_moved() -> None:
    auto = a_record(type=Type.AUTO)
    assert disk.weight(auto, 2) == disk.HIGHEST
    assert disk.weight(auto._replace(hosts=("a", "b")), 1) == disk.HIGHEST
    assert disk.weight(auto, 1) == disk.HIGH
    assert disk.weight(auto, 0) == disk.MEDIUM
    assert disk.weight(auto._replace(type=Type.MANUAL), 2) == disk.LOW
    some = [a_record(id="1", weight=2, term=1), a_record(id="2", weight=8, term=2)]
    assert [record.id for record in disk.ordered(some)] == ["2", "1"]


def test_a_node_ends_when_all_of_its_disks_do() -> None:
    assert disk.joint([Whole.SUCCESS, Whole.RUNNING]) is None
    assert disk.joint([Whole.SUCCESS, Whole.SUCCESS]) is Event.FINISH
    assert disk.joint([Whole.SUCCESS, Whole.FAILED]) is Event.FAIL
    assert disk.joint([Whole.CANCELLED, Whole.FAILED]) is Event.CANCEL
    assert disk.mean([Sums(done=1), Sums(waiting=1)]) == "50.00%"
