"""Where tests keep documents: any driver at any place, with the collections that only tests have.

Imported by worker processes, of which tests start many: nothing here needs pytest.
"""

from __future__ import annotations

from collections.abc import Mapping

from common.store.base import Shape, Store
from common.store.mongo import MongoStore
from common.store.schema import SHAPES
from common.store.sqlite import SqliteStore
from tests.memory import MemoryStore

OURS: Mapping[str, Shape] = {
    **SHAPES,
    "things": Shape(indexes=(("rank",), ("state", "rank"))),
    "seats": Shape(unique=(("house", "number"),)),
}


def open_store(url: str, *, durable: bool = False) -> Store:
    """The store at `url`, with the collections that only tests have."""
    scheme, _, rest = url.partition("://")
    if scheme == "memory":
        return MemoryStore(OURS)
    if scheme == "sqlite":
        return SqliteStore(rest, durable=durable, shapes=OURS)
    return MongoStore(url, shapes=OURS)
