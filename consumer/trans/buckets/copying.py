"""CopyObject and UploadPartCopy: on the new store where it has what the user sees, else from old to
new through the gateway, as a stream. What is made is the user's own: never marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from common.endpoints.flow import Body, Reply
from common.endpoints.s3.documents import records
from common.endpoints.s3.signer import encoded
from common.errors import Transient
from consumer.trans.buckets.changing import CARRIED, change, unmarked
from consumer.trans.buckets.conditions import judged
from consumer.trans.buckets.faults import Fault
from consumer.trans.buckets.operation import source
from consumer.trans.buckets.reading import Place, as_shown, locate, no_such_key
from consumer.trans.buckets.request import Request, ended, passed, whole
from consumer.trans.buckets.routing import Change, Side, Writes
from consumer.trans.buckets.server import Answer
from consumer.trans.buckets.side import onward, outward
from consumer.trans.buckets.uploads import inward, side_of

LARGEST = 5 << 30
_SOURCE = "x-amz-copy-source"


async def copy(request: Request) -> Answer:
    """CopyObject."""
    unmarked(request.headers)
    await request.document()
    bucket, key = source(request.headers[_SOURCE])
    place = await _found(request, bucket, key)
    directive = request.headers.get("x-amz-metadata-directive", "COPY")
    if (bucket, key) == (request.asked.bucket, request.asked.key) and directive == "COPY":
        raise Fault("InvalidRequest", "An object is copied onto itself only to change it.")

    async def do(side: Side) -> Answer:
        if place.side is side:
            headers = _within(request, place, bucket, key)
            return await ended(await request.ask(side, "PUT", headers=headers))
        return await _across(request, side, place, bucket, key)

    return await change(request, Change.PUT, do)


async def part_copy(request: Request) -> Answer:
    """UploadPartCopy: nothing is visible before the upload is joined."""
    upload, side = inward(request), side_of(request)
    bucket, key = source(request.headers[_SOURCE])
    place = await _found(request, bucket, key)
    query = {**request.asked.query, "uploadId": upload}
    if place.side is side:
        headers = {**_plain(onward(request.headers)), _SOURCE: encoded(f"/{bucket}/{key}")}
        headers["x-amz-copy-source-if-match"] = place.headers.get("etag", "")
        reply = await request.ask(side, "PUT", query=query, headers=headers)
        return passed(reply, "PUT")
    span = request.headers.get("x-amz-copy-source-range", "")
    old = await _opened(request, place, bucket, key, {"range": span} if span else {})
    new = await request.ask(side, "PUT", query=query, body=_flowing(old))
    return await _result(new, "CopyPartResult")


def _within(request: Request, place: Place, bucket: str, key: str) -> dict[str, str]:
    """Within one store: by the store itself, of exactly what was seen, and without the marker."""
    headers = {**_plain(onward(request.headers)), _SOURCE: encoded(f"/{bucket}/{key}")}
    headers["x-amz-copy-source-if-match"] = place.headers.get("etag", "")
    journalled = request.route.writes is Writes.JOURNALLED
    if journalled and headers.get("x-amz-metadata-directive", "COPY") == "COPY":
        headers |= _described(place.headers)
        headers["x-amz-metadata-directive"] = "REPLACE"
    return headers


async def _across(request: Request, side: Side, place: Place, bucket: str, key: str) -> Answer:
    headers = _plain(onward(request.headers))
    if headers.pop("x-amz-metadata-directive", "COPY") == "COPY":
        headers = {n: v for n, v in headers.items() if not _describes(n)}
        headers |= _described(place.headers)
    if headers.pop("x-amz-tagging-directive", "COPY") == "COPY":
        headers.pop("x-amz-tagging", None)
        headers |= await _tags(request, place.side, bucket, key)
    old = await _opened(request, place, bucket, key, {})
    new = await request.ask(side, "PUT", headers=headers, body=_flowing(old))
    return await _result(new, "CopyObjectResult")


async def _found(request: Request, bucket: str, key: str) -> Place:
    place = await locate(request, bucket=bucket, key=key)
    if place is None:
        raise no_such_key()
    conditions = {
        name.removeprefix(f"{_SOURCE}-"): value
        for name, value in request.headers.items()
        if name.startswith(f"{_SOURCE}-if-")
    }
    shown = as_shown(place.headers)
    if judged(conditions, shown.get("etag", ""), shown["last-modified"]) != 200:
        raise Fault("PreconditionFailed", "A condition of the source does not hold.")
    whole_ = "x-amz-copy-source-range" not in request.headers
    if whole_ and int(place.headers.get("content-length") or 0) > LARGEST:
        raise Fault("InvalidRequest", "The source is too large to be copied at once.")
    return place


async def _opened(
    request: Request, place: Place, bucket: str, key: str, headers: Mapping[str, str]
) -> Reply:
    """The source, of the very generation that was seen."""
    pinned = {"if-match": place.headers.get("etag", ""), **headers}
    reply = await request.ask(place.side, "GET", bucket=bucket, key=key, headers=pinned)
    if reply.status not in (200, 206) or reply.length is None:
        reply.close()
        raise Transient(f"the source of a copy: {reply.status}")
    return reply


async def _tags(request: Request, side: Side, bucket: str, key: str) -> dict[str, str]:
    reply = await request.ask(side, "GET", bucket=bucket, key=key, query={"tagging": ""})
    body = await whole(reply)
    if reply.status in (404, 501) or b"<Tagging" not in body[:1000]:
        return {}
    if reply.status != 200:
        raise Transient(f"the tags of a source: {reply.status}")
    _, found = records([body], ("Tag",))
    pairs = {record.get("Key", ""): record.get("Value", "") for record in found}
    return {"x-amz-tagging": urlencode(pairs)} if pairs else {}


async def _result(reply: Reply, name: str) -> Answer:
    body = await whole(reply)
    if reply.status != 200:
        return Answer(reply.status, {"content-type": "application/xml"}, body)
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<{name}><LastModified>{at}</LastModified>"
        f"<ETag>{escape(reply.headers.get('etag', ''))}</ETag></{name}>"
    )
    return Answer(200, {"content-type": "application/xml"}, text.encode())


def _flowing(reply: Reply) -> Body:
    return Body(reply.length or 0, flow=reply.chunks())


def _plain(headers: dict[str, str]) -> dict[str, str]:
    """Without what was said of the source."""
    return {n: v for n, v in headers.items() if not n.startswith(_SOURCE)}


def _describes(name: str) -> bool:
    return name in CARRIED or name.startswith("x-amz-meta-")


def _described(headers: Mapping[str, str]) -> dict[str, str]:
    """What an object says of itself, without the marker."""
    return {n: v for n, v in onward(outward(headers)).items() if _describes(n)}
