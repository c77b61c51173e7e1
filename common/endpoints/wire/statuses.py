"""What a status of HTTP means to us, wherever no more is known than that."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from common.errors import (
    Backpressure,
    Changing,
    ConvoyError,
    Denied,
    Missing,
    Occupied,
    Permanent,
    Transient,
)

PAUSE = timedelta(seconds=1)  # where a server says "slow down" and not for how long
LONGEST = timedelta(minutes=5)


class Unsupported(Permanent):
    """The server does not know this request at all."""

    hint = "this server cannot do it; see `convoy doctor`"


BUSY = (429, 503)
_MEANING: Mapping[int, type[ConvoyError]] = {
    401: Denied,
    403: Denied,
    404: Missing,
    408: Transient,
    409: Transient,
    410: Missing,
    412: Occupied,
    416: Changing,
    501: Unsupported,
}


def meaning(status: int) -> type[ConvoyError]:
    """The kind of error that a status is (not for those in BUSY)."""
    return _MEANING.get(status) or (Transient if status >= 500 else Permanent)


def judged(status: int, headers: Mapping[str, str], what: str) -> ConvoyError:
    """The error that an answer is."""
    if status in BUSY:
        return busy(headers, f"{what}: {status}")
    return meaning(status)(f"{what}: {status}")


def busy(headers: Mapping[str, str], text: str) -> Backpressure:
    """Not now; for how long, the server says in seconds or by a date. Bounded: it is not us."""
    return Backpressure(text, retry_in=_retry_after(headers.get("retry-after", "")))


def _retry_after(text: str) -> timedelta:
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), LONGEST)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return PAUSE
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max(until - datetime.now(UTC), PAUSE), LONGEST)
