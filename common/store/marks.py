"""Marks: what a mover must remember across deaths, as fenced blobs under a name.

A mark belongs to a migration (over all its generations) and to a group inside it: a user's
manifest. One that is `passing` serves a generation only (the work lists of a scan). Whoever writes
carries a fence, which rises with generation and epoch; a zombie with a lower fence is refused.
Blobs are compressed text.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator

from common.errors import Corrupt, Stale
from common.model import fences_of
from common.store.base import Doc, Filter, Store, among, at_most, below

_PIECES = 100_000  # appended blobs that one mark may gather


class Marks:
    """The repository of marks."""

    def __init__(self, store: Store) -> None:
        self._documents = store.collection("marks")

    def read(self, migration: str, group: str, name: str) -> list[bytes]:
        """The blob that was put, and behind it those appended since; empty if there is no mark."""
        doc = self._documents.get(_id(migration, group, name))
        return [_unpack(piece) for piece in [*doc["body"], *doc["tail"]]] if doc else []

    def names(self, migration: str, group: str) -> list[str]:
        """The names of all marks of a group."""
        found = self._documents.find({"migration": migration, "group": group}, fields=("name",))
        return sorted(doc["name"] for doc in found)

    def put(
        self,
        migration: str,
        group: str,
        name: str,
        blob: bytes,
        *,
        fence: int,
        passing: bool = False,
    ) -> None:
        """Replace the mark, appended blobs included; Stale under a higher fence."""
        fields: Doc = {"body": [_pack(blob)], "tail": []} | _fenced(fence, passing)
        doc = _blank(migration, group, name) | fields
        if self._documents.change({"id": doc["id"], "fence": at_most(fence)}, set=fields):
            return
        if not self._documents.insert(doc):
            raise _stale(group, name)

    def append(
        self,
        migration: str,
        group: str,
        name: str,
        blob: bytes,
        *,
        fence: int,
        passing: bool = False,
    ) -> None:
        """Add a blob to the mark in one act; Stale under a higher fence."""
        id_ = _id(migration, group, name)
        self._documents.insert(_blank(migration, group, name))
        grown = self._documents.change(
            {"id": id_, "fence": at_most(fence)},
            set=_fenced(fence, passing),
            push={"tail": _pack(blob)},
            keep=_PIECES,
        )
        if grown is None:
            raise _stale(group, name)

    def drop(self, migration: str, group: str, name: str, *, fence: int) -> None:
        """Remove the mark; absent, or under a higher fence, is left alone."""
        id_ = _id(migration, group, name)
        self._documents.remove({"id": id_, "fence": at_most(fence)})

    def prune(self, migration: str, *, before: int, limit: int) -> int:
        """Remove some passing marks of generations before this one; how many."""
        old: Filter = {"migration": migration, "passing": below(fences_of(before))}
        some = [doc["id"] for doc in self._documents.find(old, limit=limit, fields=("id",))]
        return self._documents.remove({"id": among(some)}) if some else 0

    def groups(self, migration: str) -> Iterator[str]:
        """Every group of a migration that has marks (repeated per mark), streamed."""
        found = self._documents.find({"migration": migration}, fields=("group",))
        return (doc["group"] for doc in found)


def _id(migration: str, group: str, name: str) -> str:
    return f"{migration}/{group}/{name}"


def _blank(migration: str, group: str, name: str) -> Doc:
    names: Doc = {"migration": migration, "group": group, "name": name}
    names |= _fenced(0, passing=False)
    return names | {"id": _id(migration, group, name), "body": [], "tail": []}


def _fenced(fence: int, passing: bool) -> Doc:
    return {"fence": fence, "passing": fence if passing else None}


def _stale(group: str, name: str) -> Stale:
    return Stale(f"mark {group}/{name} was written by a later epoch")


def _pack(blob: bytes) -> str:
    return base64.b64encode(zlib.compress(blob, 1)).decode()


def _unpack(text: str) -> bytes:
    try:
        return zlib.decompress(base64.b64decode(text))
    except (ValueError, zlib.error) as error:
        raise Corrupt(f"a mark cannot be read: {error}") from error
