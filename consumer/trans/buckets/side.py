"""One of the two stores, asked in a caller's own name.

Every request is signed anew with the caller's key for this side. What is passed on is chosen by
name: nothing that a client sent reaches a store because nobody thought of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from common.endpoints.flow import Body, Pool, Reply
from common.endpoints.s3.account import REGION, Keys
from common.endpoints.s3.signer import EMPTY, UNSIGNED, Signer, encoded, query_string
from common.endpoints.wire import Origin, Timeouts

MARK = "x-amz-meta-convoy-source"  # of a background copy: epoch and ETag of what it was made from
_PASSED = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-md5",
        "content-type",
        "expires",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-unmodified-since",
        "range",
    }
)
_OURS = frozenset(
    {
        "x-amz-content-sha256",
        "x-amz-copy-source",
        "x-amz-date",
        "x-amz-decoded-content-length",
        "x-amz-sdk-checksum-algorithm",
        "x-amz-security-token",
        "x-amz-trailer",
    }
)
_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "trailer", "upgrade", "date"})


class Store:
    """The way to one store."""

    def __init__(self, endpoint: str, limits: Timeouts, region: str = REGION) -> None:
        origin = Origin.parse(endpoint)
        self._pool, self._host, self._region = Pool(origin, limits), origin.authority, region
        self._signers: dict[str, Signer] = {}

    async def ask(
        self,
        keys: Keys,
        method: str,
        bucket: str,
        key: str = "",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Reply:
        """One request; the answer is still to be read."""
        path = f"/{bucket}/{encoded(key)}" if key else f"/{bucket}"
        text = query_string(query) if query else ""
        sent = {"host": self._host, **(headers or {})}
        payload = EMPTY if body is None or not body.length else UNSIGNED
        signer = self._signers.setdefault(keys.access, Signer(self._region))
        signer.sign(keys, method, path, text, sent, payload)
        target = f"{path}?{text}" if text else path
        return await self._pool.ask(method, target, sent, body or Body(0))

    def close(self) -> None:
        self._pool.close()


def onward(headers: Mapping[str, str]) -> dict[str, str]:
    """The client's headers that go on to a store."""
    sent = {
        name: value
        for name, value in headers.items()
        if name in _PASSED or (name.startswith("x-amz-") and name not in _OURS)
    }
    if "content-encoding" in sent:  # how the body came to us is no property of the object
        codings = [c.strip() for c in sent["content-encoding"].split(",")]
        left = ",".join(c for c in codings if c and c != "aws-chunked")
        sent = {**sent, "content-encoding": left} if left else _without(sent, "content-encoding")
    return sent


def outward(headers: Mapping[str, str]) -> dict[str, str]:
    """The store's headers that go on to the client: no marker, nothing of the connection."""
    return {n: v for n, v in headers.items() if n not in _HOP and n not in (MARK, "server")}


def _without(headers: dict[str, str], name: str) -> dict[str, str]:
    return {n: v for n, v in headers.items() if n != name}
