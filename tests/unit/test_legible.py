"""Any text becomes one that people can read and every store can hold."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.legible import legible
from common.store.values import flaw

ANY = st.text(st.characters(exclude_categories=()))  # lone surrogates too


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Zoë/日本", "Zoë/日本"),
        (os.fsdecode(b"caf\xe9"), "caf\\xe9"),
        ("a\ud800b", "a\\ud800b"),
        ("both \udce9 and \ud800", "both \\udce9 and \\ud800"),
        ("a\0b", "a\\x00b"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_odd_bytes_are_shown_and_the_rest_stays(text: str, shown: str) -> None:
    assert legible(text) == shown


@given(ANY)
def test_every_store_can_hold_what_it_says(text: str) -> None:
    assert flaw(legible(text)) == ""


@given(ANY)
def test_what_is_legible_stays_as_it_is(text: str) -> None:
    assert legible(legible(text)) == legible(text)
