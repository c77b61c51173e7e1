"""The body of a signed request: given on as it comes, but for its last piece, which is withheld
until everything that was promised of it has been found true. So a store never gets a whole body
that is not what was signed.

Promised may be: its SHA-256, a signature for each chunk, a signature of its trailers, a checksum
in a trailer, its MD5, its length. A checksum that cannot be computed here is refused beforehand.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Protocol

from common.digest import md5
from common.endpoints.s3.signer import EMPTY, UNSIGNED
from consumer.trans.buckets.chunks import Begin, Chunks, Data, Trailers
from consumer.trans.buckets.faults import Fault
from consumer.trans.buckets.heads import Head
from consumer.trans.buckets.signature import Proof

SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
CHECKSUM = "x-amz-checksum-"
_STREAMS = (SIGNED_CHUNKS, SIGNED_TRAILER, UNSIGNED_TRAILER)
_HASH = re.compile(r"[0-9a-f]{64}")


class Sum(Protocol):
    """A checksum in the making."""

    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class Crc32:
    """CRC-32 as S3 writes it."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


_SUMS: Mapping[str, Callable[[], Sum]] = {
    "crc32": Crc32,
    "sha1": hashlib.sha1,
    "sha256": hashlib.sha256,
}


class Payload:
    """Takes the bytes of one body, and gives those that may go on."""

    def __init__(self, head: Head, proof: Proof) -> None:
        self.length = _length(head, proof)  # of the contents
        self._proof, self._stream = proof, proof.payload in _STREAMS
        self._sums = _sums(head, proof)
        self._held, self._seen, self._ended = b"", 0, False
        self._chunks: Chunks | None = None
        self._signed = proof.payload in (SIGNED_CHUNKS, SIGNED_TRAILER)
        if self._stream:
            trailers = proof.payload != SIGNED_CHUNKS
            self._chunks = Chunks(signed=self._signed, trailers=trailers)
            self._promised = head.headers.get("x-amz-trailer", "").lower()
        self._last, self._expected = proof.signature, ""
        self._chunk = hashlib.sha256()

    def feed(self, data: bytes) -> bytes:
        """What may go on, now that these bytes of the wire have come."""
        if self._chunks is None:
            return self._pass(data)
        released = b""
        for event in self._chunks.feed(data):
            if isinstance(event, Data):
                self._chunk.update(event.data)
                released += self._pass(event.data)
            elif isinstance(event, Begin):
                self._next(event)
            else:
                self._trailed(event)
        if self._chunks.surplus():
            raise Fault("InvalidRequest", "The body goes on behind its end.", close=True)
        return released

    def end(self) -> bytes:
        """The last piece, if all that was promised is true."""
        if self._seen != self.length or (self._stream and not self._ended):
            raise Fault("IncompleteBody", "The body is shorter than it says.", close=True)
        for name, (sum_, expected) in self._sums.items():
            if not hmac.compare_digest(sum_.digest(), expected):
                raise Fault(*_MISMATCH.get(name, _BAD))
        held, self._held = self._held, b""
        return held

    def _pass(self, data: bytes) -> bytes:
        if not data:
            return b""
        self._seen += len(data)
        if self._seen > self.length:
            raise Fault("InvalidRequest", "The body is longer than it says.", close=True)
        for sum_, _ in self._sums.values():
            sum_.update(data)
        released, self._held = self._held, data
        return released

    # -- chunks ---------------------------------------------------------------------------------

    def _next(self, chunk: Begin) -> None:
        """A chunk begins, so the one before is over."""
        if not self._signed:
            return
        if self._expected:
            self._judge_chunk()
        self._expected, self._chunk = chunk.signature, hashlib.sha256()
        if chunk.size == 0:
            self._judge_chunk()

    def _judge_chunk(self) -> None:
        text = f"{EMPTY}\n{self._chunk.hexdigest()}"
        self._judge("AWS4-HMAC-SHA256-PAYLOAD", text, self._expected)

    def _judge(self, kind: str, text: str, signature: str) -> None:
        proof = self._proof
        whole = f"{kind}\n{proof.stamp}\n{proof.scope}\n{self._last}\n{text}"
        expected = hmac.digest(proof.key, whole.encode(), "sha256").hex()
        if not hmac.compare_digest(expected, signature):
            raise Fault("SignatureDoesNotMatch", "A chunk is not what was signed.", close=True)
        self._last = expected

    def _trailed(self, trailers: Trailers) -> None:
        fields = dict(trailers.fields)
        signature = fields.pop("x-amz-trailer-signature", "")
        if list(fields) != [name for name in [self._promised] if name]:
            raise Fault("InvalidRequest", "The trailers are not those announced.", close=True)
        if self._proof.payload == SIGNED_TRAILER:
            lines = "".join(f"{name}:{value}\n" for name, value in sorted(fields.items()))
            digest = hashlib.sha256(lines.encode("latin-1")).hexdigest()
            self._judge("AWS4-HMAC-SHA256-TRAILER", digest, signature)
        for name, value in fields.items():
            sum_, _ = self._sums[name]
            self._sums[name] = (sum_, _base64(value))
        self._ended = True


_BAD = ("BadDigest", "The body is not what its checksum says.")
_MISMATCH = {
    "sha256": ("XAmzContentSHA256Mismatch", "The body is not what was signed."),
}


def _sums(head: Head, proof: Proof) -> dict[str, tuple[Sum, bytes]]:
    """The sums to be computed, each with what it has to be."""
    found: dict[str, tuple[Sum, bytes]] = {}
    if _HASH.fullmatch(proof.payload):
        found["sha256"] = (hashlib.sha256(), bytes.fromhex(proof.payload))
    elif proof.payload not in (*_STREAMS, UNSIGNED):
        raise Fault("InvalidRequest", "x-amz-content-sha256 must be a SHA-256 or a known word.")
    if "content-md5" in head.headers:
        found["md5"] = (md5(), _base64(head.headers["content-md5"], 16))
    for name, value in head.headers.items():
        if name.startswith(CHECKSUM) and name.removeprefix(CHECKSUM) in _SUMS:
            found[name] = (_SUMS[name.removeprefix(CHECKSUM)](), _base64(value))
    trailer = head.headers.get("x-amz-trailer", "").lower()
    if trailer:
        found[trailer] = (_sum(trailer, proof), b"")
    return found


def _sum(trailer: str, proof: Proof) -> Sum:
    if proof.payload not in (SIGNED_TRAILER, UNSIGNED_TRAILER):
        raise Fault("InvalidRequest", "A trailer is announced, and the body can have none.")
    kind = trailer.removeprefix(CHECKSUM)
    if kind == trailer or kind not in _SUMS:
        raise Fault("NotImplemented", f"Trailers of the kind {trailer} are not accepted here.")
    return _SUMS[kind]()


def _length(head: Head, proof: Proof) -> int:
    if proof.payload not in _STREAMS:
        if head.chunked:
            raise Fault("MissingContentLength", "You must provide a content length.")
        return head.length
    text = head.headers.get("x-amz-decoded-content-length", "")
    if not text.isascii() or not text.isdigit() or len(text) > 16:
        raise Fault("MissingContentLength", "You must provide x-amz-decoded-content-length.")
    return int(text)


def _base64(text: str, size: int = 0) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raise Fault("InvalidDigest", "A digest that is not base64.") from None
    if size and len(raw) != size:
        raise Fault("InvalidDigest", "A digest of the wrong length.")
    return raw
