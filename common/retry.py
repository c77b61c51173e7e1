"""Retry inside one call: seconds, policies by name, nowhere else and never nested.

Minutes belong to the store (`due_at`). The total stays below half a lease.
"""

from __future__ import annotations

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from common.errors import Backpressure, Transient


def brief(attempts: int = 4, *, most: float = 2.0) -> Retrying:
    """A few quick tries for what passes by itself (a broken connection, a 500)."""
    return Retrying(
        retry=retry_if_exception_type((Transient, Backpressure)),
        stop=stop_after_attempt(attempts),
        wait=wait_random_exponential(multiplier=0.1, max=most),
        reraise=True,
    )
