"""Whatever is done to them, the stores answer alike: the model in memory is the law.

Hypothesis makes up what happens. The database is emptied, not made anew, for each story.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from common.errors import Conflict, Refused
from common.store.base import Cond, Doc, Documents, Shape, Where
from common.store.mql import document, plain
from common.store.sqlite import SqliteStore
from tests.memory import Collection, MemoryStore
from tests.servers.stores import exact

SHAPES = {"things": Shape(unique=(("house", "number"),), indexes=(("rank",), ("kind", "rank")))}
FIELDS = ("rank", "kind", "house", "number", "plain")
ORDERED = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, -1.5, 2.0]))
SCALARS = st.one_of(ORDERED, st.sampled_from(["", "a", "b", "é", "1", True, False, None]))
IDS = st.sampled_from(["a", "b", "c", "d", "e"])
FIELD = st.sampled_from(FIELDS)
DOCS = st.builds(
    lambda id_, fields: {"id": id_, **fields}, IDS, st.dictionaries(FIELD, SCALARS, max_size=5)
)
CONDS = st.one_of(
    st.builds(Cond, st.sampled_from(["<", "<=", ">", ">="]), ORDERED | st.sampled_from(["", "a"])),
    st.builds(Cond, st.just("!="), SCALARS),
    st.builds(Cond, st.just("in"), st.lists(SCALARS, max_size=4)),
)
WHERES = st.dictionaries(FIELD, SCALARS | CONDS, max_size=2)
WHERE_IDS = st.builds(lambda id_, rest: {"id": id_, **rest}, IDS, WHERES)
EXACTLY = st.builds(
    lambda id_, rest: {"id": id_, **rest}, IDS, st.dictionaries(FIELD, SCALARS, max_size=1)
)
SETS = st.dictionaries(FIELD, SCALARS, min_size=1, max_size=2)
INCS = st.dictionaries(st.sampled_from(["rank", "plain", "count"]), ORDERED, max_size=2)
CHANGES = st.builds(
    lambda set_, inc: {"set": set_, "inc": {k: v for k, v in inc.items() if k not in set_}},
    SETS,
    INCS,
)
ORDERS = st.sampled_from([("id",), ("rank", "id"), ("-rank", "-id"), ("kind", "-rank", "id")])
ACTS = st.one_of(
    st.tuples(st.just("insert"), DOCS),
    st.tuples(st.just("insert_many"), st.lists(DOCS, max_size=4)),
    st.tuples(st.just("change"), WHERE_IDS, CHANGES),
    st.tuples(st.just("upsert"), EXACTLY, CHANGES),
    st.tuples(st.just("remove"), WHERES),
    st.tuples(st.just("find"), WHERES, ORDERS, st.integers(0, 3)),
    st.tuples(st.just("page"), WHERES, st.tuples(SCALARS, IDS), st.booleans()),
    st.tuples(st.just("count"), WHERES),
    st.tuples(st.just("tally"), WHERES, st.lists(FIELD, max_size=2, unique=True)),
)
STORIES = st.lists(ACTS, min_size=3, max_size=25)


@pytest.fixture(scope="module")
def sqlite_things(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Documents]:
    store = SqliteStore(str(tmp_path_factory.mktemp("agree") / "state.db"), shapes=SHAPES)
    yield store.collection("things")
    store.close()


@settings(max_examples=150, deadline=None)
@given(acts=STORIES)
def test_sqlite_answers_as_the_model_does(
    sqlite_things: Documents, acts: list[tuple[Any, ...]]
) -> None:
    sqlite_things.remove({})
    model = MemoryStore(SHAPES).collection("things")
    for act in acts:
        assert _do(sqlite_things, *act) == _do(model, *act), act
    assert _all(sqlite_things) == _all(model)


class Careless(Collection):
    """A store that changes a document before it has looked at all conditions."""

    def change(self, where: Where, **change: Any) -> Doc | None:
        return super().change({"id": where["id"]}, **change)


def test_the_stories_find_a_store_that_skips_a_condition() -> None:
    def tells_apart(acts: list[tuple[Any, ...]]) -> bool:
        model, careless = Collection(SHAPES["things"]), Careless(SHAPES["things"])
        return any(_do(model, *act) != _do(careless, *act) for act in acts)

    quick = settings(max_examples=5000, deadline=None, phases=[Phase.generate], database=None)
    assert find(STORIES, tells_apart, settings=quick)


def _do(things: Documents, act: str, *how: Any) -> Any:
    """What one act answers, in a form that can be compared."""
    try:
        return _ANSWERS[act](things, *how)
    except (Conflict, Refused) as refusal:
        return type(refusal)


def _change(things: Documents, where: Doc, change: Doc, upsert: bool = False) -> str:
    return exact(things.change(where, **change, upsert=upsert))


def _page(things: Documents, where: Doc, after: Sequence[Any], down: bool) -> list[str]:
    order = ("-rank", "-id") if down else ("rank", "id")
    return [exact(doc) for doc in things.find(where, order=order, after=after)]


def _tally(things: Documents, where: Doc, by: list[str]) -> list[str]:
    groups = things.tally(where, by=by, sums=("count",))
    return sorted(exact([_kinds(key), many, float(sums[0])]) for key, many, sums in groups)


def _kinds(key: Sequence[Any]) -> list[Any]:
    """1 and 1.0 are one group, and any of them may stand for it."""
    return [float(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in key]


def _all(things: Documents) -> list[str]:
    return [exact(doc) for doc in things.find({}, order=("id",))]


_ANSWERS: dict[str, Any] = {
    "insert": lambda things, doc: things.insert(doc),
    "insert_many": lambda things, docs: things.insert_many(docs),
    "change": _change,
    "upsert": lambda things, where, change: _change(things, where, change, upsert=True),
    "remove": lambda things, where: things.remove(where),
    "find": lambda things, where, order, limit: [
        exact(doc) for doc in things.find(where, order=order, limit=limit)
    ],
    "page": _page,
    "count": lambda things, where: things.count(where),
    "tally": _tally,
}

KEYS = st.text(alphabet="ab.$%2E5 é", max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(value=JSON)
def test_a_document_comes_back_from_the_form_that_mongo_gets(value: Any) -> None:
    sent = document({"id": "d", "value": value})
    assert exact(plain(sent)) == exact({"id": "d", "value": value})
    assert not any(key == "" or "." in key or key[0] == "$" for key in _keys(sent))


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in cast("dict[str, Any]", value).items():
            yield key
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)
