"""Several threads work on a run of items; each item once, and an error ends it for all."""

from __future__ import annotations

import threading

import pytest

from consumer.users.lanes import Lanes


@pytest.mark.parametrize("count", [1, 2, 8])
def test_every_item_is_worked_on_once(count: int) -> None:
    with Lanes(count) as lanes:
        assert sorted(lanes.each(lambda item: item * 2, range(1000))) == [
            number * 2 for number in range(1000)
        ]


def test_several_items_are_in_hand_at_once() -> None:
    together = threading.Barrier(4, timeout=30)
    with Lanes(4) as lanes:
        assert len(lanes.each(lambda _: together.wait(), range(4))) == 4


@pytest.mark.parametrize("count", [1, 4])
def test_an_error_is_raised_and_no_further_item_is_begun(count: int) -> None:
    begun: list[int] = []

    def act(item: int) -> None:
        begun.append(item)
        if item == 3:
            raise ValueError(item)

    with Lanes(count) as lanes, pytest.raises(ValueError, match="3"):
        lanes.each(act, range(100_000))
    assert len(begun) < 100_000


def test_lanes_can_be_used_again_after_an_error() -> None:
    with Lanes(4) as lanes:
        with pytest.raises(ZeroDivisionError):
            lanes.each(lambda item: 1 // item, [1, 0, 1])
        assert lanes.each(lambda item: item, [1, 2]) in ([1, 2], [2, 1])


def test_nothing_to_do_is_done() -> None:
    with Lanes(4) as lanes:
        assert lanes.each(str, []) == []
