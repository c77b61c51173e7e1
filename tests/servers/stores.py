"""Stores to hold to the contract: each driver with a place of its own, from any process.

A `Lab` opens its store as often as a test likes, here and in worker processes, and says what its
server is known to get wrong, so that such a test is an expected failure with its reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from common.store.base import Doc, Documents, Store
from tests.servers.mongo import Mongo
from tests.servers.places import open_store


@dataclass(frozen=True)
class Lab:
    """One driver and the place where it keeps the documents of one test."""

    name: str
    url: str
    faults: Mapping[str, str] = field(default_factory=dict)
    bulk: int = 100_000

    @property
    def several(self) -> int:
        """More documents than any driver handles at once, unless the server is slow."""
        return min(self.bulk // 50, 1300)

    def open(self) -> Store:
        return open_store(self.url)

    def must(self, what: str) -> None:
        """This test asks for what the server may be known to get wrong: then it ends here."""
        if what in self.faults:
            pytest.xfail(f"this server gets it wrong: {self.faults[what]}")


@pytest.fixture(params=["memory", "sqlite", "mongo"])
def store_lab(request: pytest.FixtureRequest) -> Lab:
    """Every store that keeps the contract within one process."""
    return _lab(request, str(request.param))


@pytest.fixture(params=["sqlite", "mongo"])
def shared_store_lab(request: pytest.FixtureRequest) -> Lab:
    """Every store that several processes can open."""
    return _lab(request, str(request.param))


def _lab(request: pytest.FixtureRequest, name: str) -> Lab:
    if name == "mongo":
        server: Mongo = request.getfixturevalue("mongo")
        return Lab(name, request.getfixturevalue("mongo_url"), server.faults, server.bulk)
    home: Path = request.getfixturevalue("tmp_path")
    return Lab(name, f"{name}://{home / 'store' / 'state.db'}")


def exact(value: Any) -> str:
    """Tells 1, 1.0 and True apart, which == does not."""
    return json.dumps(value, sort_keys=True)


def ids(found: Iterable[Doc]) -> list[str]:
    return [doc["id"] for doc in found]


@pytest.fixture
def document_store(store_lab: Lab) -> Iterator[Store]:
    ours = store_lab.open()
    yield ours
    ours.close()


@pytest.fixture
def things(document_store: Store) -> Documents:
    return document_store.collection("things")


@pytest.fixture
def seats(document_store: Store) -> Documents:
    """A collection with a unique key: house and number."""
    return document_store.collection("seats")
