"""Lists a bucket of which two stores hold parts, as one, in the shape that S3 gives it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import quote
from xml.sax.saxutils import escape

from common.endpoints.s3.documents import records, unescaped
from common.errors import Transient
from consumer.trans.buckets.faults import Fault
from consumer.trans.buckets.merging import (
    NOTHING,
    Name,
    Page,
    Query,
    after,
    behind,
    horizon,
    merged,
    token,
)
from consumer.trans.buckets.operation import Op
from consumer.trans.buckets.request import Request, passed, whole
from consumer.trans.buckets.routing import Found, Reads, Side, shown
from consumer.trans.buckets.server import Answer
from consumer.trans.buckets.side import MARK

MOST = 1000
_SIDES = {
    Reads.OLD: (Side.OLD,),
    Reads.MERGED: (Side.OLD, Side.NEW),
    Reads.SEALED: (Side.NEW,),
    Reads.NEW: (Side.NEW,),
}
_FIELDS = ("LastModified", "ETag", "Size", "StorageClass")
_SPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a listing is asked for."""

    query: Query
    start: str  # names behind this
    most: int
    encode: bool
    second: bool  # version 2
    given: str  # the token or marker, as it came


async def listed(request: Request) -> Answer:
    """ListObjects and ListObjectsV2."""
    wanted = _wanted(request)
    foreign = _foreign(request, wanted)
    single = len(_SIDES[request.route.reads]) == 1 and request.route.reads is not Reads.SEALED
    if single and foreign:  # a token of the store itself: it knows what it means
        side = _SIDES[request.route.reads][0]
        return passed(await request.ask(side, "GET", query=request.asked.query), "GET")
    if foreign:
        raise Fault("InvalidArgument", "The continuation token is not known.")
    found: list[Name] = []
    if wanted.most:
        async with aclosing(_names(request, wanted.query, wanted.start)) as names:
            async for name in names:
                found.append(name)
                if len(found) > wanted.most:
                    break
    more = len(found) > wanted.most
    return Answer(200, {"content-type": "application/xml"}, _document(wanted, found, more=more))


def _foreign(request: Request, wanted: Wanted) -> bool:
    given = request.asked.query.get("continuation-token")
    return given is not None and after(wanted.query, given) is None


def _wanted(request: Request) -> Wanted:
    asked = request.asked.query
    second = request.asked.op is Op.LIST_2
    query = Query(request.asked.bucket, asked.get("prefix", ""), asked.get("delimiter", ""))
    most = asked.get("max-keys", str(MOST))
    if not most.isascii() or not most.isdigit() or len(most) > 9:
        raise Fault("InvalidArgument", "max-keys is no number.")
    if asked.get("encoding-type", "url") != "url" or asked.get("list-type", "2") != "2":
        raise Fault("InvalidArgument", "A type that is not known.")
    given = asked.get("continuation-token" if second else "marker", "")
    start = asked.get("start-after", "") if second else given
    if second and given:
        start = after(query, given) or ""
    if not second and query.delimiter and given.endswith(query.delimiter):
        start = behind(Name(given))
    encode = "encoding-type" in asked
    return Wanted(query, start, min(int(most), MOST), encode, second, given)


async def _names(request: Request, query: Query, start: str) -> AsyncGenerator[Name, None]:
    """Every name that the user sees behind `start`, in order."""
    while True:
        sides = _SIDES[request.route.reads]
        old = await _page(request, Side.OLD, query, start) if Side.OLD in sides else NOTHING
        new = await _page(request, Side.NEW, query, start) if Side.NEW in sides else NOTHING
        end = horizon((old, new))
        gone, own = await _judged(request, query, old, new, start=start, end=end)
        for name in merged(old, new, gone=gone, own=own):
            yield name
        if end is None:
            return
        last = [n for page in (old, new) for n in page.names if n.text == end]
        start = behind(last[0])


async def _judged(
    request: Request, query: Query, old: Page, new: Page, *, start: str, end: str | None
) -> tuple[set[str], set[str]]:
    """Names that the user does not see, and keys that users changed."""
    if request.route.reads not in (Reads.MERGED, Reads.SEALED):
        return set(), set()
    bucket, journal = request.asked.bucket, request.reach.journal
    last = None if end is None else behind(Name(end))
    entries = await request.reach.run(lambda: list(journal.between(bucket, start, last)))
    own = {entry.key for entry in entries if entry.changes}
    buried = {entry.key for entry in entries if entry.tomb}
    there = {name.text for name in new.names}
    gone = set()
    for key in buried:
        marked = await _marked(request, key) if key in there else None
        sealed = request.route.reads is Reads.SEALED
        if shown(marked, buried=True, sealed=sealed) is not Side.NEW:
            gone.add(key)
    for name in (*old.names, *new.names):
        below = any(key.startswith(name.text) for key in buried)
        if name.folded and below and await _empty(request, query, name.text):
            gone.add(name.text)
    return gone, own


