"""Listings out of two stores, exhaustively for few keys: each visible name once, in order, whatever
the sizes of pages; and what is there all the time is found while keys wander from old to new."""

from __future__ import annotations

from itertools import chain, combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.trans.buckets.merging import (
    LAST,
    Name,
    Page,
    Query,
    after,
    behind,
    horizon,
    merged,
    token,
)

KEYS = ("a", "b/1", "b/2", "c")
QUERY = Query("bucket", "", "")


def sets(keys: tuple[str, ...] = KEYS) -> list[frozenset[str]]:
    found = chain.from_iterable(combinations(keys, n) for n in range(len(keys) + 1))
    return [frozenset(one) for one in found]


def side(keys: frozenset[str], start: str, size: int, *, of: str, delimiter: str = "") -> Page:
    """A page of a store, as S3 lists it."""
    names: list[Name] = []
    for key in sorted(keys):
        head, cut, _ = key.partition(delimiter) if delimiter else (key, "", "")
        name = Name(head + cut) if cut else Name(key, {"of": of})
        if key > start and name.text not in [known.text for known in names]:
            names.append(name)
    return Page(tuple(names[:size]), len(names) > size)


def walked(
    old: frozenset[str],
    new: frozenset[str],
    gone: frozenset[str],
    *,
    sizes: tuple[int, int],
    delimiter: str = "",
    naive: bool = False,
) -> list[Name]:
    """A whole listing, page by page."""
    found: list[Name] = []
    start = ""
    for _ in range(20):
        pages = (
            side(old, start, sizes[0], of="old", delimiter=delimiter),
            side(new, start, sizes[1], of="new", delimiter=delimiter),
        )
        end = horizon(pages)
        if naive:  # everything that came, as far as the longer page goes
            end = max((p.names[-1].text for p in pages if p.more), default=None)
            pages = tuple(Page(p.names, more=False) for p in pages)  # type: ignore[assignment]
        found += merged(*pages, gone=gone, own=frozenset())
        if end is None:
            return found
        start = behind(next(n for p in pages for n in p.names if n.text == end))
    raise AssertionError("it does not end")


def test_every_visible_key_is_listed_once_and_in_order() -> None:
    for old, new, sizes in product(sets(), sets(), [(1, 1), (1, 3), (2, 1), (3, 2)]):
        for gone in (frozenset[str](), old - new):
            texts = [name.text for name in walked(old, new, gone, sizes=sizes)]
            assert texts == sorted((old | new) - gone)


def test_common_prefixes_are_joined() -> None:
    for old, new, sizes in product(sets(), sets(), [(1, 1), (2, 1), (1, 2)]):
        found = walked(old, new, frozenset(), sizes=sizes, delimiter="/")
        expected = sorted({"b/" if key.startswith("b/") else key for key in old | new})
        assert [name.text for name in found] == expected


def test_who_gives_out_more_than_the_shorter_page_loses_keys() -> None:
    lost = [
        (old, new)
        for old, new in product(sets(), sets())
        if [n.text for n in walked(old, new, frozenset(), sizes=(1, 3), naive=True)]
        != sorted(old | new)
    ]
    assert lost


def test_a_copy_shows_what_old_says_and_a_users_object_what_new_says() -> None:
    old, new = (
        Page((Name("a", {"of": of}), Name("b", {"of": of})), False) for of in ("old", "new")
    )
    found = {n.text: n.fields for n in merged(old, new, gone=(), own={"b"})}
    assert found == {"a": {"of": "old"}, "b": {"of": "new"}}


@pytest.mark.parametrize("moment", range(4))
def test_keys_that_wander_to_new_between_two_pages_are_listed_once(moment: int) -> None:
    """After each page one more key is copied: old keeps it, so nothing can be missed."""
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        old, new, start, found = frozenset(KEYS), frozenset[str](), "", list[str]()
        for page in range(9):
            if page >= moment and page - moment < len(order):
                new |= {KEYS[order[page - moment]]}
            pages = side(old, start, 1, of="old"), side(new, start, 1, of="new")
            found += [n.text for n in merged(*pages, gone=(), own=())]
            end = horizon(pages)
            if end is None:
                break
            start = end
        assert found == sorted(KEYS)


@given(st.text(max_size=20), st.text(max_size=5))
def test_a_token_goes_on_where_it_says_and_in_its_own_listing_only(name: str, other: str) -> None:
    clean = name.encode("utf-8", "replace").decode()
    assert after(QUERY, token(QUERY, clean)) == clean
    if other:
        assert after(QUERY._replace(prefix=other), token(QUERY, clean)) is None
    assert after(QUERY, name) is None


def test_a_prefix_is_passed_over_with_all_that_is_below_it() -> None:
    assert behind(Name("b/")) == "b/" + LAST
    assert all(behind(Name("b/")) > key for key in ("b/", "b/1", "b/\U0010fffe"))
    assert behind(Name("b/")) < "b0"
