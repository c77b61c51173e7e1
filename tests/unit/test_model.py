"""The values that cross every boundary: how they add up, and that all wings know all kinds."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.lifecycle.registry import LIFECYCLES
from common.model import Check, Counts, Hold, Kind, Migration, Receipt, Sums, Unit
from consumer.registry import MOVERS
from producer.registry import PLANNERS

FIELDS = [field.name for field in dataclasses.fields(Counts)]
COUNTS = st.builds(Counts, *[st.integers(0, 99)] * len(FIELDS))


def test_every_wing_knows_every_kind_and_no_other() -> None:
    assert set(PLANNERS) == set(MOVERS) == set(LIFECYCLES) == set(Kind)


def test_every_kind_has_a_queue_of_its_own() -> None:
    assert len({planner.queue for planner in PLANNERS.values()}) == len(Kind)


@given(COUNTS, COUNTS)
def test_counts_add_up_field_by_field(one: Counts, two: Counts) -> None:
    for name in FIELDS:
        assert getattr(one + two, name) == getattr(one, name) + getattr(two, name)


@given(COUNTS)
def test_nothing_counted_changes_nothing(counts: Counts) -> None:
    assert counts + Counts() == counts


def test_open_is_what_is_not_at_an_end_yet() -> None:
    sums = Sums(queued=1, running=2, done=4, quarantined=8)
    assert (sums.open, sums.total) == (3, 15)


@pytest.mark.parametrize("value", [Counts(), Sums(), Receipt()])
def test_values_are_frozen(value: object) -> None:
    name = dataclasses.fields(value)[0].name  # type: ignore[arg-type]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, 1)


@pytest.mark.parametrize("kind", [Migration, Unit, Receipt])
def test_a_misspelt_field_is_no_field(kind: type) -> None:
    assert "__dict__" not in dir(kind)


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (Kind, {"users"}),
        (Check, {"md5", "manifest", "mtime", "size"}),
        (Hold, {"paused", "draining"}),
    ],
)
def test_these_words_are_written_in_stores_and_never_change(
    words: type[Kind] | type[Check] | type[Hold], values: set[str]
) -> None:
    assert {word.value for word in words} == values
