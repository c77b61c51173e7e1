"""Every store understands a condition alike: None is missing, True is not 1, "5" is not 5."""

from __future__ import annotations

import pytest

from common.errors import Refused
from common.store.base import (
    Cond,
    Doc,
    Documents,
    Scalar,
    Where,
    above,
    among,
    at_least,
    at_most,
    below,
    differs,
)
from tests.servers.stores import Lab, ids

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
    store_lab: Lab, things: Documents, docs: list[Doc], value: Scalar | Cond, expected: list[str]
) -> None:
    if docs is MIXED:
        store_lab.must("types")
    things.insert_many(docs)
    for field in ("rank", "plain"):  # with an index and without
        assert set(ids(things.find({field: value}))) == set(expected)
    if "none" in expected:
        store_lab.must("none")
    for field in ("rank", "plain"):
        assert things.count({field: value}) == len(expected)


def test_conditions_on_several_fields_must_all_hold(things: Documents) -> None:
    things.insert_many([{"id": f"{a}{b}", "rank": a, "plain": b} for a in (1, 2) for b in (1, 2)])
    assert ids(things.find({"rank": 1, "plain": above(1)})) == ["12"]
    assert ids(things.find({"id": among(["11", "22", "33"]), "rank": differs(1)})) == ["22"]
    assert ids(things.find({"id": above("12")}, order=("id",))) == ["21", "22"]
    assert things.count({}) == 4


def test_a_text_is_not_the_number_that_it_spells(store_lab: Lab, things: Documents) -> None:
    things.insert_many([{"id": "5", "rank": "5"}, {"id": "6", "rank": 5}])
    assert ids(things.find({"rank": 5})) == ["6"]
    assert ids(things.find({"rank": "5"})) == ["5"]
    store_lab.must("types")
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
