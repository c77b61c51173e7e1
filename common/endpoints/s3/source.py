"""A user's place in a bucket, to read from: every key below a prefix.

Writes nothing. A key ending in "/" without contents is a directory, or a link that was kept so.
Directories that are only implied by keys are shown without any attributes, so that no target
invents some. "." and ".." in keys are refused: a gateway that cleans paths would read from
another user's place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from common.endpoints.implied import Parents
from common.endpoints.place import Item, Type
from common.endpoints.s3 import metadata
from common.endpoints.s3.ahead import Ahead
from common.endpoints.s3.buffers import Buffers
from common.endpoints.s3.client import client_for
from common.endpoints.s3.content import WHOLE, Content
from common.endpoints.s3.documents import Entry
from common.endpoints.s3.keys import checked_prefix, objection, reserved
from common.endpoints.s3.location import Location
from common.endpoints.wire import Begun, Timeouts
from common.errors import Missing, Refused
from common.legible import legible
from common.model import Failure

LOOKS = 8  # requests at once, for what a listing does not say and for long reads
MEMORY = 64 << 20  # bytes read ahead
_ADVICE = "rename it at the source, or leave it behind"
Headers = Mapping[str, str]


class S3Source:
    """See `common.endpoints.place.Source`. `prefix` is the user's place: it ends with "/"."""

    lanes, ahead = 8, 12

    def __init__(self, location: Location, prefix: str, *, limits: Timeouts) -> None:
        self._prefix = checked_prefix(prefix)
        self._client = client_for(location, limits)
        self._lanes = ThreadPoolExecutor(LOOKS, "looks")
        self._ahead = Ahead(self._lanes, Buffers(MEMORY))
        self._begun: dict[str, Begun] = {}  # by path: asked for already

    def walk(self) -> Iterator[Item | Failure]:
        """Every key, page by page; what a listing does not say of directories, links and large
        files is asked for, a page's worth at once."""
        begun, parents = False, Parents()
        for page in self._client.pages(self._prefix):
            for item in self._items(page.entries):
                if not begun and not _root(item):
                    yield Item("", Type.DIRECTORY)
                begun = True
                if isinstance(item, Item):
                    yield from parents.above(item)
                yield item
        if not begun:
            raise Missing(f"{self._client.location}: there is no place {self._prefix!r}")

    def expect(self, items: Iterable[Item]) -> None:
        """Nothing: as many are read at once as there are lanes."""

    def announce(self, item: Item) -> None:
        """Ask for an object that will be opened next."""
        if item.type is Type.FILE and item.size <= WHOLE and not objection(item.path):
            begun = self._client.get_ahead(self._prefix + item.path)
            if begun:
                self._begun[item.path] = begun

    def look(self, path: str) -> Item | None:
        """One item. What a walk shows of it, no less and no more."""
        if objection(path):
            return None
        key = self._prefix + path
        for name in (key, f"{key}/") if path else (self._prefix,):
            headers = self._client.head(name) if name else None
            if headers is not None:
                return self._item(Entry(name, int(headers["content-length"]), ""), headers)
        below = next(self._client.pages(f"{key}/" if path else self._prefix, most=1))
        return Item(path, Type.DIRECTORY) if below.entries else None

    def open(self, item: Item) -> Content:
        """An object; the answer brings its metadata along. A directory has only attributes."""
        if item.type not in (Type.FILE, Type.DIRECTORY) or objection(item.path):
            raise Refused(f"{legible(item.path)}: nothing that can be read")
        key = self._prefix + item.path
        if item.type is Type.DIRECTORY and item.path:
            key += "/"
        return Content(self._client, key, item, self._ahead, self._begun.pop(item.path, None))

    def close(self) -> None:
        """Connections outlive the user; they are the process'."""
        self._begun.clear()
        self._lanes.shutdown(wait=False, cancel_futures=True)

    def _items(self, entries: list[Entry]) -> Iterator[Item | Failure]:
        asked: dict[str, Future[dict[str, str] | None]] = {
            e.key: self._lanes.submit(self._client.head, e.key)
            for e in entries
            if (_marker(e) or e.size > WHOLE) and not objection(e.key)
        }
        for entry in entries:
            path = entry.key[len(self._prefix) :]
            if reason := objection(path) or reserved(path):
                yield Failure(path, reason, _ADVICE)
            elif entry.key not in asked:
                yield self._plain(entry)
            elif (headers := asked.pop(entry.key).result()) is not None:
                yield self._item(entry, headers)

    def _plain(self, entry: Entry) -> Item:
        md5 = metadata.plain(entry.etag)
        if md5 and not self._client.vouches(entry):
            md5 = ""
        path = entry.key[len(self._prefix) :]
        return Item(path, Type.FILE, entry.size, md5=md5, version=entry.etag)

    def _item(self, entry: Entry, headers: Headers) -> Item:
        path = entry.key[len(self._prefix) :]
        version = metadata.unquoted(headers.get("etag", ""))
        if _marker(entry):
            item = Item(path.removesuffix("/"), Type.DIRECTORY, version=version)
            return metadata.described(item, headers)
        md5 = metadata.vouched(headers) if self._client.quirks.vouches is not False else ""
        item = Item(path, Type.FILE, entry.size, md5=md5, version=version)
        return metadata.described(item, headers) if entry.size > WHOLE else item


def _root(item: Item | Failure) -> bool:
    return isinstance(item, Item) and not item.path


def _marker(entry: Entry) -> bool:
    return entry.key.endswith("/") and not entry.size
