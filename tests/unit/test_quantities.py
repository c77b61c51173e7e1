"""Sizes, rates and spans: what people write is understood exactly, or refused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Refused
from common.quantities import show_size, show_span, size, span

NO_SIZES = ["", " ", "much", "-1", "+1", "1e3", "1,5k", "1.k", ".5k", "1kk", "5x", "5 kb kb", "1 2"]
NO_SIZES += ["1/m", "1/s/s", "5 seconds", "0x10", "٣", "5\u212a", "inf", "nan"]
COUNT = st.integers(0, 2**63 - 1)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("4096", 4096),
        ("500/s", 500),
        ("500 / s", 500),
        ("200MiB/s", 200 << 20),
        ("1.5 GB", 1_500_000_000),
        ("1.5GiB", 3 << 29),
        ("2k", 2000),
        ("2K", 2000),
        ("2KB", 2000),
        ("2kib", 2048),
        ("1T", 10**12),
        ("1 PiB ", 1 << 50),
        ("7b", 7),
        ("1.001k", 1001),
        ("0.3", 0),
        ("9007199254740993", 2**53 + 1),
    ],
)
def test_a_size_is_what_it_says(text: str, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize(("power", "letter"), list(enumerate("KMGTP", 1)))
def test_with_an_i_a_unit_is_a_power_of_1024_and_without_of_1000(power: int, letter: str) -> None:
    assert size(f"3{letter}") == size(f"3{letter}B") == 3 * 1000**power
    assert size(f"3{letter}i") == size(f"3{letter}iB") == 3 * 1024**power
    assert show_size(1.5 * 1024**power) == f"1.5 {letter}iB"


@pytest.mark.parametrize("text", NO_SIZES)
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Refused, match="is no size") as caught:
        size(text)
    assert "200MiB" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("2s", 2),
        ("30", 30),
        ("500ms", 0.5),
        ("18m", 1080),
        ("18 min", 1080),
        ("1.5h", 5400),
        ("2D", 172800),
    ],
)
def test_a_span_is_what_it_says(text: str, seconds: float) -> None:
    assert span(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    ["", "soon", "-2s", "2 weeks", "5/s", "1h30m", "1e3s", "99999999999d", "9" * 400, "1.m"],
)
def test_what_is_no_span_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Refused, match="is no time span") as caught:
        span(text)
    assert "500ms" in caught.value.hint


@given(COUNT)
def test_a_count_is_read_as_it_is_written(count: int) -> None:
    assert size(str(count)) == size(f"{count}B") == size(f" {count} /s") == count


@given(COUNT, st.sampled_from(["", "k", "Mi", "G", "Ti"]))
def test_twice_the_number_is_twice_the_size(count: int, unit: str) -> None:
    assert size(f"{2 * count}{unit}") == 2 * size(f"{count}{unit}")


@given(COUNT)
def test_a_size_that_is_shown_can_be_read_back_to_one_part_in_twenty(count: int) -> None:
    assert size(show_size(count)) == pytest.approx(count, rel=0.05)


@given(COUNT, COUNT)
def test_of_two_sizes_the_larger_never_looks_smaller(one: int, two: int) -> None:
    less, more = sorted((one, two))
    assert size(show_size(less)) <= size(show_size(more))


@given(st.floats(0, 2**63))
def test_a_shown_size_is_never_a_thousand_of_a_unit(count: float) -> None:
    assert float(show_size(count).split()[0]) < 1024 or "PiB" in show_size(count)


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1023.7, "1.0 KiB"),
        (1536, "1.5 KiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        (200 << 20, "200.0 MiB"),
        (5 << 40, "5.0 TiB"),
        (5 << 50, "5.0 PiB"),
        (5000 << 50, "5000.0 PiB"),
        (-1536, "-1.5 KiB"),
    ],
)
def test_a_size_is_shown_with_the_unit_that_fits(count: float, shown: str) -> None:
    assert show_size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (65, "1m05s"),
        (3599.4, "59m59s"),
        (3599.6, "1h00m"),
        (4000, "1h06m"),
        (90_000, "25h00m"),
    ],
)
def test_a_span_is_shown_in_two_parts_at_most(seconds: float, shown: str) -> None:
    assert show_span(seconds) == shown
