"""Proofs: of one item, of a file in ranges, and of many items in any order."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.digest import EMPTY, Sum, composite, md5, proof

SHARES = st.lists(st.integers(0, 2**128 - 1))
ITEM = st.tuples(
    st.text(max_size=3), st.text(max_size=3), st.sampled_from(["file", "link"]), st.integers(0, 9)
)


def summed(shares: list[int]) -> str:
    total = Sum()
    for share in shares:
        total.add(share)
    return total.hex()


def test_a_running_md5_is_the_md5() -> None:
    running = md5(b"a")
    running.update(memoryview(b"bc"))
    assert running.hexdigest() == "900150983cd24fb0d6963f7d28e17f72"
    assert md5().hexdigest() == EMPTY == "d41d8cd98f00b204e9800998ecf8427e"


@given(SHARES, st.randoms())
def test_any_order_gives_the_same_digest(shares: list[int], dice: random.Random) -> None:
    shuffled = list(shares)
    dice.shuffle(shuffled)
    assert summed(shuffled) == summed(shares)


@given(st.lists(SHARES))
def test_any_partition_gives_the_same_digest(parts: list[list[int]]) -> None:
    merged = Sum()
    for part in parts:
        merged.merge(summed(part))
    assert merged.hex() == summed([share for part in parts for share in part])


@given(SHARES)
def test_a_digest_is_thirty_two_digits_whatever_it_sums(shares: list[int]) -> None:
    assert len(summed(shares)) == 32
    assert int(summed(shares), 16) == sum(shares) % 2**128


@given(SHARES, st.integers(1, 2**128 - 1))
def test_one_more_item_always_shows(shares: list[int], share: int) -> None:
    assert summed([*shares, share]) != summed(shares)


def test_the_same_item_twice_does_not_cancel_out() -> None:
    share = proof("ann", "a", "file", 1, EMPTY)
    assert len({summed([]), summed([share]), summed([share, share])}) == 3


def test_one_unknown_content_makes_the_whole_unknown() -> None:
    total = Sum()
    total.add(1)
    total.unknown()
    total.add(2)
    assert total.hex() == ""
    whole = Sum()
    whole.merge(total.hex())
    whole.merge("0" * 32)
    assert whole.hex() == ""


@given(ITEM, ITEM)
def test_two_items_have_one_proof_only_if_they_are_one(
    one: tuple[str, str, str, int], two: tuple[str, str, str, int]
) -> None:
    nul = any("\0" in text for item in (one, two) for text in item[:2])
    same = proof(*one, EMPTY) == proof(*two, EMPTY)
    assert same == (one == two) or nul


@pytest.mark.parametrize("path", ["caf\udce9", "日本", ""])
def test_any_name_has_a_proof(path: str) -> None:
    assert 0 <= proof("ann", path, "file", 1, EMPTY) < 2**128


def test_a_name_that_is_not_text_counts_as_its_bytes() -> None:
    raw = b"ann\0caf\xe9\0file\0" + b"1\0" + EMPTY.encode()
    expected = int(hashlib.md5(raw, usedforsecurity=False).hexdigest(), 16)
    assert proof("ann", "caf\udce9", "file", 1, EMPTY) == expected


def test_ranges_are_proven_as_a_store_proves_parts() -> None:
    parts = [md5(b"one").hexdigest(), md5(b"two").hexdigest()]
    whole = md5(md5(b"one").digest() + md5(b"two").digest()).hexdigest()
    assert composite(parts, 3) == f"{whole}-2@3"


def test_ranges_in_another_order_or_of_another_size_are_another_proof() -> None:
    one, two = md5(b"one").hexdigest(), md5(b"two").hexdigest()
    assert len({composite([one, two], 3), composite([two, one], 3), composite([one, two], 4)}) == 3
