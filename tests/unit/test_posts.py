"""What a watchdog does about a post follows from what is wanted, seen and remembered alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest

from common.presence import Seen, Sign
from common.process import Who
from ops.host.judge import (
    FALLS,
    LEAVE,
    NOW,
    RESTLESS,
    SHORT,
    Act,
    Limits,
    Past,
    Verdict,
    judge,
)
from ops.host.roles import ROLES
from tests.factories import settings_for

LIMITS = Limits(grace=10, first_sign=120, pause=5, pause_most=600)
NOW_TICK = 100_000.0
LEASE = 60.0


def who(since: float = 1000.0, pid: int = 4711) -> Who:
    """A process that was started so many seconds ago."""
    return Who(pid, int((NOW_TICK - since) * 100), "this boot")


def sign(age: float = 1.0, *, turned: float | None = 1.0, **said: object) -> Sign:
    """A sign of life, and how long ago the parent's loop turned when it was given."""
    tick = NOW_TICK - age
    when = 0.0 if turned is None else tick - turned
    return replace(Sign("this boot", 4712, tick, tick + LEASE, turned=when), **said)  # type: ignore[arg-type]


def manned(age: float = 1.0, *, since: float = 1000.0, **said: object) -> Seen:
    """Somebody who holds the lock, and gave a sign."""
    return Seen("consumer", "c01@h", True, who(since), sign(age, **said))  # type: ignore[arg-type]


EMPTY = Seen("consumer", "c01@h", False)


def look(
    seen: Seen,
    past: Past | None = None,
    *,
    wanted: bool = True,
    later: float = 0.0,
    stopped: bool = False,
) -> Verdict:
    return judge(seen, past or Past(), NOW_TICK + later, LIMITS, wanted=wanted, stopped=stopped)


def test_what_is_wanted_and_absent_is_started_and_what_is_there_is_left_alone() -> None:
    assert look(EMPTY).act is Act.START
    assert look(EMPTY, wanted=False).act is Act.REST
    assert look(manned()).act is Act.REST


def test_only_who_is_absent_is_ever_started() -> None:
    """All of a small world: whatever is held, whatever is remembered, nobody is doubled."""
    pasts = [
        Past(),
        Past(started=NOW_TICK - 5, up=True, seen=NOW_TICK - 5),
        Past(started=NOW_TICK - 500, up=True, seen=NOW_TICK - 5, falls=7, due=NOW_TICK - 1),
        Past(told=NOW_TICK - 500, pid=4711, why=NOW),
    ]
    holders = [
        Seen("consumer", "c01@h", True),
        Seen("consumer", "c01@h", True, who()),
        *(manned(age) for age in (0, 50, 70, 500)),
    ]
    for seen, past, wanted, stopped in product(holders, pasts, (True, False), (True, False)):
        assert look(seen, past, wanted=wanted, stopped=stopped).act is not Act.START


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (manned(LEASE + 1), "no sign for 61 s"),
        (manned(2 * LEASE, talking=True, turned=None), ""),
        (manned(3 * LEASE + 1, talking=True), "no sign for 181 s"),
        (manned(turned=LEASE + 1), "its loop stands still"),
        (manned(turned=LEASE + 1, unit="u1"), ""),
        (manned(turned=None), ""),
        (Seen("consumer", "c01@h", True, who(119)), ""),
        (Seen("consumer", "c01@h", True, who(121)), "gave no sign in 121 s"),
    ],
)
def test_hung_is_who_is_late_with_the_sign_that_was_promised(seen: Seen, why: str) -> None:
    found = look(seen)
    assert found.act is (Act.END if why else Act.REST)
    assert found.why.startswith(why)


def test_who_hangs_is_told_once_then_killed_and_then_started_again_at_once() -> None:
    seen = manned(LEASE + 1)
    told = look(seen)
    assert (told.act, told.hasty) == (Act.END, True)
    assert look(seen, told.past, later=9).act is Act.REST
    killed = look(seen, told.past, later=11)
    assert killed.act is Act.KILL
    again = look(replace(EMPTY, sign=seen.sign), killed.past, later=12)
    assert (again.act, again.why) == (Act.START, "ended because it was hung")
    assert again.past.falls == 0


def test_who_was_stopped_by_a_signal_cannot_listen_and_is_killed_without_grace() -> None:
    first = look(manned(1), stopped=True)
    assert (first.act, first.hasty) == (Act.REST, True)
    told = look(manned(1), first.past, later=LEASE + 1, stopped=True)
    assert told.act is Act.END
    assert look(manned(1), told.past, later=LEASE + 2, stopped=True).act is Act.KILL


def test_who_goes_on_after_a_stop_is_forgiven() -> None:
    first = look(manned(1), stopped=True)
    again = look(manned(1), first.past, later=30)
    assert look(manned(1), again.past, later=50, stopped=True).act is Act.REST


def test_a_talk_with_the_store_excuses_nobody_who_was_stopped_in_it() -> None:
    assert look(manned(LEASE + 1, talking=True), stopped=True).act is Act.END
    assert look(manned(LEASE + 1, talking=True)).act is Act.REST


def test_a_lock_that_changes_hands_is_nobody_to_judge() -> None:
    assert look(Seen("consumer", "c01@h", True, None, sign(5000))).act is Act.REST


def test_who_is_not_wanted_is_told_once_and_may_finish_what_it_has() -> None:
    told = look(manned(), wanted=False)
    assert told.act is Act.TELL
    working = manned(-1000)
    assert look(working, told.past, wanted=False, later=1001).act is Act.REST


