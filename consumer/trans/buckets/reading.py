"""Reads: what the user sees of a key while two stores hold parts of it.

First new; in doubt the tombstone; then old. Never a 404 for what is only out of reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from common.endpoints.flow import Reply
from common.errors import Transient
from consumer.trans.buckets.conditions import conditional, judged, without
from consumer.trans.buckets.faults import Fault
from consumer.trans.buckets.request import Request, passed, whole
from consumer.trans.buckets.routing import Found, Reads, Side, doubtful, shown
from consumer.trans.buckets.server import Answer
from consumer.trans.buckets.side import MARK, onward

_ONE = {Reads.OLD: Side.OLD, Reads.NEW: Side.NEW}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a user's object is, and what its store says of it."""

    side: Side
    headers: Mapping[str, str]


async def read(request: Request) -> Answer:
    """GET or HEAD of an object."""
    headers = onward(request.headers)
    if "if-range" in request.headers:
        headers.pop("range", None)  # all of it is always a right answer
    only = _ONE.get(request.route.reads)
    if only is not None:
        return passed(await _ask(request, only, headers), request.method)
    reply = await _visible(request, without(headers))
    if reply.status not in (200, 206):
        return passed(reply, request.method)
    shown_ = as_shown(reply.headers)
    verdict = judged(headers, reply.headers.get("etag", ""), shown_["last-modified"])
    if conditional(headers) and verdict != 200:
        reply.close()
        if verdict == 412:
            raise Fault("PreconditionFailed", "A condition of the request does not hold.")
        kept = {n: v for n, v in shown_.items() if n in ("etag", "last-modified", "cache-control")}
        return Answer(304, kept)
    answer = passed(reply, request.method)
    answer.headers = {**answer.headers, "last-modified": shown_["last-modified"]}
    return answer


async def tags(request: Request) -> Answer:
    """The tags of an object, from where it is."""
    side = _ONE.get(request.route.reads)
    if side is None:
        place = await locate(request)
        if place is None:
            raise no_such_key()
        side = place.side
    reply = await request.ask(side, "GET", query={"tagging": ""})
    return passed(reply, "GET")


async def locate(request: Request, *, bucket: str = "", key: str | None = None) -> Place | None:
    """Where the object is that the user sees; None if he sees none."""
    key = request.asked.key if key is None else key
    bucket = bucket or request.asked.bucket
    reads = request.route.reads
    if bucket != request.asked.bucket:
        reads = request.reach.routed(bucket, request.caller.tenant.id).reads
    if reads in _ONE:
        return await _place(request, _ONE[reads], bucket, key)
    new, sealed = await _place(request, Side.NEW, bucket, key), reads is Reads.SEALED
    found = Found(MARK in new.headers) if new else None
    buried = doubtful(found, sealed=sealed) and await _buried(request, bucket, key)
    side = shown(found, buried=buried, sealed=sealed)
    if side is Side.OLD:
        return await _place(request, Side.OLD, bucket, key)
    return new if side else None


def as_shown(headers: Mapping[str, str]) -> dict[str, str]:
    """A background copy shows the time of the object that it is a copy of."""
    found = dict(headers)
    modified = headers.get(MARK, "").partition(" ")[2]
    found["last-modified"] = modified or headers.get("last-modified", "")
    return found


def no_such_key() -> Fault:
    return Fault("NoSuchKey", "The specified key does not exist.")


async def _visible(request: Request, headers: dict[str, str]) -> Reply:
    """The answer of the store whose object the user sees."""
    sealed = request.route.reads is Reads.SEALED
    new = await _ask(request, Side.NEW, headers)
    found = Found(MARK in new.headers) if new.status in (200, 206) else None
    if new.status == 416:  # says nothing of the object: it is asked without the range
        place = await _place(request, Side.NEW, request.asked.bucket, request.asked.key)
        found = Found(MARK in place.headers) if place else None
    elif new.status != 404 and found is None:
        return new
    if found is None:
        await _absent(new, request.method)
    bucket, key = request.asked.bucket, request.asked.key
    buried = doubtful(found, sealed=sealed) and await _buried(request, bucket, key)
    side = shown(found, buried=buried, sealed=sealed)
    if side is Side.NEW:
        return new
    new.close()
    if side is None:
        raise no_such_key()
    return await _ask(request, Side.OLD, headers)


async def _absent(reply: Reply, method: str) -> None:
    """A 404 has to be of the key: of the bucket it says that we look in the wrong place."""
    if method != "HEAD" and reply.status == 404 and b"NoSuchBucket" in await whole(reply):
        raise Transient("the new store has no such bucket")


async def _ask(request: Request, side: Side, headers: dict[str, str]) -> Reply:
    return await request.ask(side, request.method, query=request.asked.query, headers=headers)


async def _place(request: Request, side: Side, bucket: str, key: str) -> Place | None:
    reply = await request.ask(side, "HEAD", bucket=bucket, key=key)
    reply.close()
    if reply.status == 404:
        return None
    if reply.status == 403:
        raise Fault("AccessDenied", "Access denied.")
    if reply.status != 200:
        raise Transient(f"HEAD of the {side} store: {reply.status}")
    return Place(side, reply.headers)


async def _buried(request: Request, bucket: str, key: str) -> bool:
    entry = await request.reach.run(lambda: request.reach.journal.look(bucket, key))
    return entry.tomb
