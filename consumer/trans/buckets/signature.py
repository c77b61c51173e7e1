"""Is a request what the holder of a secret key signed, for us and for now? Signature Version 4.

Pure: the secrets, the region and the time are handed in. Nothing is taken on trust: every header of
S3's own must be under the signature, the scope must be ours, and the clock within 15 minutes.
Version 2, keys in two places at once and session tokens are refused. Bodies: `payload`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from common.endpoints.s3.signer import UNSIGNED
from consumer.trans.buckets.faults import Fault
from consumer.trans.buckets.heads import Head, decoded

SKEW = timedelta(minutes=15)
LONGEST = timedelta(days=7)  # that a presigned address holds
ALGORITHM = "AWS4-HMAC-SHA256"
_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^,\s]+), ?SignedHeaders=([a-z0-9;-]+), ?"
    r"Signature=([0-9a-f]{64})"
)
_STAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_BLANKS = re.compile(r"[ \t]+")
_OF_S3 = "x-amz-"
# without effect, or added on the way by those who pass a request on
_FREE = frozenset({"x-amz-cf-id", "x-amzn-trace-id"})


@dataclass(frozen=True, slots=True)
class Proof:
    """A verified signature: whose it is, and what its body has to be."""

    access: str
    stamp: str
    scope: str
    signature: str
    payload: str  # what the signature says of the body: a SHA-256, or one of S3's words
    key: bytes

    def __repr__(self) -> str:
        return f"Proof({self.access})"


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a request says of its signature."""

    credential: str
    signed: str
    signature: str
    stamp: str
    payload: str
    expires: timedelta | None = None


def verify(head: Head, secret: Callable[[str], str | None], *, now: float, region: str) -> Proof:
    """The proof, or a Fault. `secret` knows the secret key of an access key."""
    claim = _claimed(head)
    access, day = _scoped(claim, region)
    _timely(claim, now)
    known = secret(access)
    if known is None:
        raise Fault("InvalidAccessKeyId", "The access key does not exist in our records.")
    scope = f"{day}/{region}/s3/aws4_request"
    key = signing_key(known, day, region)
    request = canonical(head, claim.signed, claim.payload, presigned=claim.expires is not None)
    text = f"{ALGORITHM}\n{claim.stamp}\n{scope}\n{hashlib.sha256(request).hexdigest()}"
    expected = hmac.digest(key, text.encode(), "sha256").hex()
    if not hmac.compare_digest(expected, claim.signature):
        raise Fault("SignatureDoesNotMatch", "The signature does not match the request.")
    return Proof(access, claim.stamp, scope, claim.signature, claim.payload, key)


def signing_key(secret: str, day: str, region: str) -> bytes:
    """The key of one day and region."""
    key = b"AWS4" + secret.encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def canonical(head: Head, signed: str, payload: str, *, presigned: bool) -> bytes:
    """The request as it is signed. What is not there cannot be signed."""
    names = signed.split(";")
    if names != sorted(set(names)) or "host" not in names:
        raise _mismatch("The list of signed headers is not sorted, or lacks the host.")
    absent = [name for name in names if name not in head.headers]
    open_ = [
        name
        for name in head.headers
        if name not in names and name.startswith(_OF_S3) and name not in _FREE
    ]
    if absent or (open_ and not (presigned and open_ == ["x-amz-content-sha256"])):
        raise _mismatch(f"Not signed, or signed and not sent: {(absent or open_)[0]}.")
    lines = "".join(f"{name}:{_BLANKS.sub(' ', head.headers[name])}\n" for name in names)
    path = quote(_bytes(decoded(head.path, plus=False)), safe="/-_.~")
    text = f"{head.method}\n{path}\n{_query(head.query)}\n{lines}\n{signed}\n{payload}"
    return text.encode("latin-1")


