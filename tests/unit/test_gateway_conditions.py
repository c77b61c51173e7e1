"""Conditions as HTTP orders them."""

from __future__ import annotations

import pytest

from consumer.trans.buckets.conditions import judged

AT, BEFORE = "Fri, 20 Nov 2026 12:00:00 GMT", "Fri, 20 Nov 2026 11:59:59 GMT"
CASES: list[tuple[dict[str, str], int]] = [
    ({}, 200),
    ({"if-match": '"e"'}, 200),
    ({"if-match": "e"}, 200),
    ({"if-match": "*"}, 200),
    ({"if-match": '"x", "e"'}, 200),
    ({"if-match": '"x"'}, 412),
    ({"if-none-match": '"e"'}, 304),
    ({"if-none-match": 'W/"e"'}, 304),
    ({"if-none-match": "*"}, 304),
    ({"if-none-match": '"x"'}, 200),
    ({"if-modified-since": AT}, 304),
    ({"if-modified-since": BEFORE}, 200),
    ({"if-unmodified-since": AT}, 200),
    ({"if-unmodified-since": BEFORE}, 412),
    ({"if-match": '"e"', "if-unmodified-since": BEFORE}, 200),  # the tag is the stronger one
    ({"if-none-match": '"x"', "if-modified-since": AT}, 200),
    ({"if-none-match": '"e"', "if-modified-since": BEFORE}, 304),
    ({"if-match": '"x"', "if-none-match": '"e"'}, 412),
    ({"if-modified-since": "no date"}, 304),
    ({"if-unmodified-since": "no date"}, 200),
]


@pytest.mark.parametrize(("headers", "status"), CASES)
def test_conditions_are_judged_in_the_order_of_http(headers: dict[str, str], status: int) -> None:
    assert judged(headers, '"e"', AT) == status
