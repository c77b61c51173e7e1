"""Retry inside one call: seconds, policies by name, nowhere else and never nested.

Minutes belong to the store (`due_at`). The total stays below half a lease.
"""

from __future__ import annotations

from tenacity import (
    Retrying,
    retry_if_exception_type,
    retry_if_not_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from common.errors import Backpressure, Transient


def brief(
    attempts: int = 4, *, most: float = 2.0, but: tuple[type[Exception], ...] = ()
) -> Retrying:
    """A few quick tries for what passes by itself (a broken connection, a 500), `but` for what
    has cost too much time already."""
    passing = retry_if_exception_type((Transient, Backpressure))
    return Retrying(
        retry=passing & retry_if_not_exception_type(but),
        stop=stop_after_attempt(attempts),
        wait=wait_random_exponential(multiplier=0.1, max=most),
        reraise=True,
    )
