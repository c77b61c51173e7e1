"""Tries out what a store really does, under names of our own that are removed again.

What servers say of themselves is not asked: some ignore a condition without a word, some refuse
the right one, some store what was damaged on the way.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from secrets import token_hex

from common.digest import EMPTY, md5
from common.endpoints.place import Capabilities
from common.endpoints.s3 import metadata
from common.endpoints.s3.client import Client
from common.endpoints.template import RESERVED
from common.endpoints.wire.statuses import Unsupported
from common.errors import Corrupt, Missing, Permanent, Transient

RIVALS = 12  # writers at once; a store that is not atomic lets several of them win,
ROUNDS = 4  # but not always


@dataclass(frozen=True, slots=True)
class Traits:
    """What a store turned out to do."""

    exclusive: bool  # of several writers with If-None-Match: * exactly one wins
    matches: bool  # If-Match lets the right ETag pass, and no other
    checks_md5: bool  # a wrong Content-MD5 is refused
    vouches: bool  # a plain ETag is the MD5 of the contents
    markers: bool  # "name/" and "name/below" can be there at once
    headers: bool  # content headers and user metadata come back
    tags: bool
    folds: bool  # names in another case or Unicode form are the same name


def probe(client: Client, prefix: str) -> Traits:
    """Try it out below `prefix`, which is a place where we may write."""
    with _room(client, prefix) as room:
        return Traits(
            exclusive=_exclusive(client, f"{room}exclusive"),
            matches=_matches(client, f"{room}matches"),
            checks_md5=_checks(client, f"{room}checks"),
            vouches=_vouches(client, f"{room}vouches"),
            markers=_markers(client, f"{room}markers"),
            headers=_headers(client, f"{room}headers"),
            tags=_tags(client, f"{room}tags"),
            folds=_folds(client, f"{room}folds"),
        )


def capabilities(traits: Traits | None = None) -> Capabilities:
    """What a place in S3 can hold: of a source anything, of a target what was tried."""
    return Capabilities(
        links=traits is None or traits.markers,
        hardlinks=False,
        owners=True,
        modes=True,
        xattrs=False,
        sparse=False,
        directories=traits is None or traits.markers,
        headers=traits is None or traits.headers,
        tags=traits is None or traits.tags,
        any_name=False,
        conditional=traits is not None and traits.exclusive,
        folds=traits is not None and traits.folds,
        vouches=traits is None or traits.vouches,
    )


@contextmanager
def _room(client: Client, prefix: str) -> Iterator[str]:
    room = f"{prefix}{RESERVED}-probe-{token_hex(8)}/"
    try:
        yield room
    finally:
        for _ in range(ROUNDS):  # a write that lost may come back late
            left = [entry.key for page in client.pages(room) for entry in page.entries]
            for key in left:
                client.delete(key)
            if not left:
                break


def _exclusive(client: Client, key: str) -> bool:
    """One winner in every round, and none once it is there."""
    start = threading.Barrier(RIVALS)

    def write(number: int, name: str) -> bool:
        data = str(number).encode()
        client.head(name)  # everyone has a connection before it begins
        start.wait(timeout=60)
        try:
            return _put(client, name, data, {"if-none-match": "*"}) == 200
        except (Unsupported, Transient):
            return False

    with ThreadPoolExecutor(RIVALS, "rival") as rivals:
        for round_ in range(ROUNDS):
            if sum(rivals.map(write, range(RIVALS), [f"{key}/{round_}"] * RIVALS)) != 1:
                return False
        return not any(rivals.map(write, range(RIVALS), [f"{key}/0"] * RIVALS))


def _matches(client: Client, key: str) -> bool:
    _put(client, key, b"one")
    right, wrong = md5(b"one").hexdigest(), md5(b"none").hexdigest()
    try:
        if _put(client, key, b"two", {"if-match": f'"{wrong}"'}) == 200:
            return False
        return _put(client, key, b"two", {"if-match": f'"{right}"'}) == 200
    except Permanent:
        return False


def _checks(client: Client, key: str) -> bool:
    try:
        client.put(key, b"one", md5(b"another").hexdigest(), {})
    except Corrupt:
        return True
    return False


def _vouches(client: Client, key: str) -> bool:
    _put(client, key, b"contents")
    return metadata.vouched(client.head(key) or {}) == md5(b"contents").hexdigest()


def _markers(client: Client, key: str) -> bool:
    try:
        client.put(f"{key}/", b"", EMPTY, {})
        _put(client, f"{key}/below", b"x")
    except (Permanent, Transient):
        return False
    return client.head(key) is None and client.head(f"{key}/") is not None


def _headers(client: Client, key: str) -> bool:
    sent = {
        "content-type": "text/x-convoy",
        "cache-control": "max-age=60",
        "content-disposition": "inline",
        "content-encoding": "gzip",
        "content-language": "de",
        "expires": "Thu, 01 Dec 2044 16:00:00 GMT",
        f"{metadata.META}convoy": "a  b",
    }
    _put(client, key, b"x", sent)
    found = client.head(key) or {}
    return all(found.get(name) == value for name, value in sent.items())


def _tags(client: Client, key: str) -> bool:
    _put(client, key, b"x")
    try:
        if client.tags(key) is None:
            return False
        client.set_tags(key, {"convoy": "1"})
        return client.tags(key) == {"convoy": "1"}
    except (Permanent, Transient, Missing):
        return False


def _folds(client: Client, key: str) -> bool:
    _put(client, f"{key}-case", b"x")
    _put(client, f"{key}-form-\u00e9", b"x")
    others = (f"{key}-CASE", f"{key}-form-e\u0301")
    return any(client.head(other) is not None for other in others)


def _put(client: Client, key: str, data: bytes, headers: dict[str, str] | None = None) -> int:
    return client.put(key, data, md5(data).hexdigest(), headers or {}).status
