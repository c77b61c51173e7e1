"""Objects written in parts: begun, sent part by part, joined; listed and abandoned.

A part is right when the store's ETag of it is the MD5 of our bytes. Nothing here ever abandons
an upload whose name it was not given.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from common.digest import md5 as digest_of
from common.endpoints.s3 import documents
from common.endpoints.s3.channel import Body
from common.endpoints.s3.client import Client
from common.endpoints.s3.metadata import plain
from common.errors import Corrupt, Missing, Transient

PARTS = 10_000  # an object has no more
SMALLEST = 5 << 20  # bytes; every part but the last has at least this


class Part(NamedTuple):
    """A part as the store lists it."""

    number: int
    size: int
    etag: str


def create(client: Client, key: str, headers: Mapping[str, str]) -> str:
    """Begin an upload; its name."""
    answer = client.channel.request("POST", key, {"uploads": ""}, headers)
    own, _ = documents.records([answer.body], ())
    if not own.get("UploadId"):
        raise Transient(f"POST {client.location}: an upload without a name")
    return own["UploadId"]


def send(client: Client, key: str, upload: str, number: int, data: Body) -> str:
    """Send one part; the MD5 under which it is held. Corrupt if the store holds other bytes."""
    digest = digest_of(data).hexdigest()
    query = {"partNumber": str(number), "uploadId": upload}
    sent = {"content-md5": base64.b64encode(bytes.fromhex(digest)).decode()}
    answer = client.channel.request("PUT", key, query, sent, data)
    held = plain(answer.headers.get("etag", ""))
    if held and held != digest:
        raise Corrupt(f"part {number}: sent {digest}, but the store holds {held}")
    return digest


def parts(
    client: Client, key: str, upload: str, *, after: int = 0, most: int = 0
) -> Iterator[Part]:
    """What has arrived, in order; Missing if there is no such upload."""
    query = {"uploadId": upload}
    query |= {"max-parts": str(most)} if most else {}
    while True:
        if after:
            query["part-number-marker"] = str(after)
        answer = client.channel.request("GET", key, query, {})
        own, found = documents.records([answer.body], ("Part",))
        for record in found:
            number = documents.number(record.get("PartNumber", ""))
            size = documents.number(record.get("Size", ""))
            if number > after:
                yield Part(number, size, record.get("ETag", "").strip('"'))
                after = number
        following = own.get("NextPartNumberMarker", "")
        if most or own.get("IsTruncated") != "true" or not found or following == "0":
            return


def complete(
    client: Client, key: str, upload: str, etags: Iterable[str], headers: Mapping[str, str]
) -> bool:
    """Join the parts 1, 2, ... into the object. False if the upload is not there (any more): it
    was abandoned, or an earlier try has joined it; the caller looks."""
    body = documents.completion(etags)
    try:
        client.channel.request("POST", key, {"uploadId": upload}, headers, body)
    except Missing:
        return False
    return True


def abort(client: Client, key: str, upload: str) -> None:
    """Abandon an upload and its parts; absent already is success."""
    client.channel.request("DELETE", key, {"uploadId": upload}, {}, accept=(200, 204, 404))


def joined(digests: Iterable[str]) -> str:
    """The ETag of an object made of parts with these MD5s."""
    raw = [bytes.fromhex(digest) for digest in digests]
    return f"{digest_of(b''.join(raw)).hexdigest()}-{len(raw)}"
