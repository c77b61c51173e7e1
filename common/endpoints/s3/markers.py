"""Directories and links as empty objects whose keys end in "/", written in the background.

A store that cannot keep them beside the keys below (a file system in disguise) is found out by
trying, once per process; there directories are left out and links are refused.
"""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import Executor, Future

from common.digest import EMPTY
from common.endpoints.implied import implied
from common.endpoints.place import Attributes, Item
from common.endpoints.s3 import metadata
from common.endpoints.s3.client import Client
from common.endpoints.s3.index import Index
from common.endpoints.s3.keys import key_for
from common.endpoints.template import RESERVED


class Markers:
    """The directories of one user's place."""

    def __init__(self, client: Client, prefix: str, index: Index, lanes: Executor) -> None:
        self._client, self._prefix, self._index, self._lanes = client, prefix, index, lanes
        self._lock = threading.Lock()
        self._made: dict[str, dict[str, str]] = {}
        self._waiting: list[Future[None]] = []

    def make(self, item: Item) -> bool:
        """Begin to make a directory; False if it is there. Only implied ones are not made: the
        source has no object for them either."""
        if implied(item) or not self.held():
            return False
        key = key_for(self._prefix, item.path, marker=True)
        if not key or self._index.find(key):
            return False
        self._put(key, metadata.headers(item, {}))
        return True

    def seal(self, item: Item, attributes: Attributes) -> None:
        """Bring a directory's metadata in line with the item; what else it has stays."""
        if implied(item) or not self.held():
            return
        key = key_for(self._prefix, item.path, marker=True)
        wanted = metadata.headers(item, attributes)
        if not key or self._made.get(key) == wanted:
            return
        found = self._index.ask(key)
        there = (found.headers if found else None) or {}
        if any(there.get(name) != value for name, value in wanted.items()):
            self._put(key, metadata.kept(there) | wanted)

    def wait(self) -> None:
        """Until all are made; raises what went wrong."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            future.result()

    def held(self) -> bool:
        """Can this store hold them at all?"""
        with self._lock:
            if self._client.quirks.markers is None:
                self._client.quirks.markers = self._try()
            return self._client.quirks.markers

    def _put(self, key: str, headers: dict[str, str]) -> None:
        self._made[key] = headers
        self._waiting.append(self._lanes.submit(self._write, key, headers))

    def _write(self, key: str, headers: dict[str, str]) -> None:
        self._client.put(key, b"", EMPTY, headers)
        self._index.note(key, 0, EMPTY)

    def _try(self) -> bool:
        name = f"{self._prefix}{RESERVED}-marker-{uuid.uuid4().hex}"
        self._client.put(f"{name}/", b"", EMPTY, {})
        try:
            return self._client.head(name) is None  # else "name/" is just another "name"
        finally:
            self._client.delete(f"{name}/")
            if self._client.head(name) is not None:
                self._client.delete(name)
