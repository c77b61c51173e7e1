"""Changes: carried out step by step as `routing.acts` says, each step durable before the next.

The journal knows of a change before the store does. What a user's request puts on the new store is
never marked as a background copy, and no request may bring the marker along.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from xml.sax.saxutils import escape

from common.digest import md5
from common.endpoints.flow import Body, Reply
from common.endpoints.s3.documents import records
from common.errors import Transient
from consumer.trans.buckets.conditions import named
from consumer.trans.buckets.faults import Fault, slow_down
from consumer.trans.buckets.reading import as_shown, locate, no_such_key
from consumer.trans.buckets.request import Request, ended, passed
from consumer.trans.buckets.routing import Act, Change, Side, Writes, acts
from consumer.trans.buckets.server import Answer
from consumer.trans.buckets.side import MARK, onward

TRIES = 5
MANY = 1000  # keys of one DeleteObjects
LARGEST = 5 << 30  # bytes that are copied up at once
_SIDES = {Act.OLD: Side.OLD, Act.NEW: Side.NEW}
Do = Callable[[Side], Awaitable[Answer]]


async def change(
    request: Request, kind: Change, do: Do, *, keys: list[str] | None = None
) -> Answer:
    """Carry out a change of one key, or of many in one request; `do` does it to one store."""
    exclusive, writes = request.switch.exclusive, request.route.writes
    touched = [request.asked.key] if keys is None else keys
    answer, claimed = Answer(500), list[tuple[str, str]]()
    for act in acts(kind, writes, exclusive=exclusive):
        if act in (Act.INTEND, Act.BURY):
            claimed = await _note(request, touched, bury=act is Act.BURY)
        elif act is Act.ABORT:
            await _abort(request, claimed)
        elif act is Act.RAISE:
            await raise_up(request)
        elif act in _SIDES:
            answer = await do(_SIDES[act])
        elif act is Act.SETTLE and writes is Writes.JOURNALLED and _over(answer):
            _settled(request, touched)
    return answer


def _over(answer: Answer) -> bool:
    """Is the change over, whether it happened or not? What failed for reasons of the store's own
    may still happen; it stays open in the journal, and the way back looks at it once more."""
    return answer.status < 500 and b"<Error>" not in answer.body


async def put(request: Request) -> Answer:
    """PUT of an object."""
    unmarked(request.headers)
    headers = await conditioned(request, onward(request.headers))

    async def do(side: Side) -> Answer:
        reply = await request.ask(side, "PUT", headers=headers, body=request.body())
        await contested(request, reply)
        return passed(reply, "PUT")

    return await change(request, Change.PUT, do)


async def delete(request: Request) -> Answer:
    """DELETE of an object."""
    if "if-match" in request.headers and request.route.writes is Writes.JOURNALLED:
        raise Fault("NotImplemented", "Conditional deletes wait until the bucket has moved.")

    async def do(side: Side) -> Answer:
        reply = await request.ask(side, "DELETE", headers=onward(request.headers))
        answer = passed(reply, "DELETE")
        gone = reply.status == 404 and side is Side.NEW
        if gone and answer.flow:
            reply.close()
        return Answer(204) if gone else answer

    return await change(request, Change.DELETE, do)


async def delete_many(request: Request) -> Answer:
    """DeleteObjects: every key gets its tombstone before any of them goes."""
    keys, quiet = listed(await request.document())
    text = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
    said = "<Quiet>true</Quiet>" if quiet else ""
    body = f"<Delete>{said}{text}</Delete>".encode()

    async def do(side: Side) -> Answer:
        return await _document(request, side, "POST", {"delete": ""}, body)

    return await change(request, Change.DELETE, do, keys=keys)


async def amend_tags(request: Request) -> Answer:
    """Tags are set or removed."""
    body = await request.document()

    async def do(side: Side) -> Answer:
        return await _document(request, side, request.method, {"tagging": ""}, body)

    return await change(request, Change.AMEND, do)


def unmarked(headers: Mapping[str, str]) -> None:
    """Refuse a request that brings the marker of background copies along."""
    if MARK in headers:
        raise Fault("InvalidArgument", f"{MARK} is reserved.")


async def conditioned(request: Request, headers: dict[str, str]) -> dict[str, str]:
    """The headers of a write, its conditions judged on the merged view and sent along as far as
    the new store heeds them. What it would not heed is refused, never left out."""
    if request.route.writes is not Writes.JOURNALLED:
        return headers
    match, none = headers.get("if-match"), headers.get("if-none-match")
    if match is None and none is None:
        return headers
    if match is not None and none is not None:
        raise Fault("NotImplemented", "One condition at a time.")
    heeded = request.switch.exclusive if none is not None else request.switch.matches
    if not heeded or (none is not None and none.strip() != "*"):
        raise Fault("NotImplemented", "The new store does not heed this condition.")
    place = await locate(request)
    if none is not None:
        if place:
            raise Fault("PreconditionFailed", "The object is there already.")
    elif place is None:
        raise no_such_key()
    elif not named(match or "", place.headers.get("etag", "")):
        raise Fault("PreconditionFailed", "The object is another one by now.")
    elif place.side is Side.OLD:
        await raise_up(request)
    return headers


async def contested(request: Request, reply: Reply) -> None:
    """A store that refuses a first write, though the user sees no object there, holds the copy of
    something deleted: the janitor's business, and no answer to the user."""
    first = "if-none-match" in request.headers and request.route.writes is Writes.JOURNALLED
    if reply.status == 412 and first and await locate(request) is None:
        reply.close()
        raise slow_down("What was there is still being removed; come again.")


