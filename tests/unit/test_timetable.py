"""Which limit holds when: a timetable read at any time of the day."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Refused
from common.throttle import current

DAY = "08:00-18:00=50MiB/s,200MiB/s"
NIGHT = "22:30-06:00=off,1k"
HOUR = st.times().map(lambda t: t.strftime("%H:%M"))


def at(clock: str, *, day: int = 1) -> float:
    hour, minute = map(int, clock.split(":"))
    return datetime(2026, 3, day, hour, minute, 59, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "clock", "rate"),
    [
        ("500/s", "12:00", 500),
        (" 1.5k ", "12:00", 1500),
        ("off", "12:00", None),
        ("0", "12:00", 1),
        (DAY, "07:59", 200 << 20),
        (DAY, "08:00", 50 << 20),
        (DAY, "17:59", 50 << 20),
        (DAY, "18:00", 200 << 20),
        (NIGHT, "22:29", 1000),
        (NIGHT, "22:30", None),
        (NIGHT, "23:59", None),
        (NIGHT, "00:00", None),
        (NIGHT, "05:59", None),
        (NIGHT, "06:00", 1000),
        ("08:00-18:00=5", "20:00", None),
        ("08:00-18:00=5 , 17:00-20:00 = 7", "17:30", 5),
        ("08:00-18:00=5 , 17:00-20:00 = 7", "19:00", 7),
    ],
)
def test_the_first_entry_that_matches_holds(text: str, clock: str, rate: int | None) -> None:
    assert current(text, at(clock)) == rate


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fast",
        "5,",
        "8:00-18:00=5",
        "08:00=5",
        "08:00-24:00=5",
        "08:60-09:00=5",
        "=5",
        "08:00-18:00=",
        "08:00-18:00=soon",
        "200MiB/s,08:00-18:00=soon",
    ],
)
def test_a_timetable_that_nobody_understands_is_refused_whatever_the_time(text: str) -> None:
    for clock in ("00:00", "12:00", "23:59"):
        with pytest.raises(Refused):
            current(text, at(clock))


@given(HOUR, HOUR, HOUR)
def test_hours_and_the_rest_of_the_day_make_a_day(first: str, last: str, clock: str) -> None:
    inside = current(f"{first}-{last}=1,2", at(clock)) == 1
    rest = current(f"{last}-{first}=1,2", at(clock)) == 1
    assert inside != rest or first == last


@given(HOUR)
def test_every_day_is_alike(clock: str) -> None:
    assert len({current(DAY, at(clock, day=day)) for day in range(1, 8)}) == 1
