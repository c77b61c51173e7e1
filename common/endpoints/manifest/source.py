"""A user's files as a manifest lists them: path, url, length, md5, perhaps mtime and mode.

Writes nothing, and trusts nothing: what a manifest says is checked record by record, and where
its addresses lead is fetched by http and https only. The manifest is fetched when it is first
needed, and is then the truth for as long as the source is open.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from common.endpoints.implied import Parents
from common.endpoints.manifest import records
from common.endpoints.manifest.catalogue import Catalogue
from common.endpoints.manifest.content import Content
from common.endpoints.manifest.fetching import fetcher, shown
from common.endpoints.manifest.records import Record
from common.endpoints.place import Item, Type
from common.endpoints.wire import Reply, Timeouts
from common.errors import Refused
from common.legible import legible
from common.model import Failure

LARGEST = 1 << 30  # bytes of a manifest


class ManifestSource:
    """See `common.endpoints.place.Source`. `url` is the manifest of one user."""

    lanes, ahead = 8, 0

    def __init__(self, url: str, *, limits: Timeouts, largest: int = LARGEST) -> None:
        self._url, self._largest = url, largest
        self._fetcher = fetcher(limits)
        self._lock = threading.Lock()
        self._catalogue: Catalogue | None = None

    def walk(self) -> Iterator[Item | Failure]:
        """Every record, sorted by path; directories are those that paths imply."""
        known, parents = self._known(), Parents()
        files: set[str] = set()  # that stand where a directory would have to be
        yield Item("", Type.DIRECTORY)
        for record in known.all():
            if isinstance(record, Failure):
                yield record
                continue
            item = _item(record)
            for above in parents.above(item):
                if known.find(above.path):
                    files.add(above.path)
                else:
                    yield above
            yield item if not _inside(record.path, files) else _impossible(record)

    def expect(self, items: Iterable[Item]) -> None:
        """Nothing: as many are read at once as there are lanes."""

    def announce(self, item: Item) -> None:
        """Nothing: see `expect`."""

    def look(self, path: str) -> Item | None:
        """One item."""
        known = self._known()
        if record := known.find(path):
            return _item(record)
        return Item(path, Type.DIRECTORY) if not path or known.below(path) else None

    def open(self, item: Item) -> Content:
        """What is behind its url."""
        if item.type is not Type.FILE or not item.url:
            raise Refused(f"{legible(item.path)}: nothing that can be read")
        return Content(self._fetcher, item)

    def close(self) -> None:
        """Forget the manifest."""
        if self._catalogue:
            self._catalogue.close()

    def _known(self) -> Catalogue:
        with self._lock:
            if self._catalogue is None:
                self._catalogue = self._fetched()
            return self._catalogue

    def _fetched(self) -> Catalogue:
        reply, url = self._fetcher.get(self._url)
        kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
        table = kind == "text/csv" or self._url.partition("?")[0].lower().endswith(".csv")
        try:
            return Catalogue(records.read(self._bounded(reply), url, table=table))
        finally:
            reply.close()

    def _bounded(self, reply: Reply) -> Iterator[memoryview]:
        total = 0
        for chunk in reply.chunks():
            total += len(chunk)
            if total > self._largest:
                raise Refused(
                    f"{shown(self._url)}: a manifest of more than {self._largest} bytes",
                    hint="raise it with ?largest=4GiB",
                )
            yield chunk


def _item(record: Record) -> Item:
    return Item(
        record.path,
        Type.FILE,
        record.size,
        record.mtime_ns,
        record.mode,
        md5=record.md5,
        version=record.md5,
        url=record.url,
    )


def _inside(path: str, files: set[str]) -> bool:
    names = path.split("/")
    return bool(files) and any("/".join(names[:end]) in files for end in range(1, len(names)))


def _impossible(record: Record) -> Failure:
    return Failure(
        record.path, "what it is in is listed as a file itself", "correct it in the manifest"
    )
