"""The document port's one contract: what every store promises to one process.

Runs against both drivers, and against the store in memory that other tests stand on. A server that
is known to get a point wrong fails it expectedly, with the reason shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any

import pytest

from common.errors import Conflict, Permanent, Refused
from common.store.base import (
    Cond,
    Doc,
    Documents,
    Scalar,
    Store,
    Where,
    above,
    among,
    at_least,
    at_most,
    below,
    differs,
)
from tests.servers.stores import Lab, lab

__all__ = ["lab"]


class Colour(StrEnum):
    RED = "red"


VALUES: dict[str, Any] = {
    "text": "plain",
    "empty": "",
    "unicode": "Grüße, 東京, \U0001f69a, e\u0301, \ue000, \u202e",
    "control": "tab\t, line\n, return\r, bell\x07",
    "quotes": 'it\'s "quoted" `and` back\\slashed',
    "statement": "'); DROP TABLE things; --",
    "operator": "$set",
    "path": "$.body",
    "dots": "a.b.$.c",
    "like": "100% _",
    "long": "x" * 100_000,
    "zero": 0,
    "negative": -1,
    "beyond_double": 2**53 + 1,
    "largest": 2**63 - 1,
    "smallest": -(2**63),
    "whole_float": 1.0,
    "time": 1_763_640_000.123456,
    "tenth": 0.1 + 0.2,
    "huge": 1.7e308,
    "tiny": 5e-324,
    "true": True,
    "false": False,
    "none": None,
    "no_list": [],
    "no_object": {},
    "list": [1, 2.5, "three", None, True, [], {"four": 4}],
    "nested": {"a": {"b": {"c": [{"d": None}]}}},
    "hostile_keys": {"a.b": 1, "$set": 2, "": 3, "%2E": 4, "%": 5, "é '\"": {"$ref": "x"}},
}
DIGITS = ("time", "tenth", "huge", "tiny", "largest", "true", "false")  # what nx-27017 spoils

REFUSED: dict[str, Any] = {
    "too_large": 2**63,
    "too_small": -(2**63) - 1,
    "nan": float("nan"),
    "infinite": float("inf"),
    "surrogate": "caf\udce9",
    "nul": "a\0b",
    "bytes": b"raw",
    "set": {1, 2},
    "deep_nan": {"a": [float("nan")]},
    "deep_bytes": [{"a": b""}],
    "number_as_key": {1: "one"},
    "surrogate_as_key": {"\udce9": 1},
}
NAMES = ["", "a b", "a.b", "$set", "_id", "Upper", 'quo"te', "a'b", "x" * 64, "é", "1st", "a\n"]


def exact(value: Any) -> str:
    """Tells 1, 1.0 and True apart, which == does not."""
    return json.dumps(value, sort_keys=True)


def ids(found: Iterator[Doc]) -> list[str]:
    return [doc["id"] for doc in found]


@pytest.fixture
def store(lab: Lab) -> Iterator[Store]:
    ours = lab.open()
    yield ours
    ours.close()


@pytest.fixture
def things(store: Store) -> Documents:
    return store.collection("things")


@pytest.fixture
def seats(store: Store) -> Documents:
    """A collection with a unique key: house and number."""
    return store.collection("seats")


# --- what is kept ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", VALUES)
def test_a_document_comes_back_as_it_was_given(things: Documents, name: str) -> None:
    doc = {"id": "d", "value": VALUES[name]}
    assert things.insert(doc)
    assert exact(things.get("d")) == exact(doc)
    assert exact(list(things.find({}))) == exact([doc])


@pytest.mark.parametrize("name", VALUES)
def test_what_was_set_comes_back_as_it_was_given(lab: Lab, things: Documents, name: str) -> None:
    if name in DIGITS:
        lab.must("set")
    things.insert({"id": "d", "value": "before"})
    answer = things.change({"id": "d"}, set={"value": VALUES[name]})
    assert exact(answer) == exact(things.get("d")) == exact({"id": "d", "value": VALUES[name]})


@pytest.mark.parametrize("name", [n for n, v in VALUES.items() if isinstance(v, str | int | float)])
@pytest.mark.parametrize("field", ["rank", "value", "id"])
def test_a_document_is_found_by_what_was_stored(things: Documents, name: str, field: str) -> None:
    if field == "id" and not (isinstance(VALUES[name], str) and VALUES[name]):
        field = "rank"
    value = VALUES[name][:900] if isinstance(VALUES[name], str) else VALUES[name]
    things.insert({"id": "other", field: "something else"} | ({} if field != "id" else {"id": "o"}))
    things.insert({"id": "d"} | {field: value})
    found = list(things.find({field: value}))
    assert [exact(doc[field]) for doc in found] == [exact(value)]


@pytest.mark.parametrize("name", REFUSED)
def test_what_some_store_would_change_is_refused_by_all(things: Documents, name: str) -> None:
    things.insert({"id": "there", "n": 1})
    with pytest.raises(Refused, match="value"):
        things.insert({"id": "d", "value": REFUSED[name]})
    with pytest.raises(Refused, match="value"):
        things.insert_many([{"id": "fine"}, {"id": "d", "value": REFUSED[name]}])
    with pytest.raises(Refused, match="value"):
        things.change({"id": "there"}, set={"value": REFUSED[name]})
    assert list(things.find({})) == [{"id": "there", "n": 1}]


@pytest.mark.parametrize("name", NAMES)
def test_a_field_name_that_is_no_simple_word_is_refused_everywhere(
    things: Documents, name: str
) -> None:
    things.insert({"id": "d", "n": 1})
    with pytest.raises(Refused):
        things.insert({"id": "x", name: 1})
    with pytest.raises(Refused):
        things.change({"id": "d"}, set={name: 1})
    with pytest.raises(Refused):
        things.change({"id": "d"}, inc={name: 1})
    with pytest.raises(Refused):
        things.change({"id": "d"}, push={name: 1})
    with pytest.raises(Refused):
        things.count({name: 1})
    with pytest.raises(Refused):
        list(things.find({}, order=(name,)))
    with pytest.raises(Refused):
        list(things.find({}, fields=(name,)))
    with pytest.raises(Refused):
        things.tally({}, by=(name,))
    assert list(things.find({})) == [{"id": "d", "n": 1}]


@pytest.mark.parametrize("id_", [None, "", 5, "a\0b", "\udc80"])
def test_an_id_is_a_text_of_at_least_one_letter(things: Documents, id_: Any) -> None:
    with pytest.raises(Refused):
        things.insert({"id": id_})
    with pytest.raises(Refused):
        things.insert({"name": "without"})
    assert things.count({}) == 0


def test_a_field_with_an_index_holds_single_values(things: Documents) -> None:
    things.insert({"id": "d", "rank": 1})
    for several in ([1], {"a": 1}):
        with pytest.raises(Refused, match="rank"):
            things.insert({"id": "x", "rank": several})
        with pytest.raises(Refused, match="rank"):
            things.change({"id": "d"}, set={"rank": several})
    with pytest.raises(Refused, match="rank"):
        things.change({"id": "d"}, push={"rank": 1})
    assert list(things.find({})) == [{"id": "d", "rank": 1}]


def test_the_text_of_an_enum_is_a_text(things: Documents) -> None:
    things.insert({"id": "d", "state": Colour.RED, "rank": "blue"})
    assert things.change({"id": "d", "state": Colour.RED}, set={"rank": Colour.RED})
    assert exact(things.get("d")) == exact({"id": "d", "state": "red", "rank": "red"})
    assert things.count({"state": among([Colour.RED])}) == 1


def test_what_a_store_returns_is_not_what_it_keeps(lab: Lab, things: Documents) -> None:
    if lab.name == "memory":
        pytest.skip("hands out what it keeps, for speed")
    given: Doc = {"id": "d", "list": [1], "object": {"a": [1]}}
    things.insert(given)
    given["list"].append("mine")
    things.get("d")["object"]["a"].append("mine")  # type: ignore[index]
    answer = things.change({"id": "d"}, set={"new": [given["list"]]})
    assert answer
    answer["new"][0].append("mine")
    given["list"].append("mine, too")
    kept = {"id": "d", "list": [1], "object": {"a": [1]}, "new": [[1, "mine"]]}
    assert exact(things.get("d")) == exact(kept)


# --- inserting ------------------------------------------------------------------------------


def test_an_id_is_taken_once(things: Documents) -> None:
    assert things.insert({"id": "d", "n": 1}) is True
    assert things.insert({"id": "d", "n": 2}) is False
    assert list(things.find({})) == [{"id": "d", "n": 1}]
    assert things.get("e") is None


def test_a_batch_adds_those_that_are_not_there_yet(things: Documents) -> None:
    things.insert({"id": "2", "n": "old"})
    batch = [{"id": str(n), "n": "new"} for n in (1, 2, 3, 3)]
    assert things.insert_many(batch) == 2
    assert things.insert_many(batch) == 0
    assert things.insert_many([]) == 0
    assert [(doc["id"], doc["n"]) for doc in things.find({}, order=("id",))] == [
        ("1", "new"),
        ("2", "old"),
        ("3", "new"),
    ]


def test_a_unique_key_is_taken_once(seats: Documents) -> None:
    assert seats.insert({"id": "a", "house": 1, "number": 7})
    assert not seats.insert({"id": "b", "house": 1, "number": 7})
    assert seats.insert({"id": "c", "house": 1, "number": 8})
    assert seats.insert({"id": "d", "house": "1", "number": 7})
    batch = [{"id": f"{n}", "house": 1, "number": n} for n in (7, 8, 9)]
    assert seats.insert_many(batch) == 1
    assert ids(seats.find({}, order=("id",))) == ["9", "a", "c", "d"]


def test_none_and_missing_are_one_value_of_a_unique_key(lab: Lab, seats: Documents) -> None:
    lab.must("absence")
    assert seats.insert({"id": "a", "house": 1})
    assert not seats.insert({"id": "b", "house": 1, "number": None})
    assert seats.insert({"id": "c", "house": 2})


def test_a_change_into_a_taken_unique_key_is_a_conflict(lab: Lab, seats: Documents) -> None:
    seats.insert_many([{"id": str(n), "house": 1, "number": n} for n in (1, 2)])
    with pytest.raises(Conflict):
        seats.change_many({"id": "1"}, set={"number": 2})
    lab.must("silence")
    with pytest.raises(Conflict):
        seats.change({"id": "1"}, set={"number": 2})
    with pytest.raises(Conflict):
        seats.change({"id": "3", "house": 1}, set={"number": 2}, upsert=True)
    assert [doc["number"] for doc in seats.find({}, order=("id",))] == [1, 2]


# --- conditions -----------------------------------------------------------------------------

NUMBERS: list[Doc] = [
    {"id": "none", "rank": None, "plain": None},
    {"id": "missing"},
    {"id": "minus", "rank": -1, "plain": -1},
    {"id": "one", "rank": 1, "plain": 1},
    {"id": "float", "rank": 1.0, "plain": 1.0},
    {"id": "half", "rank": 1.5, "plain": 1.5},
    {"id": "big", "rank": 2**60, "plain": 2**60},
]
TEXTS: list[Doc] = [
    {"id": "none", "rank": None, "plain": None},
    {"id": "empty", "rank": "", "plain": ""},
    {"id": "digit", "rank": "1", "plain": "1"},
    {"id": "upper", "rank": "Z", "plain": "Z"},
    {"id": "lower", "rank": "a", "plain": "a"},
    {"id": "accent", "rank": "é", "plain": "é"},
    {"id": "private", "rank": "\ue000", "plain": "\ue000"},
    {"id": "astral", "rank": "\U0001f69a", "plain": "\U0001f69a"},
]
MIXED: list[Doc] = [
    {"id": "none", "rank": None, "plain": None},
    {"id": "false", "rank": False, "plain": False},
    {"id": "true", "rank": True, "plain": True},
    {"id": "zero", "rank": 0, "plain": 0},
    {"id": "one", "rank": 1, "plain": 1},
    {"id": "text", "rank": "1", "plain": "1"},
]
Case = tuple[Scalar | Cond, str]
AMONG_NUMBERS: list[Case] = [
    (1, "one float"),
    (1.0, "one float"),
    (2**60, "big"),
    (2**60 + 1, ""),
    (None, "none missing"),
    (below(1), "minus"),
    (at_most(1), "minus one float"),
    (above(1), "half big"),
    (at_least(1.0), "one float half big"),
    (above(2**60 - 1), "big"),
    (differs(1), "none missing minus half big"),
    (differs(None), "minus one float half big"),
    (among([1, -1]), "minus one float"),
    (among([None, 1.5]), "none missing half"),
    (among([None]), "none missing"),
    (among([]), ""),
]
AMONG_TEXTS: list[Case] = [
    ("a", "lower"),
    ("", "empty"),
    ("' OR 1=1 --", ""),
    ("$ne", ""),
    (below("a"), "empty digit upper"),
    (at_least("a"), "lower accent private astral"),
    (above("\ue000"), "astral"),
    (at_most(""), "empty"),
    (differs(""), "none digit upper lower accent private astral"),
    (among(["1", "é", None]), "none digit accent"),
]
AMONG_MIXED: list[Case] = [
    (True, "true"),
    (False, "false"),
    (1, "one"),
    (0, "zero"),
    ("1", "text"),
    (above(-1), "zero one"),
    (below(5), "zero one"),
    (below("z"), "text"),
    (at_least(""), "text"),
    (differs(True), "none false zero one text"),
    (differs(1), "none false true zero text"),
    (among([True, 0]), "true zero"),
]
CONDITIONS = [
    pytest.param(docs, value, expected.split(), id=f"{kind}-{n}")
    for kind, docs, cases in (
        ("numbers", NUMBERS, AMONG_NUMBERS),
        ("texts", TEXTS, AMONG_TEXTS),
        ("mixed", MIXED, AMONG_MIXED),
    )
    for n, (value, expected) in enumerate(cases)
]


@pytest.mark.parametrize(("docs", "value", "expected"), CONDITIONS)
def test_a_condition_means_the_same_everywhere(
    lab: Lab, things: Documents, docs: list[Doc], value: Scalar | Cond, expected: list[str]
) -> None:
    if docs is MIXED:
        lab.must("types")
    things.insert_many(docs)
    for field in ("rank", "plain"):  # with an index and without
        assert set(ids(things.find({field: value}))) == set(expected)
    if "none" in expected:
        lab.must("none")
    for field in ("rank", "plain"):
        assert things.count({field: value}) == len(expected)


def test_conditions_on_several_fields_must_all_hold(things: Documents) -> None:
    things.insert_many([{"id": f"{a}{b}", "rank": a, "plain": b} for a in (1, 2) for b in (1, 2)])
    assert ids(things.find({"rank": 1, "plain": above(1)})) == ["12"]
    assert ids(things.find({"id": among(["11", "22", "33"]), "rank": differs(1)})) == ["22"]
    assert ids(things.find({"id": above("12")}, order=("id",))) == ["21", "22"]
    assert things.count({}) == 4


def test_a_text_is_not_the_number_that_it_spells(lab: Lab, things: Documents) -> None:
    things.insert_many([{"id": "5", "rank": "5"}, {"id": "6", "rank": 5}])
    assert ids(things.find({"rank": 5})) == ["6"]
    assert ids(things.find({"rank": "5"})) == ["5"]
    lab.must("types")
    assert ids(things.find({"id": 5})) == []


def test_a_time_that_was_read_finds_its_document(things: Documents) -> None:
    times = [1_700_000_000 + n / 977 for n in range(200)]
    things.insert_many([{"id": f"{n}", "rank": t, "plain": t} for n, t in enumerate(times)])
    for doc in list(things.find({})):
        for field in ("rank", "plain"):
            assert ids(things.find({field: doc[field]})) == [doc["id"]]


NO_CONDITIONS: list[Where] = [
    {"rank": [1]},  # type: ignore[dict-item]
    {"rank": {"$ne": None}},  # type: ignore[dict-item]
    {"rank": float("nan")},
    {"rank": 2**63},
    {"rank": "\udc80"},
    {"rank": below(True)},
    {"rank": Cond("<", None)},
    {"rank": Cond("<", [1])},
    {"rank": Cond("in", "text")},
    {"rank": among([[1]])},  # type: ignore[list-item]
    {"rank": among(range(10_001))},
    {"rank": Cond("!=", {"a": 1})},
    {"rank": Cond("LIKE", "%")},  # type: ignore[arg-type]
]


@pytest.mark.parametrize("where", NO_CONDITIONS, ids=range(len(NO_CONDITIONS)))
def test_what_compares_no_single_values_is_refused(things: Documents, where: Where) -> None:
    things.insert({"id": "d", "rank": 1})
    with pytest.raises(Refused, match="rank"):
        things.find(where)
    with pytest.raises(Refused, match="rank"):
        things.change(where, set={"n": 1})
    with pytest.raises(Refused, match="rank"):
        things.remove(where)
    with pytest.raises(Refused, match="rank"):
        things.tally(where, by=())
    assert list(things.find({})) == [{"id": "d", "rank": 1}]


# --- orders and pages -----------------------------------------------------------------------


@pytest.mark.parametrize("docs", [NUMBERS[:4], NUMBERS[4:], TEXTS], ids=["low", "high", "texts"])
def test_none_comes_first_then_what_is_larger(things: Documents, docs: list[Doc]) -> None:
    things.insert_many(docs[::-1])
    upward = sorted(docs, key=lambda doc: (doc.get("rank") is not None, doc.get("rank"), doc["id"]))
    expected = [doc["id"] for doc in upward]
    if docs is not TEXTS and "missing" in expected:
        expected = ["missing", "none", "minus", "one"]
    for field in ("rank", "plain"):
        assert ids(things.find({}, order=(field, "id"))) == expected
        assert ids(things.find({}, order=(f"-{field}", "-id"))) == expected[::-1]


def test_an_order_may_go_two_ways(things: Documents) -> None:
    things.insert_many([{"id": f"{a}{b}", "rank": a, "plain": b} for a in (1, 2) for b in (1, 2)])
    assert ids(things.find({}, order=("rank", "-plain"))) == ["12", "11", "22", "21"]
    assert ids(things.find({}, order=("-rank", "plain"))) == ["21", "22", "11", "12"]


def test_a_limit_ends_the_answer(lab: Lab, things: Documents) -> None:
    most = lab.several
    things.insert_many([{"id": f"{n:04}", "rank": n} for n in range(most)])
    for limit in (1, 7, min(250, most), min(251, most), most - 1):
        found = ids(things.find({}, order=("rank",), limit=limit))
        assert found == [f"{n:04}" for n in range(limit)]
    assert len(ids(things.find({}, limit=0))) == len(ids(things.find({}, limit=2 * most))) == most


def test_fields_that_are_asked_for_come_alone(things: Documents) -> None:
    things.insert({"id": "d", "a": 1.5, "b": {"x.y": [True]}, "c": "unasked"})
    [doc] = things.find({}, fields=("b", "a", "missing"))
    assert exact(doc) == exact({"id": "d", "a": 1.5, "b": {"x.y": [True]}, "missing": None})
    assert list(things.find({}, fields=("id",))) == [{"id": "d"}]


def _pages(things: Documents, order: Sequence[str], size: int) -> list[str]:
    seen: list[str] = []
    after: list[Scalar] | None = None
    while page := list(things.find({"state": "in"}, order=order, limit=size, after=after)):
        seen += ids(iter(page))
        after = [page[-1].get(name.removeprefix("-")) for name in order]
        assert len(seen) <= 100, "pages must come to an end"
    return seen


@pytest.mark.parametrize("field", ["rank", "plain"])
@pytest.mark.parametrize("way", ["", "-"])
@pytest.mark.parametrize("holes", [[], [None, None]], ids=["full", "with-none"])
def test_pages_one_after_the_other_are_complete_and_without_doubles(
    lab: Lab, things: Documents, field: str, way: str, holes: list[None]
) -> None:
    if holes:
        lab.must("none")
        things.insert({"id": "77", "state": "in"})
    ranks = [*holes, 1, 1, 1, 1, 1.5, 2, 2, 1_700_000_000.123456, 1_700_000_000.123457]
    docs = [{"id": f"{n:02}", field: rank, "state": "in"} for n, rank in enumerate(ranks)]
    things.insert_many([*docs, {"id": "99", field: 1, "state": "out"}])
    expected = ids(things.find({"state": "in"}, order=(f"{way}{field}", f"{way}id")))
    for size in (1, 2, 3, 5, 100):
        assert _pages(things, (f"{way}{field}", f"{way}id"), size) == expected
    assert sorted(_pages(things, (f"{way}id",), 5)) == sorted(expected)
    assert len(set(expected)) == len(ranks) + bool(holes)


NO_PAGES: list[tuple[tuple[str, ...], list[Any]]] = [
    (("rank",), [1]),
    (("id", "rank"), ["d", 1]),
    (("-rank", "id"), [1, "d"]),
    (("rank", "id"), [1]),
    ((), []),
    (("id",), [["d"]]),
]


@pytest.mark.parametrize(("order", "after"), NO_PAGES, ids=range(len(NO_PAGES)))
def test_a_page_begins_behind_one_certain_document_or_is_refused(
    things: Documents, order: tuple[str, ...], after: list[Any]
) -> None:
    with pytest.raises(Refused, match="after"):
        things.find({}, order=order, after=after)


def test_an_answer_is_not_disturbed_by_changes_that_it_causes(lab: Lab, things: Documents) -> None:
    docs = [{"id": f"{n}", "rank": n, "state": "in"} for n in range(lab.several)]
    things.insert_many(docs)
    for doc in things.find({"state": "in"}, order=("rank",)):
        things.change({"id": doc["id"]}, set={"state": "out"})
    assert things.count({"state": "out"}) == lab.several


# --- changing -------------------------------------------------------------------------------


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


def test_adding_keeps_every_digit(lab: Lab, things: Documents) -> None:
    lab.must("set")
    things.insert({"id": "d", "sum": 0.0, "rank": 0.0, "n": 2**62})
    total = 0.0
    for n in range(50):
        total += n / 7
        things.change({"id": "d"}, inc={"sum": n / 7, "rank": n / 7, "n": 1})
    assert things.get("d") == {"id": "d", "sum": total, "rank": total, "n": 2**62 + 50}
    assert ids(things.find({"rank": total})) == ["d"]


@pytest.mark.parametrize("value", [None, "text", True, [], {}], ids=str)
def test_adding_to_what_is_no_number_is_refused(lab: Lab, things: Documents, value: Any) -> None:
    lab.must("silence")
    things.insert({"id": "d", "n": value})
    with pytest.raises(Refused):
        things.change({"id": "d"}, inc={"n": 1})
    assert exact(things.get("d")) == exact({"id": "d", "n": value})


def test_a_sum_beyond_64_bits_is_refused(lab: Lab, things: Documents) -> None:
    lab.must("silence")
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


def test_an_object_is_appended_as_an_object(lab: Lab, things: Documents) -> None:
    lab.must("objects")
    things.insert({"id": "d"})
    line = {"at": 1_763_640_000.123456, "by": "me", "why": None, "more": [{"x.y": True}]}
    things.change({"id": "d"}, push={"log": line, "rows": ["a", None]})
    assert exact(things.get("d")) == exact({"id": "d", "log": [line], "rows": [["a", None]]})


@pytest.mark.parametrize("value", [None, "text", 1, {}], ids=str)
def test_appending_to_what_is_no_list_is_refused(lab: Lab, things: Documents, value: Any) -> None:
    lab.must("silence")
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
    for where in ({"kind": "k"}, {"id": "d", "n": above(1)}, {"id": among(["d"])}):
        with pytest.raises(Refused):
            things.change(where, set={"n": 1}, upsert=True)
    assert things.count({}) == 0


def test_many_are_changed_each_once(lab: Lab, things: Documents) -> None:
    ranks = range(lab.several)
    docs = [{"id": f"{n}", "rank": n, "state": "in" if n % 3 else "out"} for n in ranks]
    things.insert_many(docs)
    where: Where = {"state": "in", "rank": below(lab.several - 50)}
    expected = [n + 5 for n in ranks[:-50] if n % 3]
    assert things.change_many(where, set={"state": "moved"}, inc={"rank": 5}) == len(expected)
    assert things.change_many(where, set={"state": "moved"}) == 0
    assert [doc["rank"] for doc in things.find({"state": "moved"}, order=("rank",))] == expected
    assert things.count({"state": "in"}) == len([n for n in ranks[-50:] if n % 3])


def test_many_are_removed_and_the_others_stay(lab: Lab, things: Documents) -> None:
    things.insert_many([{"id": f"{n}", "rank": n} for n in range(lab.several)])
    kept = lab.several - 50
    assert things.remove({"rank": below(kept)}) == kept
    assert things.remove({"rank": below(kept)}) == 0
    assert [doc["rank"] for doc in things.find({}, order=("rank",))] == [*range(kept, kept + 50)]
    assert things.insert({"id": "0", "again": True})


# --- sums -----------------------------------------------------------------------------------


def test_a_tally_counts_and_adds_per_group(things: Documents) -> None:
    states = ["a", "a", "b", None]
    docs: list[Doc] = [{"id": f"{n}", "state": s, "n": n + 1} for n, s in enumerate(states)]
    docs += [{"id": "x", "n": None, "f": 0.5}, {"id": "y", "state": "b", "f": 0.25}]
    things.insert_many(docs)
    found = {key: (many, sums) for key, many, sums in things.tally({}, by=("state",))}
    assert found == {("a",): (2, ()), ("b",): (2, ()), (None,): (2, ())}
    rows = things.tally({"id": differs("3")}, by=("state",), sums=("n", "f", "nowhere"))
    assert {key[0]: sums for key, _, sums in rows} == {
        "a": (3, 0, 0),
        "b": (3, 0.25, 0),
        None: (0, 0.5, 0),
    }


def test_a_tally_by_nothing_is_one_sum_over_all(things: Documents) -> None:
    assert things.tally({}, by=(), sums=("n",)) == []
    things.insert_many([{"id": f"{n}", "n": n} for n in range(10)])
    assert things.tally({"n": above(7)}, by=(), sums=("n",)) == [((), 2, (17,))]


def test_a_tally_by_several_fields_tells_their_kinds_apart(lab: Lab, things: Documents) -> None:
    lab.must("groups")
    values: list[Scalar] = [True, 1, "1", None]
    docs = [{"id": f"{n}{v!r}", "a": v, "rank": n % 2} for n in range(3) for v in values]
    things.insert_many([*docs, {"id": "bare", "rank": 0}])
    found = {(exact(key), many) for key, many, _ in things.tally({}, by=("a", "rank"))}
    expected = {(exact([v, 0]), 2) for v in values[:3]} | {(exact([v, 1]), 1) for v in values}
    assert found == expected | {(exact([None, 0]), 3)}


# --- stores ---------------------------------------------------------------------------------


def test_a_collection_that_was_not_declared_is_refused(store: Store) -> None:
    with pytest.raises(Refused, match=re.escape("'nonsense'")):
        store.collection("nonsense")


def test_collections_do_not_see_each_other(store: Store) -> None:
    store.collection("things").insert({"id": "d"})
    assert store.collection("seats").get("d") is None
    assert store.collection("seats").insert({"id": "d"})


def test_documents_outlive_the_store_that_wrote_them(lab: Lab) -> None:
    if lab.name == "memory":
        pytest.skip("keeps nothing")
    first = lab.open()
    first.collection("things").insert({"id": "d", "rank": 1})
    first.close()
    second = lab.open()
    assert ids(second.collection("things").find({"rank": 1})) == ["d"]
    second.close()


def test_a_closed_store_is_not_used_again(lab: Lab) -> None:
    if lab.name == "memory":
        pytest.skip("has nothing to close")
    store = lab.open()
    things = store.collection("things")
    things.insert({"id": "d"})
    store.close()
    with pytest.raises(Permanent, match="closed"):
        things.get("d")