def test_who_was_told_to_end_is_not_started_again_unless_it_is_wanted_again() -> None:
    told = look(manned(), wanted=False)
    assert look(EMPTY, told.past, wanted=False, later=5).act is Act.REST
    again = look(EMPTY, told.past, wanted=True, later=5)
    assert (again.act, again.past.falls) == (Act.START, 0)


def test_who_ends_may_fall_silent_before_it_is_gone() -> None:
    told = look(manned(), wanted=False)
    assert look(manned(), told.past, wanted=False, later=LEASE + LEAVE - 2).act is Act.REST
    assert look(manned(), told.past, wanted=False, later=LEASE + LEAVE + 2).act is Act.END


def test_who_does_not_give_its_unit_back_in_time_is_killed() -> None:
    past = Past(told=NOW_TICK, pid=4711, why=NOW)
    assert look(manned(), past, later=LEAVE - 1).act is Act.REST
    assert look(manned(-LEAVE), past, later=LEAVE + 1).act is Act.KILL


def test_another_process_of_the_same_post_was_not_told() -> None:
    past = Past(told=NOW_TICK - 5, pid=1, why=NOW)
    assert look(manned(), past).past.told == 0


def die_early(past: Past, at: float) -> Verdict:
    """A death one second after the start that is remembered; the next look as soon as it is due."""
    found = judge(EMPTY, past, at, LIMITS, wanted=True)
    while found.act is Act.WAIT:
        at = found.past.due
        found = judge(EMPTY, found.past, at, LIMITS, wanted=True)
    assert found.act is Act.START
    return found


def test_early_deaths_are_waited_for_longer_and_longer_up_to_a_limit() -> None:
    past, at, pauses = look(EMPTY).past, NOW_TICK, []
    for _ in range(9):
        at += 1
        found = judge(EMPTY, past, at, LIMITS, wanted=True)
        assert found.act is Act.WAIT
        pauses.append(found.past.due - at)
        past = die_early(found.past, at).past
        at = past.started
    assert pauses == [5, 10, 20, 40, 80, 160, 320, 600, 600]


def test_early_deaths_in_a_row_raise_one_alarm() -> None:
    past, at, alarms = look(EMPTY).past, NOW_TICK, []
    for _ in range(FALLS + 2):
        found = judge(EMPTY, past, at + 1, LIMITS, wanted=True)
        alarms.append(found.alarm)
        past = die_early(found.past, at + 1).past
        at = past.started
    assert [bool(alarm) for alarm in alarms] == [False] * (FALLS - 1) + [True, False, False]


def test_a_death_after_ten_seconds_does_not_count() -> None:
    past = Past(started=NOW_TICK - 100, up=True, seen=NOW_TICK - 100 + SHORT, falls=2)
    found = look(EMPTY, past)
    assert (found.act, found.past.falls) == (Act.START, 0)


def test_the_last_sign_proves_a_life_that_no_watchdog_saw() -> None:
    past = Past(started=NOW_TICK - 100, up=True, seen=NOW_TICK - 100)
    assert look(EMPTY, past).act is Act.WAIT
    assert look(replace(EMPTY, sign=sign(40)), past).act is Act.START


def test_who_never_gave_a_sign_and_was_ended_for_it_died_early() -> None:
    past = Past(started=NOW_TICK - 200, up=True, seen=NOW_TICK - 60, told=1, pid=4711, why="hung")
    assert look(EMPTY, past).act is Act.WAIT


def test_who_lives_on_is_forgiven_what_it_was_before() -> None:
    past = Past(started=NOW_TICK - 11, up=True, seen=NOW_TICK - 6, falls=4, alarmed="died")
    found = look(manned(since=11), past)
    assert (found.past.falls, found.past.alarmed) == (0, "")


def test_restlessness_is_an_alarm_even_if_each_life_was_long_enough() -> None:
    starts = tuple(NOW_TICK - 200 * number for number in range(RESTLESS))
    past = Past(started=NOW_TICK - 200, up=True, seen=NOW_TICK - 100, starts=starts)
    found = look(EMPTY, past)
    assert (found.act, "within an hour" in found.alarm) == (Act.START, True)
    assert look(manned(), found.past, later=20).past.alarmed
    calm = look(manned(-3600), found.past, later=3601)
    assert not calm.past.alarmed


def test_a_late_sign_makes_the_next_look_come_soon() -> None:
    assert not look(manned(LEASE / 4)).hasty
    assert look(manned(LEASE / 2)).hasty


def test_the_names_of_posts_are_numbers_and_nothing_else_is_one() -> None:
    consumer = ROLES["consumer"]
    assert [consumer.post(number) for number in (1, 10, 100)] == ["c01", "c10", "c100"]
    assert [consumer.number(name) for name in ("c01", "c10", "c100")] == [1, 10, 100]
    assert [consumer.number(name) for name in ("c1", "c001", "x01", "c", "p01", "c1x")] == [
        None
    ] * 6


def test_roles_do_not_share_names() -> None:
    letters = [role.letter for role in ROLES.values()]
    assert len(set(letters)) == len(letters)
    assert all(role.name == name for name, role in ROLES.items())


def test_limits_come_from_the_settings(tmp_path: Path) -> None:
    limits = Limits.of(settings_for(tmp_path, watch_grace=timedelta(0)))
    assert limits == Limits(grace=0, first_sign=120, pause=5, pause_most=600)
