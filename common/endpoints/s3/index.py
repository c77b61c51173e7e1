"""What is in a user's place: asked key by key at first, by one listing once that is cheaper.

The listing is kept while it is small enough; of a larger place only what was asked for is known.
It may be behind the truth (other writers, stores whose listings lag): so it only saves work, and
every write is conditional on its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import NamedTuple

from common.endpoints.s3.client import Client
from common.endpoints.s3.documents import Entry
from common.endpoints.s3.keys import reserved
from common.endpoints.s3.metadata import unquoted

ASKS = 4  # keys asked for one by one before the place is listed
KEPT = 100_000  # entries, some 30 MB


class Found(NamedTuple):
    """An object, as far as it is known; headers only if it was asked for itself."""

    size: int
    etag: str
    headers: dict[str, str] | None = None


class Index:
    """Safe from many threads."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client, self._prefix = client, prefix
        self._lock = threading.Lock()
        self._known: dict[str, Found] = {}
        self._complete = self._listed = False
        self._asks = 0

    def find(self, key: str) -> Found | None:
        """The object at `key`, or None."""
        if not self._listed:
            self._count()
        found = self._known.get(key)
        if found is None and not self._complete:
            return self.ask(key)
        return found

    def ask(self, key: str) -> Found | None:
        """The object at `key` as of now, with its headers."""
        headers = self._client.head(key)
        if headers is None:
            return None
        return Found(int(headers["content-length"]), unquoted(headers["etag"]), headers)

    def note(self, key: str, size: int, etag: str) -> None:
        """It was written by us."""
        if self._complete:
            self._known[key] = Found(size, etag)

    def forget(self, key: str) -> None:
        """It was removed, or is to be asked for again."""
        self._known.pop(key, None)

    def survey(self) -> Iterator[str]:
        """List the place, once; the keys in it."""
        with self._lock:
            if not self._listed:
                self._list()
        if self._complete:
            yield from list(self._known)
        else:
            for entry in self._entries():
                yield entry.key

    def _count(self) -> None:
        with self._lock:
            self._asks += 1
            if self._asks > ASKS and not self._listed:
                self._list()

    def _list(self) -> None:
        for entry in self._entries():
            if len(self._known) >= KEPT:
                self._known.clear()
                break
            self._known[entry.key] = Found(entry.size, entry.etag)
        else:
            self._complete = True
        self._listed = True

    def _entries(self) -> Iterator[Entry]:
        for page in self._client.pages(self._prefix):
            for entry in page.entries:
                if not reserved(entry.key[len(self._prefix) :]):
                    yield entry
