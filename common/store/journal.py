"""What users changed since a bucket's switch, key by key: the one record that holds a key's
tombstone, its changes and every background upload to it. A key that nobody touched has none.

A tombstone is never cleared. An intent is durable before the change it announces; that a change is
over may be noted late, or never after a death: then the way back looks at the key once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from common.store.base import Doc, Filter, Store, above


@dataclass(frozen=True, slots=True)
class Entry:
    """One key."""

    key: str
    tomb: bool = False
    changes: int = 0  # how many have begun
    open: int = 0  # of them not known to be over
    replayed: int = 0  # the change up to which old has it again
    uploads: tuple[str, ...] = ()  # background uploads that were begun for it

    @property
    def clean(self) -> bool:
        """Is nothing left to be carried back?"""
        return self.replayed == self.changes and not self.open


class Journal:
    """The repository."""

    def __init__(self, store: Store) -> None:
        self._keys = store.collection("keys")

    def intend(self, bucket: str, key: str, *, bury: bool = False) -> Entry:
        """A change of the key begins; every claim on it is revoked. Buried: what old holds of it
        is gone, for good."""
        fields: Doc = {"bucket": bucket, "key": key} | ({"tomb": True} if bury else {})
        doc = self._keys.change(
            {"id": _id(bucket, key)}, set=fields, inc={"changes": 1, "open": 1}, upsert=True
        )
        assert doc is not None  # by its name alone it cannot fail to match
        return _load(doc)

    def settle(self, bucket: str, key: str) -> None:
        """A change is over, however it ended."""
        self._keys.change({"id": _id(bucket, key), "open": above(0)}, inc={"open": -1})

    def look(self, bucket: str, key: str) -> Entry:
        """What is known of the key, as of the latest acknowledged write."""
        doc = self._keys.get(_id(bucket, key))
        return _load(doc) if doc else Entry(key)

    def replayed(self, bucket: str, seen: Entry, *, shut: bool) -> bool:
        """Old has the key again as it was `seen`. `shut`: nothing can be under way any more."""
        if seen.open and not shut:
            return False
        where: Filter = {"id": _id(bucket, seen.key), "changes": seen.changes}
        fields: Doc = {"replayed": seen.changes} | ({"open": 0} if shut else {})
        return self._keys.change(where, set=fields) is not None

    def between(self, bucket: str, after: str, last: str | None) -> Iterator[Entry]:
        """Every entry behind `after` up to `last` (None: to the end), in the order of keys."""
        for doc in self._keys.find({"bucket": bucket, "key": above(after)}, order=("key", "id")):
            if last is not None and doc["key"] > last:
                return
            yield _load(doc)

    def buried(self, bucket: str) -> Iterator[Entry]:
        """Every key with a tombstone."""
        found = self._keys.find({"bucket": bucket, "tomb": True}, order=("key", "id"))
        return (_load(doc) for doc in found)


def _id(bucket: str, key: str) -> str:
    return f"{bucket}/{key}"


def _load(doc: Doc) -> Entry:
    return Entry(
        doc["key"],
        bool(doc.get("tomb")),
        doc.get("changes") or 0,
        doc.get("open") or 0,
        doc.get("replayed") or 0,
        tuple(doc.get("uploads") or ()),
    )