async def raise_up(request: Request) -> None:
    """Copy an object up from old, as a background copy does, because it is to be changed."""
    place = await locate(request)
    if place is None:
        raise no_such_key()
    if place.side is Side.NEW:
        return
    etag, size = place.headers.get("etag", ""), place.headers.get("content-length", "")
    plain = "-" not in etag and size.isdigit() and int(size) <= LARGEST
    if not plain or not request.switch.exclusive:
        raise slow_down("The object has not been moved yet; come again later.")
    tenant, reach = request.caller.tenant.id, request.reach
    old = await request.ask(
        Side.OLD, "GET", headers={"if-match": etag}, keys=reach.principal(tenant, Side.OLD)
    )
    if old.status != 200 or old.length is None:
        old.close()
        raise Transient(f"GET of the old store: {old.status}")
    new = await request.ask(
        Side.NEW,
        "PUT",
        headers={**marked(old.headers, request.switch.epoch), "if-none-match": "*"},
        body=Body(old.length, flow=old.chunks()),
        keys=reach.principal(tenant, Side.NEW),
    )
    new.close()
    if new.status not in (200, 412):  # 412: somebody was quicker
        raise Transient(f"PUT to the new store: {new.status}")


def marked(headers: Mapping[str, str], epoch: int) -> dict[str, str]:
    """The headers of a background copy of an object with these."""
    kept = {n: v for n, v in onward(headers).items() if n in CARRIED or n.startswith("x-amz-meta-")}
    etag = headers.get("etag", "").strip('"')
    modified = as_shown(headers)["last-modified"]
    return {**kept, MARK: f"{epoch}:{etag} {modified}".rstrip()}


CARRIED = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
    }
)


def listed(document: bytes) -> tuple[list[str], bool]:
    """The keys of a DeleteObjects, and whether it wants to hear of failures only."""
    try:
        own, found = records([document], ("Object",))
    except Transient:
        raise Fault("MalformedXML", "The document is not well formed.") from None
    if any(record.keys() - {"", "Key"} for record in found):
        raise Fault("NotImplemented", "Versions and conditions of single keys are not known here.")
    keys = [record.get("Key", "") for record in found]
    if not keys or len(keys) > MANY or not all(keys):
        raise Fault("MalformedXML", "The document names no keys, or too many.")
    return keys, own.get("Quiet") == "true"


async def _document(
    request: Request, side: Side, method: str, query: Mapping[str, str], body: bytes
) -> Answer:
    headers = onward(request.headers)
    for name in [name for name in headers if name.startswith("x-amz-checksum-")]:
        del headers[name]  # of the document as it came; it was proven then
    if body:
        headers["content-md5"] = base64.b64encode(md5(body).digest()).decode()
    reply = await request.ask(
        side, method, query=query, headers=headers, body=Body(len(body), body)
    )
    return await ended(reply)


async def _note(request: Request, keys: list[str], *, bury: bool) -> list[tuple[str, str]]:
    """Write the intents; the background uploads that are known, each with its key."""
    bucket, journal = request.asked.bucket, request.reach.journal

    def note() -> list[tuple[str, str]]:
        entries = [journal.intend(bucket, key, bury=bury) for key in keys]
        return [(entry.key, upload) for entry in entries for upload in entry.uploads]

    return await request.reach.run(note)


async def _abort(request: Request, claimed: list[tuple[str, str]]) -> None:
    """End background uploads, until the store knows them no more."""
    keys = request.reach.principal(request.caller.tenant.id, Side.NEW)
    for key, upload in claimed:
        for _ in range(TRIES):
            query = {"uploadId": upload}
            reply = await request.ask(Side.NEW, "DELETE", key=key, query=query, keys=keys)
            reply.close()
            if reply.status == 404:
                break
        else:
            raise Transient(f"an upload that cannot be ended: {reply.status}")


def _settled(request: Request, keys: list[str]) -> None:
    bucket, journal = request.asked.bucket, request.reach.journal
    for key in keys:
        request.reach.later(lambda key=key: journal.settle(bucket, key))  # type: ignore[misc]
