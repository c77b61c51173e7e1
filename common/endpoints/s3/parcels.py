"""Small items: bytes in memory that one conditional PUT makes an object.

Written only over what was there when it was looked at; an answer that may be the echo of an
earlier try of ours is settled by looking. What the store then vouches for must be our MD5, or it
is read back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from common.digest import md5 as digest_of
from common.endpoints.place import Held
from common.endpoints.s3 import metadata
from common.endpoints.s3.client import Client
from common.endpoints.wire import Answer, Begun
from common.endpoints.wire.statuses import Unsupported
from common.errors import Corrupt, Missing, Occupied
from common.legible import legible

SPARE = 1024  # bytes that a wrong object may be longer and still be read
_ABSENT = {"if-none-match": "*"}
Headers = Mapping[str, str]


@dataclass(slots=True)
class Parcel:
    """An item staged in memory."""

    path: str
    held: Held
    key: str
    data: bytes
    md5: str
    headers: Headers
    begun: Begun | None = None  # it is on its way already, to a place that was free


def announce(client: Client, parcel: Parcel) -> None:
    """Send what `put` will put where nothing is; only to a store known to heed the condition."""
    if client.quirks.conditions and parcel.begun is None:
        headers = _sent(client, parcel, _ABSENT)
        parcel.begun = client.put_ahead(parcel.key, parcel.data, parcel.md5, headers)


def put(client: Client, parcel: Parcel, over: Held | None) -> Held:
    """Make it visible in the place of `over` (None: of nothing) at its own key."""
    answer = _over(client, parcel, over) if over else _new(client, parcel)
    return _proven(client, parcel, answer, fresh=over is None)


def agrees(parcel: Parcel, found: Headers | None) -> bool:
    """Is what is there just what we would write: contents, and all that belongs to them?"""
    if found is None or found.get("content-length") != str(len(parcel.data)):
        return False
    if metadata.vouched(found) != parcel.md5:
        return False
    theirs = {n: v for n, v in found.items() if n.startswith(metadata.META)}
    ours = {n: v for n, v in parcel.headers.items() if n.startswith(metadata.META)}
    content = [name for name in metadata.CONTENT if name in parcel.headers]
    return theirs == ours and all(found.get(n) == parcel.headers[n] for n in content)


def _new(client: Client, parcel: Parcel) -> Answer:
    if client.quirks.conditions is False:
        found = client.head(parcel.key)
        return _settled(client, parcel, found) if found else _send(client, parcel, {})
    try:
        answer = _send(client, parcel, _ABSENT)
    except Unsupported:
        client.quirks.conditions = False
        return _new(client, parcel)
    if answer.status != 200:
        return _settled(client, parcel)
    if client.quirks.conditions is None:  # does it heed them? once more, the very same, tells
        client.quirks.conditions = _send(client, parcel, _ABSENT).status == 412
    return answer


def _over(client: Client, parcel: Parcel, over: Held) -> Answer:
    """Rare enough to look first; the condition is for what happens in between."""
    found = client.head(parcel.key)
    if found is None or not _is(found, over):
        return _settled(client, parcel, found)
    etag = found["etag"]
    if client.quirks.matches:
        try:
            answer = _send(client, parcel, {"if-match": etag})
        except Unsupported:
            client.quirks.matches = False
            return _send(client, parcel, {})
        except Missing:
            raise _other(parcel) from None
        if answer.status == 200:
            return answer
        found = client.head(parcel.key)
        if found is None or found["etag"] != etag:
            return _settled(client, parcel, found)
        client.quirks.matches = False  # it refuses the right one: its answer means nothing
    return _send(client, parcel, {})


def _is(found: Headers, over: Held) -> bool:
    if over.version:
        return metadata.unquoted(found.get("etag", "")) == over.version
    return found.get("content-length") == str(over.size)


def _settled(client: Client, parcel: Parcel, found: Headers | None = None) -> Answer:
    """Somebody was quicker; if they wrote the very same, it was most likely a try of ours."""
    found = found or client.head(parcel.key)
    if found is None or not agrees(parcel, found):
        raise _other(parcel)
    return Answer(200, dict(found), b"", again=True)


def _other(parcel: Parcel) -> Occupied:
    return Occupied(f"{legible(parcel.path)}: the target holds something else by now")


def _send(client: Client, parcel: Parcel, condition: Headers) -> Answer:
    headers = _sent(client, parcel, condition)
    begun, parcel.begun = parcel.begun, None
    try:
        return client.put(parcel.key, parcel.data, parcel.md5, headers, begun)
    except Unsupported:
        if metadata.TAGGING not in headers or not client.quirks.tags:
            raise
    client.quirks.tags = False  # a store without tags; preflight has said so
    return _send(client, parcel, condition)


def _sent(client: Client, parcel: Parcel, condition: Headers) -> dict[str, str]:
    headers = {**parcel.headers, **condition}
    if not client.quirks.tags:
        headers.pop(metadata.TAGGING, None)
    return headers


def _proven(client: Client, parcel: Parcel, answer: Answer, *, fresh: bool) -> Held:
    written = metadata.unquoted(answer.headers.get("etag", ""))
    vouched = metadata.vouched(answer.headers)
    if vouched == parcel.md5:
        return parcel.held._replace(version=written)
    reply = client.get(parcel.key)
    version = metadata.unquoted(reply.headers.get("etag", ""))
    found = digest_of(reply.read(2 * len(parcel.data) + SPARE)).hexdigest()
    if found == parcel.md5:  # it is right; the ETag is something else than its MD5
        client.quirks.vouches = client.quirks.vouches and not vouched
        return parcel.held._replace(md5="", version=version)
    if fresh and version == written:  # there only for as long as we needed to read it
        client.delete(parcel.key)
    raise Corrupt(
        f"{legible(parcel.path)}: wrote {parcel.md5}, but the target holds {found}",
        hint="it was damaged on the way to a store that did not notice; it is moved again",
    )
