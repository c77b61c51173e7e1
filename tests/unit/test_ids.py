"""Names are derived, so that the same thing planned twice is one thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.ids import migration_id, short, unit_id

WORD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3)
PARTS = st.lists(WORD, min_size=1, max_size=3).map(tuple)


@given(PARTS, PARTS)
def test_different_parts_have_different_names(one: tuple[str, ...], two: tuple[str, ...]) -> None:
    assert (short(*one) == short(*two)) == (one == two)


@pytest.mark.parametrize("odd", ["caf\udce9", "日本", "../x", "a\nb", ""])
def test_any_key_has_a_harmless_name(odd: str) -> None:
    assert short(odd).isalnum() and len(short(odd)) == 16
    assert unit_id("users-1", 1, "user", odd, "").startswith("users-1.1.")


def test_names_stay_the_same_for_ever() -> None:
    assert migration_id("users", "file:///old/{user}", "file:///new/{user}") == "users-6f31ba4d2f"
    assert unit_id("users-1", 2, "user", "ann", "") == "users-1.2.11fa5dac75c678b0"


def test_every_part_of_a_unit_is_in_its_name() -> None:
    names = {
        unit_id("m", 1, "user", "ann", ""),
        unit_id("n", 1, "user", "ann", ""),
        unit_id("m", 2, "user", "ann", ""),
        unit_id("m", 1, "span", "ann", ""),
        unit_id("m", 1, "user", "bob", ""),
        unit_id("m", 1, "user", "ann", "0"),
    }
    assert len(names) == 6


def test_source_and_target_are_not_interchangeable() -> None:
    assert migration_id("users", "a", "b") != migration_id("users", "b", "a")
