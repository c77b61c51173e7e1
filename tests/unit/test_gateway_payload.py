"""Bodies of signed requests: given on as they come, the last piece only when all is proven."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.endpoints.s3.signer import UNSIGNED
from consumer.trans.buckets.faults import Fault
from consumer.trans.buckets.heads import Head
from consumer.trans.buckets.payload import (
    SIGNED_CHUNKS,
    SIGNED_TRAILER,
    UNSIGNED_TRAILER,
    Payload,
)
from consumer.trans.buckets.signature import Proof, signing_key
from tests.signed import chunked

STAMP, SCOPE = "20130524T000000Z", "20130524/us-east-1/s3/aws4_request"
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
KEY = signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524", "us-east-1")
DATA = b"contents of an object" * 9


def crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def payload(kind: str, headers: Mapping[str, str] | None = None, length: int = 0) -> Payload:
    proof = Proof("AKID", STAMP, SCOPE, SEED, kind, KEY)
    return Payload(Head("PUT", "/b/k", {}, dict(headers or {}), length), proof)


def decoded(length: int, **more: str) -> dict[str, str]:
    return {"x-amz-decoded-content-length": str(length), **more}


def passed(body: Payload, wire: bytes, stride: int = 1 << 20) -> bytes:
    pieces = [body.feed(wire[n : n + stride]) for n in range(0, len(wire), stride)]
    return b"".join(pieces) + body.end()


def in_chunks(*pieces: bytes, trailer: str = "") -> bytes:
    return chunked(pieces, SEED, key=KEY, stamp=STAMP, scope=SCOPE, trailer=trailer)


def test_the_published_example_of_signed_chunks_is_accepted() -> None:
    data = b"a" * 66560
    wire = in_chunks(data[:65536], data[65536:])
    assert b"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648" in wire
    assert b"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9" in wire
    assert passed(payload(SIGNED_CHUNKS, decoded(66560)), wire) == data


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=4), st.integers(1, 50))
def test_signed_chunks_are_the_same_however_they_are_cut(pieces: list[bytes], stride: int) -> None:
    data, trailer = b"".join(pieces), f"x-amz-checksum-crc32:{crc32(b''.join(pieces))}"
    body = payload(SIGNED_CHUNKS, decoded(len(data)))
    assert passed(body, in_chunks(*pieces), stride) == data
    announced = decoded(len(data)) | {"x-amz-trailer": "x-amz-checksum-crc32"}
    assert passed(payload(SIGNED_TRAILER, announced), in_chunks(*pieces, trailer=trailer)) == data


@pytest.mark.parametrize("stride", [1, 7, 64, 100_000])
def test_the_last_piece_of_a_body_that_is_not_what_was_signed_never_goes_on(stride: int) -> None:
    signed = hashlib.sha256(DATA).hexdigest()
    assert passed(payload(signed, length=len(DATA)), DATA, stride) == DATA
    body, wrong, gone = payload(signed, length=len(DATA)), b"X" + DATA[1:], b""
    for start in range(0, len(wrong), stride):
        gone += body.feed(wrong[start : start + stride])
    with pytest.raises(Fault, match="not what was signed"):
        body.end()
    assert len(gone) < len(DATA)


PLAIN = hashlib.sha256(DATA).hexdigest()
SUM = {"x-amz-checksum-crc32": crc32(DATA)}
MD5 = {"content-md5": base64.b64encode(hashlib.md5(DATA).digest()).decode()}
LENGTH = decoded(len(DATA))
ONE, TRAILED = in_chunks(DATA), in_chunks(DATA, trailer=f"x-amz-checksum-crc32:{crc32(DATA)}")
ANNOUNCED = {"x-amz-trailer": "x-amz-checksum-crc32"}
SAID = LENGTH | ANNOUNCED
LOOSE = b"%x\r\n%s\r\n0\r\nx-amz-checksum-crc32: %s\r\n\r\n" % (
    len(DATA), DATA, crc32(DATA).encode(),
)  # fmt: skip
TAMPERED: dict[str, tuple[str, Mapping[str, str], int, bytes]] = {
    "a byte of a signed body": (PLAIN, {}, len(DATA), b"X" + DATA[1:]),
    "the last byte of a signed body": (PLAIN, {}, len(DATA), DATA[:-1] + b"X"),
    "a body cut short": (PLAIN, {}, len(DATA), DATA[:-1]),
    "a body that goes on": (PLAIN, {}, len(DATA), DATA + b"X"),
    "another MD5": (UNSIGNED, MD5, len(DATA), b"X" + DATA[1:]),
    "another checksum": (UNSIGNED, SUM, len(DATA), b"X" + DATA[1:]),
    "a word that nobody knows": ("STREAMING-NOTHING", {}, len(DATA), DATA),
    "a hash in capitals": (PLAIN.upper(), {}, len(DATA), DATA),
    "an MD5 that is none": (UNSIGNED, {"content-md5": "x"}, len(DATA), DATA),
    "a byte of a chunk": (SIGNED_CHUNKS, LENGTH, 0, ONE.replace(b"object", b"0bject", 1)),
    "the signature of a chunk": (SIGNED_CHUNKS, LENGTH, 0, ONE.replace(b"=", b"=0", 1)),
    "the last chunk left out": (SIGNED_CHUNKS, LENGTH, 0, ONE[: ONE.index(b"\r\n0;") + 2]),
    "chunks in another order": (
        SIGNED_CHUNKS, decoded(4), 0, in_chunks(b"ab") [: -86 - 2] + in_chunks(b"cd"),
    ),
    "chunks without signatures": (SIGNED_CHUNKS, LENGTH, 0, LOOSE),
    "another length": (SIGNED_CHUNKS, decoded(len(DATA) + 1), 0, ONE),
    "no length": (SIGNED_CHUNKS, {}, 0, ONE),
    "something behind the end": (SIGNED_CHUNKS, LENGTH, 0, ONE + b"GET"),
    "a trailer nobody announced": (SIGNED_CHUNKS, LENGTH, 0, TRAILED),
    "a trailer left out": (SIGNED_TRAILER, SAID, 0, ONE),
    "another value of a signed trailer": (
        SIGNED_TRAILER, SAID, 0, TRAILED.replace(crc32(DATA).encode(), crc32(b"X").encode()),
    ),
    "the signature of the trailer": (SIGNED_TRAILER, SAID, 0, TRAILED[:-5] + b"x\r\n\r\n"),
    "a byte under a trailer's checksum": (
        UNSIGNED_TRAILER, SAID, 0, LOOSE.replace(b"object", b"0bject", 1),
    ),
    "an announced trailer left out": (
        UNSIGNED_TRAILER, SAID, 0, LOOSE[: LOOSE.index(b"x-amz")] + b"\r\n",
    ),
    "a trailer on a plain body": (PLAIN, ANNOUNCED, len(DATA), DATA),
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERED)
@pytest.mark.parametrize("stride", [5, 1 << 20])
def test_nothing_tampered_goes_on_whole(name: str, stride: int) -> None:
    kind, headers, length, wire = TAMPERED[name]
    gone = bytearray()
    with pytest.raises(Fault):  # at once, or while it passes
        _pass_on(gone, payload(kind, headers, length), wire, stride)
    assert len(gone) < len(DATA) or not gone.startswith(DATA)


def _pass_on(gone: bytearray, body: Payload, wire: bytes, stride: int) -> None:
    for start in range(0, len(wire), stride):
        gone += body.feed(wire[start : start + stride])
    gone += body.end()


def test_a_trailer_is_checked_and_the_contents_go_on() -> None:
    assert passed(payload(UNSIGNED_TRAILER, SAID), LOOSE, 11) == DATA


def test_a_checksum_that_cannot_be_computed_here_is_refused_beforehand() -> None:
    for kind in ("crc32c", "crc64nvme"):
        said = decoded(1) | {"x-amz-trailer": f"x-amz-checksum-{kind}"}
        with pytest.raises(Fault, match="not accepted"):
            payload(UNSIGNED_TRAILER, said)
