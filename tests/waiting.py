"""Waiting for what becomes true. The only place in the tests that sleeps, and it always ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(check: Callable[[], T], within: float = 30) -> T:
    """The first true answer of `check`; fails if there is none `within` seconds.

    A failed assertion inside `check` counts as "not yet", and is shown at the end.
    """
    deadline = time.monotonic() + within
    while True:
        last: object = None
        try:
            if answer := check():
                return answer
            last = answer
        except AssertionError as exc:
            last = exc
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within} s: {last!r} from {check}")
        time.sleep(0.02)
