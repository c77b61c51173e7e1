"""The report is a pure function of what the store says; it never says complete too early."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from common.model import Counts, Kind, Migration, Sums
from ops.report import Proofs, compose, overall, total

DIGEST = "ab" * 16
MOVED = Counts(items=10, moved=7, skipped=2, mended=1, bytes=100, bytes_moved=80)


def migration(**changes: Any) -> Migration:
    plain = Migration(
        id="users-1",
        kind=Kind.USERS,
        source="file:///old/{user}",
        target="file:///new/{user}",
        phase="done",
        version=3,
        generation=2,
        since=1050.0,
        started=1000.0,
        ended=1050.0,
        tenant="",
        hold=None,
        options={"check": "md5"},
        limits={},
        planned=2,
        cursor=None,
        notices=("the target cannot hold owners",),
    )
    return dataclasses.replace(plain, **changes)


def composed(
    seen: Migration | None = None,
    sums: Sums | None = None,
    *,
    listed: list[Any] | None = None,
    more: int = 0,
    last: float = 1040.0,
) -> dict[str, Any]:
    return compose(
        seen or migration(),
        {"user": sums or Sums(done=2, counts=MOVED)},
        Proofs(DIGEST, ["ann: pipe: not carried"], last, {"owner: not kept": 3}),
        listed or [],
        more=more,
        now=2000.0,
    )


def test_a_report_says_everything_a_program_may_ask_for() -> None:
    assert composed() == {
        "id": "users-1",
        "kind": "users",
        "tenant": "",
        "source": "file:///old/{user}",
        "target": "file:///new/{user}",
        "generation": 2,
        "phase": "done",
        "hold": None,
        "pass": "move",
        "check": "md5",
        "complete": True,
        "units": {"total": 2, "queued": 0, "running": 0, "done": 2, "quarantined": 0},
        "items": {"total": 10, "moved": 7, "skipped": 2, "mended": 1, "failed": 0},
        "bytes": {"total": 100, "moved": 80},
        "digest": DIGEST,
        "started": 1000.0,
        "ended": 1050.0,
        "seconds": 50.0,
        "refused": 0,
        "failures": [],
        "failures_total": 0,
        "notices": ["the target cannot hold owners", "ann: pipe: not carried"],
        "remarks": {"owner: not kept": 3},
    }


@pytest.mark.parametrize(
    "short",
    [
        {"seen": migration(phase="moving", ended=None)},
        {"seen": migration(phase="cancelled")},
        {"seen": migration(phase="planning", ended=None)},
        {"sums": Sums(done=1, quarantined=1, counts=MOVED)},
        {"sums": Sums(done=1, queued=1, counts=MOVED)},
        {"listed": [{"unit": "", "item": "line 3"}]},
        {"more": 1},
    ],
)
def test_whatever_is_wanting_it_is_not_complete(short: dict[str, Any]) -> None:
    assert composed(**short)["complete"] is False


def test_there_is_no_digest_before_every_unit_is_done() -> None:
    assert composed(sums=Sums(done=1, queued=1, counts=MOVED))["digest"] == ""


def test_what_waits_for_a_person_takes_no_more_time() -> None:
    stuck = composed(migration(phase="moving", ended=None), Sums(done=1, quarantined=1))
    assert stuck["seconds"] == 40.0
    going_on = composed(migration(phase="moving", ended=None), Sums(done=1, running=1))
    assert going_on["seconds"] == 1000.0


def test_a_verification_says_what_agrees_and_what_differs() -> None:
    seen = migration(options={"pass": "verify"})
    found = composed(seen, Sums(done=2, counts=Counts(items=9, skipped=9)))
    assert (found["pass"], found["verified"]) == ("verify", {"agree": 9, "differ": 0})


def test_two_passes_over_one_user_count_its_items_once() -> None:
    first = Counts(items=10, moved=8, skipped=2, bytes=100, bytes_moved=80)
    last = Counts(items=11, moved=1, skipped=10, bytes=110, bytes_moved=10)
    jobs = {"user": Sums(done=1, counts=first), "final": Sums(done=1, counts=last)}
    assert overall(jobs) == Counts(
        items=11, moved=9, skipped=2, mended=0, failed=0, bytes=110, bytes_moved=90
    )


def test_what_failed_in_the_first_pass_counts_while_the_last_has_not_begun() -> None:
    first = Counts(items=10, moved=8, failed=2)
    counted = overall({"user": Sums(done=1, counts=first), "final": Sums(queued=1)})
    assert (counted.items, counted.moved, counted.failed) == (10, 8, 2)


def test_the_sums_of_jobs_add_up() -> None:
    together = total(
        {
            "user": Sums(queued=1, done=2, counts=MOVED),
            "span": Sums(running=3, quarantined=4, counts=MOVED, live_items=5, live_bytes=6),
        }
    )
    assert together == Sums(
        queued=1,
        running=3,
        done=2,
        quarantined=4,
        counts=MOVED + MOVED,
        live_items=5,
        live_bytes=6,
    )
