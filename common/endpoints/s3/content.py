"""An object opened for reading: whole if it is small, else in ranges that all are one version.

Every answer must name the version that was opened, so nothing is ever pieced together from two.
A connection that breaks is taken up again where it broke; silence is not waited for twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType

from common.endpoints.implied import implied
from common.endpoints.place import Attributes, Item
from common.endpoints.s3 import metadata
from common.endpoints.s3.ahead import Ahead
from common.endpoints.s3.client import Client
from common.endpoints.wire import Begun, Reply, Silent, resumed
from common.errors import Changing, Denied, Missing, Transient

WHOLE = 8 << 20  # bytes; what is not larger is asked for with the opening itself
FAR = 24 << 20  # bytes; what is larger is read in several stretches at once
_NONE: Attributes = MappingProxyType({})
_COUNT = "x-amz-tagging-count"


class Content:
    """See `common.endpoints.place.Content`."""

    def __init__(
        self,
        client: Client,
        key: str,
        item: Item,
        ahead: Ahead | None = None,
        begun: Begun | None = None,
    ) -> None:
        self._client, self._key, self._ahead = client, key, ahead
        self._reply: Reply | None = None
        self.item, self.attributes = item, _NONE
        if not implied(item):
            self._describe(self._opened(item, begun))

    def __enter__(self) -> Content:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._reply:
            self._reply.close()

    def whole(self) -> bytes:
        """All of it."""
        try:
            return self._take(self._reply or self._range(0, None))
        except Silent:
            raise
        except Transient:
            return self._take(self._range(0, None))
        finally:
            self._reply = None

    def chunks(self, start: int = 0, end: int | None = None) -> Iterator[memoryview]:
        """The bytes from `start` to `end`."""
        end = self.item.size if end is None else min(end, self.item.size)
        if self._ahead and end - start > FAR and self._ranged(start):
            yield from self._ahead.read(self._fill, start, end)
        else:
            yield from resumed(lambda at: self._from(at, end), start, end)

    def unchanged(self) -> bool:
        """Every answer was of the version that was opened; objects do not change, they are
        replaced, and what replaced this one meanwhile is a later write."""
        return True

    def _opened(self, item: Item, begun: Begun | None) -> Mapping[str, str]:
        if item.size <= WHOLE:
            self._reply = self._client.get(self._key, begun=begun)
            return self._reply.headers
        headers = self._client.head(self._key)
        if headers is None:
            raise Missing(f"{item.path}: gone since it was listed")
        return headers

    def _describe(self, headers: Mapping[str, str]) -> None:
        try:
            self._check(headers, whole=True)
            tags = self._tags(headers)
        except BaseException:
            self.__exit__()
            raise
        self.item = metadata.described(self.item, headers)
        md5 = metadata.vouched(headers) if self._client.quirks.vouches is not False else ""
        version = metadata.unquoted(headers.get("etag", ""))
        self.item = self.item._replace(md5=md5, version=version)
        self.attributes = metadata.attributes(self.item, headers, tags)
        if "-" in self.item.version and self._reply is None:
            self._layout()

    def _tags(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Answers with contents count the tags; those without do not always."""
        if _COUNT in headers:
            return (self._client.tags(self._key) or {}) if headers[_COUNT] != "0" else {}
        if self._reply is None:
            with suppress(Denied):  # whoever may not know of tags moves objects without
                return self._client.tags(self._key) or {}
        return {}

    def _layout(self) -> None:
        """How large its parts were, where the store tells: parts cut alike give the same ETag."""
        first = self._client.head(self._key, {"partNumber": "1"}) or {}
        size = first.get("content-length", "")
        if size.isdigit() and 0 < int(size) < self.item.size:
            self.attributes = {**self.attributes, "layout:part": size}

    def _check(self, headers: Mapping[str, str], *, whole: bool) -> None:
        """Is this answer of the version that we read?"""
        version = metadata.unquoted(headers.get("etag", ""))
        if self.item.version and version != self.item.version:
            raise Changing(f"{self.item.path}: was replaced since it was listed")
        length = headers.get("content-length", str(self.item.size))
        if whole and length != str(self.item.size):
            raise Changing(f"{self.item.path}: has another length than when it was listed")

    def _from(self, start: int, end: int) -> Reply:
        if self._reply and not start and end == self.item.size:
            reply, self._reply = self._reply, None
            return reply
        return self._range(start, end)

    def _ranged(self, start: int) -> bool:
        """Does this server send what is asked for, and not always everything?"""
        reply = self._range(start, start + 1)
        ranged = reply.length == 1
        reply.close()
        return ranged

    def _fill(self, start: int, view: memoryview) -> None:
        try:
            self._range(start, start + len(view)).fill(view)
        except Silent:
            raise
        except Transient:
            end, at = start + len(view), 0
            for chunk in resumed(lambda at: self._range(at, end), start, end):
                view[at : at + len(chunk)] = chunk
                at += len(chunk)

    def _range(self, start: int, end: int | None) -> Reply:
        whole = start == 0 and end in (None, self.item.size)
        reply = self._client.get(self._key, start=start, end=None if whole else end)
        try:
            self._check(reply.headers, whole=False)
        except BaseException:
            reply.close()
            raise
        return reply

    def _take(self, reply: Reply) -> bytes:
        data = bytes(reply.read(self.item.size))  # bytes already, if they came in one piece
        if len(data) != self.item.size:
            raise Transient(f"{self.item.path}: {len(data)} bytes came, not {self.item.size}")
        return data
