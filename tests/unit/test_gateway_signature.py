"""Who signed what, for whom and when: what botocore signs is accepted, what is changed is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from common.endpoints.s3.signer import EMPTY, UNSIGNED
from consumer.trans.buckets import heads
from consumer.trans.buckets.faults import Fault
from consumer.trans.buckets.signature import Proof, verify
from tests.signed import ACCESS, NOW, REGION, SECRET, raw, signed

Request = dict[str, Any]
MINUTE, DAY = 60, 24 * 3600


def checked(request: Request, *, now: float = NOW) -> Proof:
    return verify(heads.parse(raw(request)), {ACCESS: SECRET}.get, now=now, region=REGION)


ACCEPTED: dict[str, Request] = {
    "a read": signed(),
    "a key with every kind of byte": signed(target="/b/%20a%2Bb%25%C3%A9~-_.%28%29%27%21%2A"),
    "a key with empty and dotted names": signed(target="/b//a/./../b"),
    "parameters": signed(target="/b?prefix=a%2Fb%20c&list-type=2&delimiter=%2F"),
    "parameters without values": signed("POST", "/b/k?uploads"),
    "a body": signed("PUT", body=b"contents"),
    "metadata with blanks inside": signed("PUT", headers={"x-amz-meta-a": "one   two"}, body=b"x"),
    "an unsigned body": signed("PUT", payload=UNSIGNED),
    "an address that was signed": signed(expires=60),
    "an address with parameters": signed(target="/b/k?response-content-type=a%2Fb", expires=60),
    "a clock 14 minutes early": signed(at=NOW - 14 * MINUTE),
    "a clock 14 minutes late": signed(at=NOW + 14 * MINUTE),
    "an address signed a day ago for a week": signed(at=NOW - DAY, expires=7 * DAY),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_a_client_signed_is_accepted(name: str) -> None:
    assert checked(ACCEPTED[name]).access == ACCESS


def test_the_proof_says_what_the_body_has_to_be() -> None:
    assert checked(signed()).payload == EMPTY
    assert checked(signed(expires=60)).payload == UNSIGNED
    assert SECRET not in repr(checked(signed()))


# -- what is forged ---------------------------------------------------------------------------


def header(name: str, change: Callable[[str], str], base: Request | None = None) -> Request:
    made = base or signed("PUT", headers={"x-amz-meta-a": "1", "content-type": "a/b"}, body=b"x")
    made["headers"][name] = change(made["headers"].get(name, ""))
    return made


def authorization(old: str, new: str) -> Request:
    return header("authorization", lambda text: text.replace(old, new, 1))


def without(name: str, base: Request | None = None) -> Request:
    made = base or signed()
    del made["headers"][name]
    return made


def target(old: str, new: str, base: Request | None = None) -> Request:
    made = base or signed(target="/b/k?prefix=a")
    assert old in made["target"]
    made["target"] = made["target"].replace(old, new, 1)
    return made


def method(new: str, base: Request) -> Request:
    base["method"] = new
    return base


def asked(**options: Any) -> Request:
    return signed(expires=60, **options)


def flipped(text: str) -> str:
    """The last digit of a signature changed."""
    return text[:-1] + ("0" if text[-1] != "0" else "1")


FORGED: dict[str, Callable[[], Request]] = {
    "no signature": lambda: without("authorization"),
    "an empty signature": lambda: header("authorization", lambda _: ""),
    "one digit of the signature": lambda: header("authorization", flipped),
    "a signature cut short": lambda: header("authorization", lambda t: t[:-1]),
    "a signature that goes on": lambda: header("authorization", lambda t: t + "0"),
    "a signature in capitals": lambda: header("authorization", lambda t: t[:-64] + t[-64:].upper()),
    "another algorithm": lambda: authorization("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
    "the algorithm of many regions": lambda: authorization("AWS4-HMAC", "AWS4-ECDSA-P256"),
    "version 2": lambda: header("authorization", lambda _: f"AWS {ACCESS}:c2ln"),
    "basic authorization": lambda: header("authorization", lambda _: "Basic YTpi"),
    "an unknown key": lambda: signed(access="AKIDNOBODY"),
    "another secret": lambda: signed(secret=SECRET + "x"),
    "an empty secret": lambda: signed(secret=""),
    "another user's key in the scope": lambda: authorization(ACCESS, "AKIDOTHER"),
    "another region": lambda: signed(region="eu-west-1"),
    "another region in the scope alone": lambda: authorization(REGION, "eu-west-1"),
    "another service": lambda: signed(service="iam"),
    "another day in the scope": lambda: authorization("20261120", "20261119"),
    "a scope without its end": lambda: authorization("/aws4_request", "/aws4"),
    "a scope that is too short": lambda: authorization("/s3/aws4_request", ""),
    "an access key with a slash": lambda: authorization(f"={ACCESS}", f"=x/{ACCESS}"),
    "a replay after 16 minutes": lambda: signed(at=NOW - 16 * MINUTE),
    "a replay after a day": lambda: signed(at=NOW - DAY),
    "a request from the future": lambda: signed(at=NOW + 16 * MINUTE),
    "no date": lambda: without("x-amz-date"),
    "a date that is none": lambda: header("x-amz-date", lambda _: "20261320T000000Z"),
    "a later date": lambda: header("x-amz-date", lambda _: "20261120T120100Z"),
    "another spelling of the date": lambda: header("x-amz-date", lambda _: "2026-11-20T12:00:00Z"),
    "no hash of the body": lambda: without("x-amz-content-sha256"),
    "another hash of the body": lambda: header("x-amz-content-sha256", lambda _: EMPTY),
    "a body made unsigned": lambda: header("x-amz-content-sha256", lambda _: UNSIGNED),
    "another host": lambda: header("host", lambda _: "other.example.com"),
    "another bucket by its host": lambda: header("host", lambda _: "b.s3.example.com"),
    "another value of metadata": lambda: header("x-amz-meta-a", lambda _: "2"),
    "metadata without a value": lambda: header("x-amz-meta-a", lambda _: ""),
    "metadata that was added": lambda: header("x-amz-meta-b", lambda _: "1"),
    "an access list that was added": lambda: header("x-amz-acl", lambda _: "public-read"),
    "a source that was added": lambda: header("x-amz-copy-source", lambda _: "/secret/key"),
    "another type": lambda: header("content-type", lambda _: "text/html"),
    "metadata taken away": lambda: without("x-amz-meta-a", signed(headers={"x-amz-meta-a": "1"})),
    "a host that is not signed": lambda: authorization("host;", ""),
    "signed headers in another order": lambda: authorization(
        "content-type;host", "host;content-type"
    ),
    "a signed header named twice": lambda: authorization("host;", "host;host;"),
    "a signed header that was not sent": lambda: authorization("host;", "host;x-amz-acl;"),
    "another key": lambda: target("/b/k", "/b/l"),
    "another bucket": lambda: target("/b/k", "/c/k"),
    "another spelling of another key": lambda: target("/b/k", "/b/%6C"),
    "a key that climbs": lambda: target("/b/k", "/b/../c/k"),
    "another parameter": lambda: target("prefix=a", "prefix=b"),
    "a parameter that was added": lambda: target("?prefix=a", "?prefix=a&delete"),
    "a parameter taken away": lambda: target("?prefix=a", ""),
    "another method": lambda: method("DELETE", signed()),
    "a session token": lambda: header("x-amz-security-token", lambda _: "t"),
    "two signatures": lambda: header("authorization", lambda _: "x", asked()),
    "an address that expired": lambda: asked(at=NOW - 61),
    "an address for more than a week": lambda: signed(expires=7 * DAY + 1),
    "an address for no time": lambda: target("Expires=60", "Expires=0", asked()),
    "an address made to last": lambda: target("Expires=60", "Expires=600", asked()),
    "an address for less than no time": lambda: target("Expires=60", "Expires=-60", asked()),
    "an address without expiry": lambda: target("X-Amz-Expires=60&", "", asked()),
    "an address from the future": lambda: asked(at=NOW + 16 * MINUTE),
    "an address for another key": lambda: target("/bucket/key", "/bucket/other", asked()),
    "an address for another method": lambda: method("PUT", asked()),
    "an address with a parameter more": lambda: target("?", "?versionId=1&", asked()),
    "an address with another algorithm": lambda: target("SHA256", "SHA512", asked()),
    "an address with a malformed signature": lambda: target("Signature=", "Signature=x", asked()),
    "an address with a header more": lambda: header("x-amz-acl", lambda _: "private", asked()),
    "an address of an unknown key": lambda: asked(access="AKIDNOBODY"),
    "an address with a session token": lambda: target("?", "?X-Amz-Security-Token=t&", asked()),
    "an address of version 2": lambda: {
        "method": "GET",
        "target": f"/b/k?AWSAccessKeyId={ACCESS}&Expires=9999999999&Signature=c2ln",
        "headers": {"host": "s3.example.com"},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_nothing_forged_is_accepted(name: str) -> None:
    with pytest.raises(Fault) as caught:
        checked(FORGED[name]())
    assert caught.value.status in (400, 403)


def test_there_are_more_than_sixty_ways_to_forge() -> None:
    assert len(FORGED) >= 60


def test_what_is_forged_is_refused_for_the_reason_of_the_forgery() -> None:
    codes = {
        "an unknown key": "InvalidAccessKeyId",
        "another secret": "SignatureDoesNotMatch",
        "another region": "AuthorizationHeaderMalformed",
        "a replay after 16 minutes": "RequestTimeTooSkewed",
        "an address that expired": "AccessDenied",
        "no signature": "AccessDenied",
        "a session token": "InvalidToken",
    }
    for name, code in codes.items():
        with pytest.raises(Fault) as caught:
            checked(FORGED[name]())
        assert caught.value.code == code, name
