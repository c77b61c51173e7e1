"""Stillness: how long a counter stood still by one's own monotonic clock, and by nothing else."""

from __future__ import annotations

import time
from collections.abc import Hashable
from datetime import timedelta

import pytest

from common.clock import Clock, Stillness
from tests.factories import Turned

ZERO = timedelta(0)
TICK = timedelta(seconds=1)


@pytest.fixture
def turned() -> Turned:
    return Turned()


@pytest.fixture
def still(turned: Turned) -> Stillness:
    return Stillness(turned.clock())


def test_what_is_seen_for_the_first_time_has_not_stood_still(still: Stillness) -> None:
    assert still.of("unit", 1) == ZERO


def test_a_counter_stands_still_from_when_it_was_seen_to_differ(
    still: Stillness, turned: Turned
) -> None:
    still.of("unit", 1)
    turned.turn(2 * TICK)
    assert still.of("unit", 1) == 2 * TICK
    turned.turn(TICK)
    assert still.of("unit", 2) == ZERO
    turned.turn(TICK)
    assert still.of("unit", 2) == TICK


def test_a_counter_that_goes_back_has_moved_too(still: Stillness, turned: Turned) -> None:
    still.of("unit", 5)
    turned.turn(TICK)
    assert still.of("unit", 4) == ZERO


def test_each_key_has_a_time_of_its_own(still: Stillness, turned: Turned) -> None:
    still.of("one", 1)
    turned.turn(TICK)
    still.of("two", 1)
    turned.turn(TICK)
    assert (still.of("one", 1), still.of("two", 1)) == (2 * TICK, TICK)


def test_the_wall_clock_plays_no_part(still: Stillness, turned: Turned) -> None:
    still.of("unit", 1)
    turned.now += 3600
    assert still.of("unit", 1) == ZERO
    turned.now -= 7200
    turned.ticks += 1
    assert still.of("unit", 1) == TICK


def test_what_is_not_kept_is_forgotten(still: Stillness, turned: Turned) -> None:
    for key in ("one", "two"):
        still.of(key, 1)
    turned.turn(TICK)
    kept: set[Hashable] = {"one", "never seen"}
    still.keep(kept)
    assert (still.of("one", 1), still.of("two", 1)) == (TICK, ZERO)


def test_two_judges_know_nothing_of_each_other(turned: Turned) -> None:
    first = Stillness(turned.clock())
    first.of("unit", 1)
    turned.turn(TICK)
    assert Stillness(turned.clock()).of("unit", 1) == ZERO


def test_the_real_clock_is_the_machines() -> None:
    clock, before = Clock(), (time.time(), time.monotonic())
    assert clock.wall() >= before[0] and clock.tick() >= before[1]
    assert clock.sleep is time.sleep
