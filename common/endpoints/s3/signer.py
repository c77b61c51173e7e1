"""Signature Version 4 as S3 wants it: the path is signed as sent, never normalised.

The key of the day is kept; what remains is two hashes a request. Signed are the host, the type,
the MD5 of the contents and all headers of S3's own.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from urllib.parse import quote

from common.endpoints.s3.account import Keys

UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY = hashlib.sha256(b"").hexdigest()
_SIGNED = ("host", "content-type", "content-md5")


def encoded(text: str) -> str:
    """A key as it stands in a path: every byte but the unreserved and "/" is escaped."""
    return quote(text, safe="/-_.~")


def query_string(parameters: Mapping[str, str]) -> str:
    """The one spelling of a query: escaped, then sorted by name."""
    pairs = [(quote(name, safe="-_.~"), quote(v, safe="-_.~")) for name, v in parameters.items()]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


class Signer:
    """Signs requests for one region. Safe from many threads."""

    def __init__(self, region: str, wall: Callable[[], float] = time.time) -> None:
        self._region, self._wall = region, wall
        self._second, self._stamp = 0, ""
        self._kept: tuple[Keys, str, bytes] | None = None

    def sign(
        self,
        keys: Keys,
        method: str,
        path: str,
        query: str,
        headers: dict[str, str],
        payload: str,
    ) -> None:
        """Add what makes it authentic to `headers` (names in lower case, `host` among them).

        `path` and `query` are escaped already; `payload` is its SHA-256 in hex, or UNSIGNED.
        """
        stamp = headers["x-amz-date"] = self._now()
        headers["x-amz-content-sha256"] = payload
        if keys.token:
            headers["x-amz-security-token"] = keys.token
        names = sorted(n for n in headers if n in _SIGNED or n.startswith("x-amz-"))
        signed = ";".join(names)
        lines = "".join([f"{name}:{_collapsed(headers[name])}\n" for name in names])
        request = f"{method}\n{path}\n{query}\n{lines}\n{signed}\n{payload}"
        digest = hashlib.sha256(request.encode("utf-8", "surrogateescape")).hexdigest()
        scope = f"{stamp[:8]}/{self._region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        signature = hmac.digest(self._key(keys, stamp[:8]), text.encode(), "sha256").hex()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={keys.access}/{scope}, "
            f"SignedHeaders={signed}, Signature={signature}"
        )

    def _now(self) -> str:
        second = int(self._wall())
        if second != self._second:
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
            self._stamp, self._second = stamp, second
            return stamp
        return self._stamp

    def _key(self, keys: Keys, day: str) -> bytes:
        kept = self._kept
        if kept is None or kept[1] != day or kept[0] != keys:
            key = b"AWS4" + keys.secret.encode()
            for part in (day, self._region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            kept = self._kept = (keys, day, key)
        return kept[2]


def _collapsed(value: str) -> str:
    return " ".join(value.split()) if "  " in value else value
