"""Laws of cutting one huge file: its ranges cover it once, and every unit sees the same cut."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.endpoints.place import Item, Type
from consumer.users.cuts import PART, Cut, cut_of, part_for, revived

SIZE = st.integers(1, 5 << 40)  # up to what an S3 object can hold
RANGE = st.integers(1, 64 << 30)
# low surrogates stand for bytes of a name that is not UTF-8
NAME = st.text(
    st.characters(exclude_categories=["Cs"])
    | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF, exclude_categories=())
)
NUMBER = st.integers(-1, 2**63)
ITEM = st.builds(
    Item,
    NAME,
    st.sampled_from(Type),
    NUMBER,
    NUMBER,
    NUMBER,
    NUMBER,
    NUMBER,
    st.none() | st.tuples(NUMBER, NUMBER),
    NAME,
    NAME,
    NAME,
    NAME,
    st.booleans(),
)


def file(size: int, path: str = "big") -> Item:
    return Item(path, Type.FILE, size, mtime_ns=1, version="v")


def a_cut(size: int, most: int, place: str = "staging") -> Cut:
    """A cut of at most a few thousand ranges, as settings make them."""
    return Cut.of(file(size), place, max(most, size // 2000))


@given(SIZE, RANGE)
def test_the_ranges_cover_the_file_once_and_in_order(size: int, most: int) -> None:
    ranges = a_cut(size, most).ranges
    assert ranges[0][0] == 0 and ranges[-1][1] == size
    assert all(start < end for start, end in ranges)
    assert all(end == start for (_, end), (start, _) in pairwise(ranges))


@given(SIZE, RANGE)
def test_every_range_begins_with_a_whole_part_and_is_no_larger_than_asked_for(
    size: int, most: int
) -> None:
    cut = a_cut(size, most)
    assert all(start % cut.part == 0 for start, _ in cut.ranges)
    assert cut.size % cut.part == 0
    assert cut.size <= max(most, size // 2000, cut.part)


@given(SIZE)
def test_parts_are_such_as_s3_takes(size: int) -> None:
    part = part_for(file(size))
    assert -(-size // part) <= 10_000
    assert 5 << 20 <= part <= 5 << 30
    assert part % (1 << 20) == 0


@given(ITEM)
def test_an_item_survives_its_way_through_the_store(item: Item) -> None:
    assert revived(json.loads(json.dumps(item))) == item
    assert type(revived(json.loads(json.dumps(item))).type) is Type


@given(ITEM, NAME, st.integers(1, 9))
def test_every_unit_sees_the_same_cut(item: Item, place: str, count: int) -> None:
    cut = Cut.of(item._replace(size=count * PART), place, PART)
    assert {cut_of(json.loads(json.dumps(draft.data))) for draft in cut.drafts("ann")} == {cut}


@given(NAME)
def test_what_units_carry_can_be_kept_by_every_store(path: str) -> None:
    for draft in Cut.of(file(PART + 1, path), "place", PART).drafts("ann"):
        json.dumps(asdict(draft), ensure_ascii=False).encode()


def test_there_is_a_unit_for_each_range_and_one_that_joins_them_after_all() -> None:
    cut = Cut.of(file(2 * PART + 1), "staging", PART)
    *ranges, joining = cut.drafts("ann")
    assert [(d.job, d.data["start"]) for d in ranges] == [
        ("range", 0),
        ("range", PART),
        ("range", 2 * PART),
    ]
    assert {d.group for d in ranges} == set(joining.after)
    assert (joining.job, joining.group) == ("join", "ann/files")
    assert all(draft.key == "ann" and draft.wakes for draft in (*ranges, joining))
    assert len({(d.job, d.name) for d in (*ranges, joining)}) == 4


def test_planning_the_same_cut_again_plans_the_same_units() -> None:
    assert a_cut(9 * PART, PART).drafts("ann") == a_cut(9 * PART, PART).drafts("ann")


@pytest.mark.parametrize(
    "other",
    [
        Cut.of(file(9 * PART, "other"), "staging", PART),
        Cut.of(file(8 * PART), "staging", PART),
        Cut.of(file(9 * PART)._replace(mtime_ns=2), "staging", PART),
        Cut.of(file(9 * PART)._replace(version="w"), "staging", PART),
        Cut.of(file(9 * PART), "", PART),
    ],
)
def test_another_file_another_state_or_another_round_has_another_name(other: Cut) -> None:
    assert other.tag != Cut.of(file(9 * PART), "staging", PART).tag
