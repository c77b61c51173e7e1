"""A file that a manifest lists, opened for reading; what is read whole is held against its MD5."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from common.digest import md5
from common.endpoints.manifest.fetching import Fetcher
from common.endpoints.place import Attributes, Item
from common.endpoints.wire import Reply, resumed
from common.errors import Changing, Corrupt
from common.legible import legible


class Content:
    """See `common.endpoints.place.Content`."""

    attributes: Attributes = MappingProxyType({})

    def __init__(self, fetcher: Fetcher, item: Item) -> None:
        self.item = item
        self._fetcher = fetcher
        self._reply: Reply | None = None
        self._version = ""
        self._reply = self._begun(0)

    def __enter__(self) -> Content:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._reply:
            self._reply.close()

    def whole(self) -> bytes:
        """All of it."""
        return b"".join(map(bytes, self.chunks()))

    def chunks(self, start: int = 0, end: int | None = None) -> Iterator[memoryview]:
        """The bytes from `start` to `end`. Corrupt, at the end, if all of it is not what it should
        be."""
        end = self.item.size if end is None else min(end, self.item.size)
        digest = md5()
        for chunk in resumed(self._from, start, end):
            if start == 0:
                digest.update(chunk)
            yield chunk
        if (start, end) == (0, self.item.size) and digest.hexdigest() != self.item.md5:
            raise Corrupt(
                f"{legible(self.item.path)}: read {digest.hexdigest()}, "
                f"but the manifest says {self.item.md5}",
                hint="correct the manifest, or what is behind its url",
            )

    def unchanged(self) -> bool:
        """Every answer named the version of the first; where servers name none, the MD5 tells."""
        return True

    def _from(self, start: int) -> Reply:
        if self._reply and not start:
            reply, self._reply = self._reply, None
            return reply
        return self._begun(start)

    def _begun(self, start: int) -> Reply:
        reply, _ = self._fetcher.get(self.item.url, start=start)
        version = reply.headers.get("etag") or reply.headers.get("last-modified", "")
        length = reply.length
        if self._version and version != self._version:
            reply.close()
            raise Changing(f"{legible(self.item.path)}: was replaced while it was read")
        if not start and length is not None and length != self.item.size:
            reply.close()
            raise Changing(
                f"{legible(self.item.path)}: has {length} bytes, "
                f"but the manifest says {self.item.size}"
            )
        self._version = version
        return reply
