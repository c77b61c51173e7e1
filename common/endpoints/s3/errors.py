"""The one seam where an answer of an S3 server becomes an error of ours."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from common.errors import (
    Backpressure,
    Changing,
    ConvoyError,
    Corrupt,
    Denied,
    Missing,
    Occupied,
    Permanent,
    Refused,
    Transient,
)

PAUSE = timedelta(seconds=1)  # where a server says "slow down" and not for how long
LONGEST = timedelta(minutes=5)


class Unsupported(Permanent):
    """The store does not know this request at all."""

    hint = "this store cannot do it; see `convoy doctor`"


_BY_CODE: Mapping[str, tuple[type[ConvoyError], str]] = {
    "BadDigest": (Corrupt, "it was damaged on the way; nothing was stored"),
    "InvalidDigest": (Corrupt, "it was damaged on the way; nothing was stored"),
    "XAmzContentSHA256Mismatch": (Corrupt, "it was damaged on the way; nothing was stored"),
    "IncompleteBody": (Transient, ""),
    "RequestTimeout": (Transient, ""),
    "InternalError": (Transient, ""),
    "OperationAborted": (Transient, ""),
    "ConditionalRequestConflict": (Transient, ""),
    "NotImplemented": (Unsupported, ""),
    "RequestTimeTooSkewed": (Denied, "set this machine's clock (or the server's) right"),
    "SignatureDoesNotMatch": (Denied, "the secret key or the region is wrong"),
    "InvalidAccessKeyId": (Denied, "the access key is unknown to this store"),
    "ExpiredToken": (Denied, "the session is over; log in again"),
    "QuotaExceeded": (Denied, "the quota of the target is used up; raise it"),
    "AuthorizationHeaderMalformed": (Denied, "the region is probably wrong (?region=...)"),
    "PermanentRedirect": (Denied, "the bucket is elsewhere: set region or endpoint"),
    "TemporaryRedirect": (Transient, ""),
    "KeyTooLongError": (Refused, ""),
    "MetadataTooLarge": (Refused, "the item has more metadata than this store holds"),
    "EntityTooLarge": (Refused, "the store does not take objects of this size"),
    "InvalidRange": (Changing, ""),
    "PreconditionFailed": (Occupied, ""),
}
_SLOW = ("SlowDown", "ServiceUnavailable", "TooManyRequests", "Throttling", "RequestLimitExceeded")
_BY_STATUS: Mapping[int, tuple[type[ConvoyError], str]] = {
    401: (Denied, ""),
    403: (Denied, ""),
    404: (Missing, ""),
    408: (Transient, ""),
    409: (Transient, ""),
    412: (Occupied, ""),
    416: (Changing, ""),
    501: (Unsupported, ""),
    500: (Transient, ""),
    502: (Transient, ""),
    504: (Transient, ""),
}


def judged(
    status: int, headers: Mapping[str, str], code: str, message: str, what: str
) -> ConvoyError:
    """What `status` and the server's own `code` and `message` mean for the caller of `what`."""
    text = f"{what}: {status} {code[:60]}".rstrip() + (f": {message[:200]}" if message else "")
    if status in (429, 503) or code in _SLOW:
        return Backpressure(text, retry_in=_retry_after(headers.get("retry-after", "")))
    known = _BY_CODE.get(code) or _BY_STATUS.get(status)
    if known is None and 300 <= status < 400:
        known = (Denied, "the bucket is elsewhere: set region or endpoint")
    if known is None:
        known = (Transient, "") if status >= 500 else (Permanent, "")
    return known[0](text, hint=known[1])


def _retry_after(text: str) -> timedelta:
    """Seconds or a date, as the header may say either; bounded, because the server is not us."""
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), LONGEST)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return PAUSE
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max(until - datetime.now(UTC), PAUSE), LONGEST)
