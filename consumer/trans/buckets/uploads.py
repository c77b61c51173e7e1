"""Multipart uploads. Their ids say on which store they are: one begun on new carries a prefix
outward, so that no record of it is needed, and an upload is never continued on the other store.

An upload that was begun on old and is still open at the switch is over: it is no longer known.
"""

from __future__ import annotations

import re

from common.endpoints.flow import Body
from consumer.trans.buckets.changing import change, conditioned, contested, unmarked
from consumer.trans.buckets.faults import Fault
from consumer.trans.buckets.operation import Op
from consumer.trans.buckets.request import Request, ended, passed, whole
from consumer.trans.buckets.routing import Change, Side, Writes
from consumer.trans.buckets.server import Answer
from consumer.trans.buckets.side import onward

PREFIX = "convoy."  # of the id of an upload to new
_ID = re.compile(rb"<(UploadId|NextUploadIdMarker|UploadIdMarker)>([^<]+)<")
_METHODS = {Op.PART: "PUT", Op.PARTS: "GET", Op.ABORT: "DELETE"}


def side_of(request: Request) -> Side:
    """Where uploads are begun by the present route."""
    return Side.OLD if request.route.writes in (Writes.OLD, Writes.TRACKED) else Side.NEW


def inward(request: Request) -> str:
    """The store's own id of the upload. Fault if it is none of the store that would be asked."""
    upload, side = request.asked.query["uploadId"], side_of(request)
    ours = upload.startswith(PREFIX)
    settled = request.route.writes is Writes.NEW  # new alone: whoever gave the id gave new's
    if ours is not (side is Side.NEW) and not (settled and not ours):
        raise Fault("NoSuchUpload", "The upload does not exist; it may have been aborted.")
    return upload.removeprefix(PREFIX)


async def create(request: Request) -> Answer:
    """CreateMultipartUpload. Changes nothing yet that anyone could see."""
    unmarked(request.headers)
    await request.document()
    side = side_of(request)
    reply = await request.ask(side, "POST", query={"uploads": ""}, headers=onward(request.headers))
    return _named(request, Answer(reply.status, dict(reply.headers), await whole(reply)))


async def part(request: Request) -> Answer:
    """UploadPart, ListParts and AbortMultipartUpload."""
    query = {**request.asked.query, "uploadId": inward(request)}
    body = request.body() if request.asked.op is Op.PART else None
    method = _METHODS[request.asked.op]
    headers = onward(request.headers)
    reply = await request.ask(side_of(request), method, query=query, headers=headers, body=body)
    if request.asked.op is not Op.PARTS or reply.status != 200:
        return passed(reply, method)
    return _named(request, Answer(reply.status, dict(reply.headers), await whole(reply)))


async def complete(request: Request) -> Answer:
    """CompleteMultipartUpload: the moment at which the object appears."""
    query = {"uploadId": inward(request)}
    body = await request.document()
    headers = await conditioned(request, onward(request.headers))

    async def do(side: Side) -> Answer:
        reply = await request.ask(
            side, "POST", query=query, headers=headers, body=Body(len(body), body)
        )
        await contested(request, reply)
        return await ended(reply)

    return await change(request, Change.PUT, do)


async def listed(request: Request) -> Answer:
    """ListMultipartUploads of the store on which uploads are begun."""
    query = dict(request.asked.query)
    marker = query.get("upload-id-marker", "")
    if marker:
        query["upload-id-marker"] = marker.removeprefix(PREFIX)
    reply = await request.ask(side_of(request), "GET", query=query)
    if reply.status != 200:
        return passed(reply, "GET")
    return _named(request, Answer(reply.status, dict(reply.headers), await whole(reply)))


def _named(request: Request, answer: Answer) -> Answer:
    """The ids in an answer, as clients know them."""
    prefix = PREFIX.encode() if side_of(request) is Side.NEW else b""
    body = _ID.sub(rb"<\1>" + prefix + rb"\2<", answer.body)
    kept = {n: v for n, v in answer.headers.items() if n in ("content-type", "x-amz-request-id")}
    return Answer(answer.status, kept, body)
