"""The document port's contract, which every driver keeps: documents come back as they were given.

This file and its neighbours `test_store_*` run against both drivers, and against the store in
memory that other tests stand on. A server that is known to get a point wrong fails it expectedly,
with the reason shown.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

import pytest

from common.errors import Conflict, Permanent, Refused
from common.store.base import (
    Doc,
    Documents,
    Store,
    among,
)
from tests.servers.stores import Lab, exact, ids


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


@pytest.mark.parametrize("name", VALUES)
def test_a_document_comes_back_as_it_was_given(things: Documents, name: str) -> None:
    doc = {"id": "d", "value": VALUES[name]}
    assert things.insert(doc)
    assert exact(things.get("d")) == exact(doc)
    assert exact(list(things.find({}))) == exact([doc])


@pytest.mark.parametrize("name", VALUES)
def test_what_was_set_comes_back_as_it_was_given(
    store_lab: Lab, things: Documents, name: str
) -> None:
    if name in DIGITS:
        store_lab.must("set")
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


def test_what_a_store_returns_is_not_what_it_keeps(store_lab: Lab, things: Documents) -> None:
    if store_lab.name == "memory":
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


def test_none_and_missing_are_one_value_of_a_unique_key(store_lab: Lab, seats: Documents) -> None:
    store_lab.must("absence")
    assert seats.insert({"id": "a", "house": 1})
    assert not seats.insert({"id": "b", "house": 1, "number": None})
    assert seats.insert({"id": "c", "house": 2})


def test_a_change_into_a_taken_unique_key_is_a_conflict(store_lab: Lab, seats: Documents) -> None:
    seats.insert_many([{"id": str(n), "house": 1, "number": n} for n in (1, 2)])
    with pytest.raises(Conflict):
        seats.change_many({"id": "1"}, set={"number": 2})
    store_lab.must("silence")
    with pytest.raises(Conflict):
        seats.change({"id": "1"}, set={"number": 2})
    with pytest.raises(Conflict):
        seats.change({"id": "3", "house": 1}, set={"number": 2}, upsert=True)
    assert [doc["number"] for doc in seats.find({}, order=("id",))] == [1, 2]


def test_a_collection_that_was_not_declared_is_refused(document_store: Store) -> None:
    with pytest.raises(Refused, match=re.escape("'nonsense'")):
        document_store.collection("nonsense")


def test_collections_do_not_see_each_other(document_store: Store) -> None:
    document_store.collection("things").insert({"id": "d"})
    assert document_store.collection("seats").get("d") is None
    assert document_store.collection("seats").insert({"id": "d"})


def test_documents_outlive_the_store_that_wrote_them(store_lab: Lab) -> None:
    if store_lab.name == "memory":
        pytest.skip("keeps nothing")
    first = store_lab.open()
    first.collection("things").insert({"id": "d", "rank": 1})
    first.close()
    second = store_lab.open()
    assert ids(second.collection("things").find({"rank": 1})) == ["d"]
    second.close()


def test_a_closed_store_is_not_used_again(store_lab: Lab) -> None:
    if store_lab.name == "memory":
        pytest.skip("has nothing to close")
    store = store_lab.open()
    things = store.collection("things")
    things.insert({"id": "d"})
    store.close()
    with pytest.raises(Permanent, match="closed"):
        things.get("d")