async def _empty(request: Request, query: Query, prefix: str) -> bool:
    """Is everything below the prefix deleted?"""
    inside = Query(query.bucket, prefix, "")
    async with aclosing(_names(request, inside, "")) as names:
        async for _ in names:
            return False
    return True


async def _marked(request: Request, key: str) -> Found | None:
    reply = await request.ask(Side.NEW, "HEAD", key=key)
    reply.close()
    if reply.status == 404:
        return None
    if reply.status != 200:
        raise Transient(f"HEAD of the new store: {reply.status}")
    return Found(MARK in reply.headers)


async def _page(request: Request, side: Side, query: Query, start: str) -> Page:
    asked = {"list-type": "2", "encoding-type": "url", "max-keys": str(MOST)}
    asked |= {"prefix": query.prefix} if query.prefix else {}
    asked |= {"delimiter": query.delimiter} if query.delimiter else {}
    asked |= {"start-after": start} if start else {}
    reply = await request.ask(side, "GET", key="", query=asked)
    body = await whole(reply)
    if reply.status == 403:
        raise Fault("AccessDenied", "Access denied.")
    if reply.status != 200:
        raise Transient(f"LIST of the {side} store: {reply.status}")
    return _parsed(body, query, start)


def _parsed(body: bytes, query: Query, start: str) -> Page:
    own, found = records([body], ("Contents", "CommonPrefixes"))
    coded = own.get("EncodingType") == "url"
    names = []
    for record in found:
        raw = record.get("Prefix" if record[""] == "CommonPrefixes" else "Key", "")
        text = unescaped(raw) if coded else raw
        folded = record[""] == "CommonPrefixes"
        names.append(Name(text, None if folded else {f: record.get(f, "") for f in _FIELDS}))
    names.sort(key=lambda name: name.text.encode("utf-8", "surrogateescape"))
    if not all(name.text.startswith(query.prefix) for name in names):
        raise Transient("a listing with keys that were not asked for")
    names = [name for name in names if behind(name) > start]
    more = own.get("IsTruncated") == "true"
    if more and not names:
        raise Transient("a listing that goes on, and does not get on")
    return Page(tuple(names), more)


def _document(wanted: Wanted, found: list[Name], *, more: bool) -> bytes:
    given = found[: wanted.most]
    query, text = wanted.query, _spelled(wanted)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<ListBucketResult {_SPACE}>"]
    lines += [f"<Name>{query.bucket}</Name>", f"<Prefix>{text(query.prefix)}</Prefix>"]
    if query.delimiter:
        lines.append(f"<Delimiter>{text(query.delimiter)}</Delimiter>")
    lines.append(f"<MaxKeys>{wanted.most}</MaxKeys>")
    if wanted.encode:
        lines.append("<EncodingType>url</EncodingType>")
    lines.append(f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>")
    lines += (
        _second(wanted, given, more=more) if wanted.second else _first(wanted, given, more=more)
    )
    for name in given:
        if name.fields is None:
            lines.append(f"<CommonPrefixes><Prefix>{text(name.text)}</Prefix></CommonPrefixes>")
        else:
            said = "".join(f"<{f}>{escape(v)}</{f}>" for f, v in name.fields.items() if v)
            lines.append(f"<Contents><Key>{text(name.text)}</Key>{said}</Contents>")
    return "\n".join([*lines, "</ListBucketResult>"]).encode("utf-8")


def _first(wanted: Wanted, given: list[Name], *, more: bool) -> Iterable[str]:
    text = _spelled(wanted)
    yield f"<Marker>{text(wanted.given)}</Marker>"
    if more and given and wanted.query.delimiter:
        yield f"<NextMarker>{text(given[-1].text)}</NextMarker>"


def _second(wanted: Wanted, given: list[Name], *, more: bool) -> Iterable[str]:
    yield f"<KeyCount>{len(given)}</KeyCount>"
    if wanted.given:
        yield f"<ContinuationToken>{escape(wanted.given)}</ContinuationToken>"
    if more and given:
        following = token(wanted.query, behind(given[-1]))
        yield f"<NextContinuationToken>{following}</NextContinuationToken>"


def _spelled(wanted: Wanted) -> Callable[[str], str]:
    return _url if wanted.encode else escape


def _url(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe="/-_.~*")
