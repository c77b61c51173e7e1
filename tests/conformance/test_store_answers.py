"""Every store answers in the order that was asked for, in pages that fit together, and in sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from common.errors import Refused
from common.store.base import (
    Doc,
    Documents,
    Scalar,
    above,
    differs,
)
from tests.servers.stores import Lab, exact, ids

UPWARD: dict[str, list[Scalar]] = {
    "numbers": [None, -1, 0.5, 1, 1.5, 2**60],
    "texts": [None, "", "1", "Z", "a", "é", "\ue000", "\U0001f69a"],
}


@pytest.mark.parametrize("kind", UPWARD)
def test_none_comes_first_then_what_is_larger(things: Documents, kind: str) -> None:
    docs = [{"id": f"{n}", "rank": v, "plain": v} for n, v in enumerate(UPWARD[kind])]
    things.insert_many([*docs[::-1], {"id": "00"}])  # missing is None, and then the id decides
    expected = ["0", "00", *(doc["id"] for doc in docs[1:])]
    for field in ("rank", "plain"):  # with an index and without
        assert ids(things.find({}, order=(field, "id"))) == expected
        assert ids(things.find({}, order=(f"-{field}", "-id"))) == expected[::-1]


def test_an_order_may_go_two_ways(things: Documents) -> None:
    things.insert_many([{"id": f"{a}{b}", "rank": a, "plain": b} for a in (1, 2) for b in (1, 2)])
    assert ids(things.find({}, order=("rank", "-plain"))) == ["12", "11", "22", "21"]
    assert ids(things.find({}, order=("-rank", "plain"))) == ["21", "22", "11", "12"]


def test_a_limit_ends_the_answer(store_lab: Lab, things: Documents) -> None:
    most = store_lab.several
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
    store_lab: Lab, things: Documents, field: str, way: str, holes: list[None]
) -> None:
    if holes:
        store_lab.must("none")
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


def test_an_answer_is_not_disturbed_by_changes_that_it_causes(
    store_lab: Lab, things: Documents
) -> None:
    docs = [{"id": f"{n}", "rank": n, "state": "in"} for n in range(store_lab.several)]
    things.insert_many(docs)
    for doc in things.find({"state": "in"}, order=("rank",)):
        things.change({"id": doc["id"]}, set={"state": "out"})
    assert things.count({"state": "out"}) == store_lab.several


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


def test_a_tally_by_several_fields_has_a_group_for_each_combination(things: Documents) -> None:
    docs: list[Doc] = [
        {"id": f"{n}", "state": s, "rank": n % 2, "n": n}
        for n, s in enumerate(("in", "in", "in", "out", None))
    ]
    things.insert_many(docs)
    found = sorted(map(exact, things.tally({"n": above(0)}, by=("state", "rank"), sums=("n",))))
    assert found == sorted(
        map(
            exact,
            [
                (("in", 0), 1, (2,)),
                (("in", 1), 1, (1,)),
                (("out", 1), 1, (3,)),
                ((None, 0), 1, (4,)),
            ],
        )
    )
    assert things.tally({"state": "in", "n": above(2)}, by=("state", "rank")) == []


def test_a_tally_by_several_fields_tells_their_kinds_apart(
    store_lab: Lab, things: Documents
) -> None:
    store_lab.must("types")
    values: list[Scalar] = [True, 1, "1", None]
    docs = [{"id": f"{n}{v!r}", "a": v, "rank": n % 2} for n in range(3) for v in values]
    things.insert_many([*docs, {"id": "bare", "rank": 0}])
    found = {(exact(key), many) for key, many, _ in things.tally({}, by=("a", "rank"))}
    expected = {(exact([v, 0]), 2) for v in values[:3]} | {(exact([v, 1]), 1) for v in values}
    assert found == expected | {(exact([None, 0]), 3)}
