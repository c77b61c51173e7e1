"""The unit protocol, exhaustively: no interleaving loses, doubles or revives a unit.

The search itself is proven able to fail: with any one guard of the repository taken out, it finds
a run that breaks a law.
"""

from __future__ import annotations

import pytest

from common.errors import IllegalTransition
from common.lifecycle.units import State
from tests.props.protocol import ONE_NAME, OWNERS, Broken, Change, Stage, Tamper
from tests.props.search import explore


@pytest.mark.parametrize("owners", [OWNERS, ONE_NAME])
def test_no_run_of_any_length_breaks_a_law(owners: tuple[str, str]) -> None:
    assert explore(Stage(owners=owners)) > 1_000


def without(acts: str, condition: str) -> Tamper:
    """A repository that forgets to check a condition at some acts."""

    def tamper(done: str, change: Change) -> None:
        if done in acts.split():
            assert condition in change.where
            change.where.pop(condition)

    return tamper


def unmoved(acts: str, field: str) -> Tamper:
    """A repository that forgets to count at some acts."""

    def tamper(done: str, change: Change) -> None:
        if done in acts.split():
            assert change.inc[field]
            change.inc[field] = 0

    return tamper


def unset(act: str, field: str, value: object) -> Tamper:
    """A repository that writes something else at an act."""

    def tamper(done: str, change: Change) -> None:
        if done == act:
            assert change.set[field] != value
            change.set[field] = value

    return tamper


def unguarded(act: str) -> Tamper:
    """A repository that looks at nothing but the name at an act."""

    def tamper(done: str, change: Change) -> None:
        if done == act:
            for condition in change.where.keys() - {"id"}:
                change.where.pop(condition)

    return tamper


MUTANTS: dict[str, Tamper] = {
    "a claim of any epoch": without("claim", "epoch"),
    "a claim of what somebody holds": without("claim", "owner"),
    "a claim of what is at an end": without("claim", "state"),
    "a claim that is no attempt": unmoved("claim", "attempts"),
    "a claim that names nobody": unset("claim", "owner", ""),
    "a claim that leaves the unit due": unset("claim", "due_at", 0.0),
    "a claim that leaves it queued": unset("claim", "state", State.QUEUED.value),
    "a report of any epoch": without("finish requeue quarantine", "epoch"),
    "a finish by anybody": unguarded("finish"),
    "a requeue by anybody": unguarded("requeue"),
    "a quarantine by anybody": unguarded("quarantine"),
    "a beat by anybody": unguarded("beat"),
    "a beat that does not count": unmoved("beat", "beat"),
    "a lapse that sees no sign of life": without("lapse", "beat"),
    "a sleep by any leader": unguarded("sleep"),
    "the same epoch after a requeue": unmoved("requeue", "epoch"),
    "the same epoch after a lapse": unmoved("lapse", "epoch"),
    "the same epoch after quarantine and release": unmoved("quarantine release", "epoch"),
    "a requeue that is never due": unset("requeue", "due_at", None),
    "a lapse that is never due": unset("lapse", "due_at", None),
    "a requeue that keeps its owner": unset("requeue", "owner", "c1"),
    "a finish that is not final": unset("finish", "state", State.QUEUED.value),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_search_finds_a_run_that_breaks_a_law_with(mutant: str) -> None:
    with pytest.raises((Broken, IllegalTransition)):
        explore(Stage(MUTANTS[mutant], ONE_NAME), most=50_000)


def test_the_search_finds_a_lost_wake_up_call_if_no_leader_looks_for_it() -> None:
    with pytest.raises(Broken, match="never done"):
        explore(Stage(), polls=False)