def _query(query: Mapping[str, str]) -> str:
    pairs = [
        (quote(_bytes(name), safe="-_.~"), quote(_bytes(value), safe="-_.~"))
        for name, value in query.items()
        if name != "X-Amz-Signature"
    ]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _claimed(head: Head) -> _Claim:
    given, asked = head.headers.get("authorization"), "X-Amz-Signature" in head.query
    if given is not None and (asked or "X-Amz-Algorithm" in head.query):
        raise Fault("InvalidRequest", "A request is signed in its header or its address, not both.")
    if "x-amz-security-token" in head.headers or "X-Amz-Security-Token" in head.query:
        raise Fault("InvalidToken", "Session tokens are not accepted here.")
    if given is not None:
        return _in_header(given, head.headers)
    if asked:
        return _in_query(head)
    if {"AWSAccessKeyId", "Signature"} & head.query.keys():
        raise Fault("InvalidRequest", "Signature Version 2 is not accepted; use version 4.")
    raise Fault("AccessDenied", "The request is not signed.")


def _in_header(given: str, headers: Mapping[str, str]) -> _Claim:
    if given.startswith("AWS "):
        raise Fault("InvalidRequest", "Signature Version 2 is not accepted; use version 4.")
    match = _HEADER.fullmatch(given)
    if match is None:
        raise Fault("AuthorizationHeaderMalformed", "The authorization header is malformed.")
    payload = headers.get("x-amz-content-sha256")
    if payload is None:
        raise Fault("InvalidRequest", "The header x-amz-content-sha256 is missing.")
    stamp = headers.get("x-amz-date")
    if stamp is None:
        raise Fault("AccessDenied", "A signed request needs the header x-amz-date.")
    return _Claim(match[1], match[2], match[3], stamp, payload)


def _in_query(head: Head) -> _Claim:
    query = head.query
    expires = query.get("X-Amz-Expires", "")
    whole = expires.isascii() and expires.isdigit() and len(expires) < 8
    if query.get("X-Amz-Algorithm") != ALGORITHM or not whole:
        raise _asked("its algorithm or expiry is missing or wrong")
    span = timedelta(seconds=int(expires))
    if not timedelta(0) < span <= LONGEST:
        raise _asked("X-Amz-Expires must be between one second and a week")
    if not re.fullmatch(r"[0-9a-f]{64}", query["X-Amz-Signature"]):
        raise _asked("its signature is malformed")
    return _Claim(
        query.get("X-Amz-Credential", ""),
        query.get("X-Amz-SignedHeaders", ""),
        query["X-Amz-Signature"],
        query.get("X-Amz-Date", ""),
        head.headers.get("x-amz-content-sha256", UNSIGNED),
        span,
    )


def _scoped(claim: _Claim, region: str) -> tuple[str, str]:
    access, *scope = claim.credential.rsplit("/", 4)
    if len(scope) != 4 or not access:
        raise Fault("AuthorizationHeaderMalformed", "The credential is malformed.")
    day, where, service, word = scope
    if (where, service, word) != (region, "s3", "aws4_request"):
        raise Fault("AuthorizationHeaderMalformed", f"The scope is wrong; expecting {region}/s3.")
    if not _STAMP.fullmatch(claim.stamp) or claim.stamp[:8] != day:
        raise Fault("AuthorizationHeaderMalformed", "The date of the scope is not the request's.")
    return access, day


def _timely(claim: _Claim, now: float) -> None:
    try:
        at = datetime.strptime(claim.stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise Fault("AccessDenied", "The date of the request is malformed.") from None
    skew = SKEW.total_seconds()
    if claim.expires is None and abs(now - at) > skew:
        raise Fault("RequestTimeTooSkewed", "The request's time and ours differ too much.")
    if claim.expires is not None:
        if at - now > skew:
            raise Fault("AccessDenied", "The request is not yet valid.")
        if now > at + claim.expires.total_seconds():
            raise Fault("AccessDenied", "The request has expired.")


def _mismatch(why: str) -> Fault:
    return Fault("SignatureDoesNotMatch", why)


def _asked(why: str) -> Fault:
    return Fault("AuthorizationQueryParametersError", f"The address is signed wrongly: {why}.")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
