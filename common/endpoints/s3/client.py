"""The requests of S3 that concern objects and listings (uploads in parts: `uploads`).

Says nothing of items or users. Believes no listing that answers what it was not asked.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from common.digest import md5 as digest
from common.endpoints.s3.channel import Body, Channel
from common.endpoints.s3.documents import Entry, Page, page, records, tagging
from common.endpoints.s3.location import Location
from common.endpoints.s3.metadata import vouched
from common.endpoints.s3.signer import encoded
from common.endpoints.wire import Answer, Begun, Reply, Timeouts
from common.errors import Permanent, Transient

COPIED = 5 << 30  # bytes; S3 copies no larger object in one request
PAGE = 1000
SAMPLE = 1 << 20  # bytes
HEAD = 1000  # bytes of a document by which it is known


@dataclass(slots=True)
class Quirks:
    """What this store turned out to do differently; learnt on the way, kept per process."""

    conditions: bool | None = None  # If-None-Match: * on a PUT is heeded
    matches: bool = True  # If-Match on a PUT means what it says
    markers: bool | None = None  # a key may end in "/" beside keys that go on behind it
    tags: bool = True
    vouches: bool | None = None  # plain ETags are MD5s of the contents (no KMS encryption)


class Client:
    """One bucket. Safe from many threads; not across a fork (see `client`)."""

    def __init__(self, location: Location, limits: Timeouts) -> None:
        self.location, self.quirks = location, Quirks()
        self.channel = Channel(location, limits)

    def head(self, key: str, query: Mapping[str, str] | None = None) -> dict[str, str] | None:
        """The headers of an object; None if there is none."""
        answer = self.channel.request("HEAD", key, query or {}, {}, accept=(200, 206, 404))
        if answer.status == 404:
            return None
        if not answer.headers.get("content-length", "").isdigit():
            raise Transient(f"HEAD {self.location}: an answer without a length")
        answer.headers.setdefault("etag", "")
        return answer.headers

    def get(
        self, key: str, *, start: int = 0, end: int | None = None, begun: Begun | None = None
    ) -> Reply:
        """An object or, if a range is asked for, possibly only that (then its status is 206).
        `begun` is the request for all of it if it was sent `get_ahead`."""
        headers = {}
        if start or end is not None:
            headers["range"] = f"bytes={start}-{'' if end is None else end - 1}"
        return self.channel.stream(key, headers, begun)

    def get_ahead(self, key: str) -> Begun | None:
        """Ask for all of an object now and for the answer later."""
        return self.channel.ahead("GET", key, {})

    def put(
        self,
        key: str,
        data: Body,
        md5: str,
        headers: Mapping[str, str],
        begun: Begun | None = None,
    ) -> Answer:
        """Write an object; the status may be 412 if `headers` made it conditional. Corrupt if
        the server saw other bytes than we sent. `begun`: the same, if it was `put_ahead`."""
        sent = _proving(headers, md5)
        return self.channel.request("PUT", key, {}, sent, data, accept=(200, 412), begun=begun)

    def put_ahead(self, key: str, data: Body, md5: str, headers: Mapping[str, str]) -> Begun | None:
        """Send an object now and ask for the answer later."""
        return self.channel.ahead("PUT", key, _proving(headers, md5), data)

    def delete(self, key: str) -> None:
        """Remove an object; absent already is success."""
        self.channel.request("DELETE", key, {}, {}, accept=(200, 204, 404))

    def copy(self, key: str, to: str, headers: Mapping[str, str]) -> None:
        """Copy an object within the bucket. `x-amz-metadata-directive: REPLACE` in `headers`
        makes them its metadata."""
        source = encoded(f"/{self.location.bucket}/{key}")
        self.channel.request("PUT", to, {}, {**headers, "x-amz-copy-source": source}, b"")

    def tags(self, key: str) -> dict[str, str] | None:
        """An object's tags; None where the store knows no tags (some answer with the object)."""
        answer = self.channel.request("GET", key, {"tagging": ""}, {}, accept=(200, 404, 501))
        if answer.status == 404:
            return {}
        if answer.status == 501 or (answer.body and b"<Tagging" not in answer.body[:HEAD]):
            return None
        _, found = records([answer.body], ("Tag",)) if answer.body else ({}, [])
        return {record.get("Key", ""): record.get("Value", "") for record in found}

    def set_tags(self, key: str, tags: Mapping[str, str]) -> None:
        """Give an object exactly these tags. Not to be asked of a store that knows none: some
        take the list of tags for the new contents of the object."""
        data = tagging(tags)
        sum_ = base64.b64encode(digest(data).digest()).decode()
        accept = (200, 204)
        query, sent = {"tagging": ""}, {"content-md5": sum_}
        self.channel.request("PUT", key, query, sent, data, accept=accept)

    def vouches(self, entry: Entry) -> bool:
        """Are plain ETags of this bucket MD5s of the contents (and not of what was encrypted)?
        One object is read and compared, once per process."""
        if self.quirks.vouches is None and entry.size <= SAMPLE:
            reply = self.get(entry.key)
            found = digest(reply.read(SAMPLE)).hexdigest()
            self.quirks.vouches = found == vouched(reply.headers)
        return self.quirks.vouches is not False

    def pages(self, prefix: str, *, delimiter: str = "", most: int = PAGE) -> Iterator[Page]:
        """The objects below `prefix`, page by page, in the order of their keys' bytes.

        A server that answers with keys it was not asked for, or turns in a circle, is not
        believed: that is how one user's files would get into another's place.
        """
        query = {"list-type": "2", "encoding-type": "url", "prefix": prefix}
        query |= {"max-keys": str(most)} if most != PAGE else {}
        query |= {"delimiter": delimiter} if delimiter else {}
        last = ""
        while True:
            found = page([self.channel.request("GET", "", query, {}).body])
            names = [entry.key for entry in found.entries] or found.prefixes
            if not all(name.startswith(prefix) for name in names):
                raise self._unbelievable("keys outside the prefix")
            if names and last and _bytes(names[0]) <= _bytes(last):
                raise self._unbelievable("keys out of order")
            last = names[-1] if names else last
            yield found
            if not found.token:
                return
            if found.token == query.get("continuation-token"):
                raise self._unbelievable("the same page again")
            query["continuation-token"] = found.token

    def _unbelievable(self, what: str) -> Permanent:
        return Permanent(
            f"LIST {self.location}: the server answers with {what}",
            hint="this store does not list as S3 does; it cannot be used",
        )


def client_for(location: Location, limits: Timeouts) -> Client:
    """This process' client for a bucket: connections outlive the users they are used for."""
    return _client(location, limits, os.getpid())


@lru_cache(maxsize=16)
def _client(location: Location, limits: Timeouts, _pid: int) -> Client:
    return Client(location, limits)


def _proving(headers: Mapping[str, str], md5: str) -> dict[str, str]:
    return {**headers, "content-md5": base64.b64encode(bytes.fromhex(md5)).decode()}


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")
