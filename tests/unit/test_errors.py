"""Errors say what to do; foreign ones become ours at the edge, with the cause kept."""

from __future__ import annotations

import inspect
from datetime import timedelta

import pytest

from common import errors
from common.errors import (
    Backpressure,
    Changing,
    ConvoyError,
    Denied,
    Held,
    Missing,
    Occupied,
    Permanent,
    Transient,
    translate,
)

ALL = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, ConvoyError) and kind is not ConvoyError
]
# what a program does with them by itself, without telling anybody
QUIET = {"Conflict", "Stale", "IllegalTransition"}


@pytest.mark.parametrize("kind", ALL)
def test_every_error_that_an_operator_may_meet_says_what_to_do(kind: type[ConvoyError]) -> None:
    assert bool(kind.hint) != (kind.__name__ in QUIET)


@pytest.mark.parametrize("kind", ALL)
def test_every_error_belongs_to_one_way_of_dealing_with_it(kind: type[ConvoyError]) -> None:
    ways = [Transient, Backpressure, Permanent, errors.Conflict, errors.Stale]
    assert sum(issubclass(kind, way) for way in [*ways, errors.IllegalTransition]) == 1


def test_a_hint_of_its_own_outweighs_that_of_its_kind() -> None:
    assert Missing("gone").hint == Missing.hint
    assert Missing("gone", hint="look again").hint == "look again"
    assert Missing.hint != "look again"


def test_backpressure_says_how_long() -> None:
    error = Held("paused", retry_in=timedelta(seconds=3))
    assert (str(error), error.retry_in, error.hint) == (
        "paused",
        timedelta(seconds=3),
        Backpressure.hint,
    )


def test_a_foreign_error_becomes_ours_and_stays_the_cause() -> None:
    foreign = ConnectionResetError("reset by peer")
    with pytest.raises(Transient) as caught, translate({OSError: Transient}, "bucket"):
        raise foreign
    assert str(caught.value) == "bucket: reset by peer"
    assert caught.value.__cause__ is foreign


def test_without_a_subject_the_words_are_those_of_the_foreign_error() -> None:
    with pytest.raises(Transient) as caught, translate({OSError: Transient}):
        raise OSError("full")
    assert str(caught.value) == "full"


def test_of_two_entries_that_match_the_first_counts() -> None:
    table: dict[type[BaseException], type[ConvoyError]] = {
        PermissionError: Denied,
        OSError: Transient,
    }
    with pytest.raises(Denied), translate(table):
        raise PermissionError("no")
    with pytest.raises(Transient), translate(table):
        raise FileNotFoundError("no")


@pytest.mark.parametrize("error", [ValueError("mine"), Occupied("ours"), Changing("ours")])
def test_what_the_table_does_not_name_passes_unchanged(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, translate({OSError: Transient}, "bucket"):
        raise error
    assert caught.value is error


def test_what_goes_well_is_left_alone() -> None:
    done = []
    with translate({OSError: Transient}):
        done.append(1)
    assert done == [1]
