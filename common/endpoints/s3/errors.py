"""The one seam where an answer of an S3 server becomes an error of ours."""

from __future__ import annotations

from collections.abc import Mapping

from common.endpoints.wire.statuses import BUSY, Unsupported, busy, meaning
from common.errors import (
    Changing,
    ConvoyError,
    Corrupt,
    Denied,
    Missing,
    Occupied,
    Refused,
    Transient,
)

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
    "NoSuchBucket": (Missing, "make the bucket, or correct its name"),
    "InvalidRange": (Changing, ""),
    "PreconditionFailed": (Occupied, ""),
}
_SLOW = ("SlowDown", "ServiceUnavailable", "TooManyRequests", "Throttling", "RequestLimitExceeded")


def judged(
    status: int, headers: Mapping[str, str], code: str, message: str, what: str
) -> ConvoyError:
    """What `status` and the server's own `code` and `message` mean for the caller of `what`."""
    text = f"{what}: {status} {code[:60]}".rstrip() + (f": {message[:200]}" if message else "")
    if status in BUSY or code in _SLOW:
        return busy(headers, text)
    if code in _BY_CODE:
        kind, hint = _BY_CODE[code]
        return kind(text, hint=hint)
    if 300 <= status < 400:
        return Denied(text, hint="the bucket is elsewhere: set region or endpoint")
    return meaning(status)(text)
