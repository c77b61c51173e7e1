"""Every store changes documents alike: one at a time, by what it finds, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from common.errors import Refused
from common.store.base import (
    Documents,
    Where,
    above,
    among,
    below,
)
from tests.servers.stores import Lab, exact, ids


def test_a_change_answers_with_the_new_document(things: Documents) -> None:
    things.insert({"id": "d", "state": "old", "n": 1, "log": ["made"]})
    answer = things.change(
        {"id": "d", "state": "old"}, set={"state": "new"}, inc={"n": 2}, push={"log": "changed"}
    )
    expected = {"id": "d", "state": "new", "n": 3, "log": ["made", "changed"]}
    assert answer == things.get("d") == expected


def test_a_change_that_matches_nothing_changes_nothing(things: Documents) -> None:
    things.insert({"id": "d", "state": "old"})
    assert things.change({"id": "d", "state": "other"}, set={"state": "new"}) is None
    assert things.change({"id": "e"}, set={"state": "new"}) is None
    assert things.change({"id": among([])}, set={"state": "new"}) is None
    assert list(things.find({})) == [{"id": "d", "state": "old"}]


def test_a_change_takes_one_of_many(things: Documents) -> None:
    things.insert_many([{"id": f"{n}", "state": "in"} for n in range(5)])
    taken = [things.change({"state": "in"}, set={"state": "out"}) for _ in range(6)]
    assert sorted(doc["id"] for doc in taken if doc) == ["0", "1", "2", "3", "4"]
    assert taken[5] is None


def test_adding_starts_from_zero_and_mixes_whole_numbers_with_others(things: Documents) -> None:
    things.insert({"id": "d", "n": 1, "rank": 5})
    assert things.change({"id": "d"}, inc={"n": 2, "new": 3, "zero": 0, "rank": -7})
    assert things.change({"id": "d"}, inc={"new": 0.5, "rank": 0.25})
    expected = {"id": "d", "n": 3, "new": 3.5, "zero": 0, "rank": -1.75}
    assert exact(things.get("d")) == exact(expected)
    assert ids(things.find({"rank": -1.75})) == ["d"]


def test_adding_keeps_every_digit(store_lab: Lab, things: Documents) -> None:
    store_lab.must("set")
    things.insert({"id": "d", "sum": 0.0, "rank": 0.0, "n": 2**62})
    total = 0.0
    for n in range(50):
        total += n / 7
        things.change({"id": "d"}, inc={"sum": n / 7, "rank": n / 7, "n": 1})
    assert things.get("d") == {"id": "d", "sum": total, "rank": total, "n": 2**62 + 50}
    assert ids(things.find({"rank": total})) == ["d"]


@pytest.mark.parametrize("value", [None, "text", True, [], {}], ids=str)
def test_adding_to_what_is_no_number_is_refused(
    store_lab: Lab, things: Documents, value: Any
) -> None:
    store_lab.must("silence")
    things.insert({"id": "d", "n": value})
    with pytest.raises(Refused):
        things.change({"id": "d"}, inc={"n": 1})
    assert exact(things.get("d")) == exact({"id": "d", "n": value})


def test_a_sum_beyond_64_bits_is_refused(store_lab: Lab, things: Documents) -> None:
    store_lab.must("silence")
    things.insert({"id": "d", "rank": 2**63 - 1, "plain": 2**63 - 1})
    for field in ("rank", "plain"):
        with pytest.raises(Refused):
            things.change({"id": "d"}, inc={field: 1})
    assert things.get("d") == {"id": "d", "rank": 2**63 - 1, "plain": 2**63 - 1}


def test_a_list_starts_with_the_first_value_and_keeps_the_last(things: Documents) -> None:
    things.insert({"id": "d"})
    for n in range(5):
        things.change({"id": "d"}, push={"log": f"line {n}"}, keep=3)
    assert things.get("d") == {"id": "d", "log": ["line 2", "line 3", "line 4"]}


def test_an_object_is_appended_as_an_object(store_lab: Lab, things: Documents) -> None:
    store_lab.must("objects")
    things.insert({"id": "d"})
    line = {"at": 1_763_640_000.123456, "by": "me", "why": None, "more": [{"x.y": True}]}
    things.change({"id": "d"}, push={"log": line, "rows": ["a", None]})
    assert exact(things.get("d")) == exact({"id": "d", "log": [line], "rows": [["a", None]]})


@pytest.mark.parametrize("value", [None, "text", 1, {}], ids=str)
def test_appending_to_what_is_no_list_is_refused(
    store_lab: Lab, things: Documents, value: Any
) -> None:
    store_lab.must("silence")
    things.insert({"id": "d", "log": value})
    with pytest.raises(Refused):
        things.change({"id": "d"}, push={"log": 1})
    assert exact(things.get("d")) == exact({"id": "d", "log": value})


NO_CHANGES: list[dict[str, Any]] = [
    {},
    {"set": {}},
    {"set": {"id": "other"}},
    {"inc": {"id": 1}},
    {"set": {"n": 1}, "inc": {"n": 1}},
    {"inc": {"n": "1"}},
    {"inc": {"n": True}},
    {"inc": {"n": float("nan")}},
    {"push": {"log": 1}, "keep": 0},
]


@pytest.mark.parametrize("change", NO_CHANGES, ids=range(len(NO_CHANGES)))
def test_a_change_that_makes_no_sense_is_refused(things: Documents, change: Any) -> None:
    things.insert({"id": "d", "n": 1})
    with pytest.raises(Refused):
        things.change({"id": "d"}, **change)
    assert list(things.find({})) == [{"id": "d", "n": 1}]


def test_an_upsert_makes_the_document_or_changes_it(things: Documents) -> None:
    where: Where = {"id": "d", "kind": "k", "hole": None}
    for n in (1, 2, 3):
        answer = things.change(where, set={"last": n}, inc={"n": 1}, push={"log": n}, upsert=True)
        expected = {"id": "d", "kind": "k", "hole": None, "last": n, "n": n}
        assert answer == things.get("d") == expected | {"log": list(range(1, n + 1))}


def test_an_upsert_does_not_touch_a_document_that_does_not_match(things: Documents) -> None:
    things.insert({"id": "d", "epoch": 2})
    assert things.change({"id": "d", "epoch": 1}, set={"owner": "me"}, upsert=True) is None
    assert list(things.find({})) == [{"id": "d", "epoch": 2}]


def test_an_upsert_says_exactly_which_document(things: Documents) -> None:
    vague: list[Where] = [{"kind": "k"}, {"id": "d", "n": above(1)}, {"id": among(["d"])}]
    for where in vague:
        with pytest.raises(Refused):
            things.change(where, set={"n": 1}, upsert=True)
    assert things.count({}) == 0


def test_many_are_changed_each_once(store_lab: Lab, things: Documents) -> None:
    ranks = range(store_lab.several)
    docs = [{"id": f"{n}", "rank": n, "state": "in" if n % 3 else "out"} for n in ranks]
    things.insert_many(docs)
    where: Where = {"state": "in", "rank": below(store_lab.several - 50)}
    expected = [n + 5 for n in ranks[:-50] if n % 3]
    assert things.change_many(where, set={"state": "moved"}, inc={"rank": 5}) == len(expected)
    assert things.change_many(where, set={"state": "moved"}) == 0
    assert [doc["rank"] for doc in things.find({"state": "moved"}, order=("rank",))] == expected
    assert things.count({"state": "in"}) == len([n for n in ranks[-50:] if n % 3])


def test_many_are_removed_and_the_others_stay(store_lab: Lab, things: Documents) -> None:
    things.insert_many([{"id": f"{n}", "rank": n} for n in range(store_lab.several)])
    kept = store_lab.several - 50
    assert things.remove({"rank": below(kept)}) == kept
    assert things.remove({"rank": below(kept)}) == 0
    assert [doc["rank"] for doc in things.find({}, order=("rank",))] == [*range(kept, kept + 50)]
    assert things.insert({"id": "0", "again": True})
