"""Requests as clients sign them: by botocore, which shares no code with our verifier, and chunks by
the letter of S3's description, held to its published example."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import botocore.auth
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ACCESS, SECRET, REGION = "AKIDCONVOY", "wJalrXUtnFEMI/K7MDENG", "us-east-1"
NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC).timestamp()
HOST = "s3.example.com"


def signed(
    method: str = "GET",
    target: str = "/bucket/key",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    *,
    at: float = NOW,
    access: str = ACCESS,
    secret: str = SECRET,
    region: str = REGION,
    service: str = "s3",
    payload: str = "",
    expires: int = 0,
) -> dict[str, Any]:
    """Method, target and headers of a signed request; presigned if it `expires`."""
    request = AWSRequest(method, f"http://{HOST}{target}", dict(headers or {}), body)
    if payload:
        request.headers["X-Amz-Content-SHA256"] = payload
    if expires:
        auth = S3SigV4QueryAuth(Credentials(access, secret), service, region, expires=expires)
    else:
        auth = S3SigV4Auth(Credentials(access, secret), service, region)
    request.context["payload_signing_enabled"] = True
    request.context["client_config"] = None
    moment = datetime.fromtimestamp(at, UTC).replace(tzinfo=None)
    with patch.object(botocore.auth, "get_current_datetime", lambda: moment):
        auth.add_auth(request)
    parts = urlsplit(request.url)
    found = {name.lower(): str(value) for name, value in request.headers.items()}
    where = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return {"method": method, "target": where, "headers": {"host": HOST, **found}}


def raw(request: Mapping[str, Any]) -> bytes:
    """The head on the wire, without its blank line."""
    lines = [f"{request['method']} {request['target']} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request["headers"].items()]
    return "\r\n".join(lines).encode("utf-8")


def chunked(
    pieces: Iterable[bytes], seed: str, *, key: bytes, stamp: str, scope: str, trailer: str = ""
) -> bytes:
    """A body in signed chunks, with a signed trailer ("name:value") if there is one."""
    last, wire = seed, b""
    for piece in [*pieces, b""]:
        text = "\n".join([stamp, scope, last, _sha(b""), _sha(piece)])
        last = _mac(key, f"AWS4-HMAC-SHA256-PAYLOAD\n{text}")
        wire += f"{len(piece):x};chunk-signature={last}\r\n".encode()
        wire += piece + b"\r\n" if piece else b""
    if trailer:
        text = "\n".join([stamp, scope, last, _sha(f"{trailer}\n".encode())])
        last = _mac(key, f"AWS4-HMAC-SHA256-TRAILER\n{text}")
        wire += f"{trailer}\r\nx-amz-trailer-signature:{last}\r\n".encode()
    return wire + b"\r\n"


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _mac(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
