"""What a server is said to get wrong it does get wrong: or else the contract must hold it to that.

An excuse that is no longer true would hide a part of the contract that could be tested.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from common.errors import Conflict, Refused
from common.store.base import Documents, Store, differs
from tests.servers.mongo import NX_FAULTS, Mongo
from tests.servers.places import open_store


def _types(things: Documents, seats: Documents) -> bool:
    things.insert_many([{"id": "true", "rank": True}, {"id": "one", "rank": 1}])
    return things.count({"rank": 1}) == 1


def _set(things: Documents, seats: Documents) -> bool:
    things.insert({"id": "d"})
    return things.change({"id": "d"}, set={"t": 0.1 + 0.2}) == {"id": "d", "t": 0.1 + 0.2}


def _objects(things: Documents, seats: Documents) -> bool:
    things.insert({"id": "d", "log": []})
    return things.change({"id": "d"}, push={"log": {"a": 1}}) == {"id": "d", "log": [{"a": 1}]}


def _silence(things: Documents, seats: Documents) -> bool:
    seats.insert_many([{"id": f"{n}", "house": 1, "number": n} for n in (1, 2)])
    try:
        seats.change({"id": "1"}, set={"number": 2})
    except (Conflict, Refused):
        return True
    return False


def _absence(things: Documents, seats: Documents) -> bool:
    seats.insert({"id": "a", "house": 1})
    return not seats.insert({"id": "b", "house": 1})


def _none(things: Documents, seats: Documents) -> bool:
    things.insert_many([{"id": "none", "rank": None}, {"id": "one", "rank": 1}])
    return things.count({"rank": None, "id": differs("x")}) == 1


RIGHT: dict[str, Callable[[Documents, Documents], bool]] = {
    "types": _types,
    "set": _set,
    "objects": _objects,
    "silence": _silence,
    "absence": _absence,
    "none": _none,
}


@pytest.fixture
def mongo_store(mongo_url: str) -> Store:
    return open_store(mongo_url)


@pytest.mark.parametrize("fault", NX_FAULTS)
def test_a_fault_is_there_exactly_where_it_is_said_to_be(
    mongo: Mongo, mongo_store: Store, fault: str
) -> None:
    things, seats = mongo_store.collection("things"), mongo_store.collection("seats")
    assert RIGHT[fault](things, seats) is (fault not in mongo.faults)
    mongo_store.close()
