"""A bucket's old listing, page by page: what was found, and what became of it.

One document per page, with the keys of the page compressed in it: a bucket of 10^9 keys has a
million of them. Nothing is kept of a key that arrived; what failed is kept by name, bounded.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from common.errors import Corrupt
from common.store.base import Doc, Store

OPEN, DONE, FAILED = "open", "done", "failed"
KEPT = 100  # failures of one page
UPLOADS = 10_000  # of one page: of each key, several times


class Line(NamedTuple):
    """One object, as old lists it."""

    key: str
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class Page:
    """A run of keys."""

    id: str
    bucket: str
    after: str  # it begins behind this key
    last: str  # and ends with this one
    lines: tuple[Line, ...]
    state: str
    failures: tuple[tuple[str, str], ...] = ()
    uploads: tuple[tuple[str, str], ...] = ()  # begun for keys of this page, and perhaps not ended


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a bucket is."""

    pages: int
    open: int
    failed: int
    objects: int
    bytes: int
    moved: int
    moved_bytes: int


class Pages:
    """The repository."""

    def __init__(self, store: Store) -> None:
        self._pages = store.collection("pages")

    def add(self, bucket: str, after: str, lines: Sequence[Line]) -> None:
        """A page that was listed. Listed twice it is kept once."""
        self._pages.insert(
            {
                "id": f"{bucket}/{after}",
                "bucket": bucket,
                "after": after,
                "last": lines[-1].key,
                "objects": len(lines),
                "bytes": sum(line.size for line in lines),
                "body": _packed(lines),
                "state": OPEN,
                "moved": 0,
                "moved_bytes": 0,
                "failures": [],
                "uploads": [],
            }
        )

    def note(self, page: Page, key: str, upload: str) -> None:
        """An upload has begun; whoever does the page again ends it first."""
        self._pages.change({"id": page.id}, push={"uploads": f"{upload}\n{key}"}, keep=UPLOADS)

    def cursor(self, bucket: str) -> str:
        """The last key that was listed; the listing goes on behind it."""
        found = self._pages.find({"bucket": bucket}, order=("-after",), limit=1, fields=("last",))
        return next((str(doc["last"]) for doc in found), "")

    def waiting(self, bucket: str, most: int) -> list[Page]:
        """Pages that are not done, the first ones first."""
        found = self._pages.find(
            {"bucket": bucket, "state": OPEN}, order=("after", "id"), limit=most
        )
        return [_load(doc) for doc in found]

    def all(self, bucket: str) -> Iterator[Page]:
        """Every page, in the order of keys."""
        for doc in self._pages.find({"bucket": bucket}, order=("after", "id")):
            yield _load(doc)

    def finish(
        self, page: Page, *, moved: int, moved_bytes: int, failures: Sequence[tuple[str, str]]
    ) -> None:
        """What became of it; once: whoever is second changes nothing."""
        self._pages.change(
            {"id": page.id, "state": OPEN},
            set={
                "state": FAILED if failures else DONE,
                "moved": moved,
                "moved_bytes": moved_bytes,
                "failures": [list(failure) for failure in failures[:KEPT]],
                "uploads": [],
            },
        )

    def again(self, bucket: str, page: str = "") -> int:
        """Open what failed again, or one page; how many."""
        where: Doc = {"id": page} if page else {"bucket": bucket, "state": FAILED}
        return self._pages.change_many(where, set={"state": OPEN, "failures": []})

    def failures(self, bucket: str, most: int = KEPT) -> list[tuple[str, str]]:
        """Keys that could not be moved, and why: the first of them."""
        found = self._pages.find({"bucket": bucket, "state": FAILED}, order=("after", "id"))
        return [(key, why) for doc in found for key, why in doc["failures"]][:most]

    def progress(self, bucket: str) -> Progress:
        """The sums over all pages."""
        sums = ("objects", "bytes", "moved", "moved_bytes")
        rows = self._pages.tally({"bucket": bucket}, by=("state",), sums=sums)
        many = {str(state): count for (state,), count, _ in rows}
        total = [int(sum(row[2][n] for row in rows)) for n in range(len(sums))]
        return Progress(sum(many.values()), many.get(OPEN, 0), many.get(FAILED, 0), *total)

    def drop(self, bucket: str) -> None:
        """Forget the bucket's pages."""
        self._pages.remove({"bucket": bucket})


def _packed(lines: Sequence[Line]) -> str:
    text = json.dumps(lines, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 6)).decode()


def _load(doc: Doc) -> Page:
    try:
        lines = json.loads(zlib.decompress(base64.b64decode(doc["body"])))
    except (ValueError, zlib.error) as error:
        raise Corrupt(f"page {doc['id']} cannot be read: {error}") from error
    return Page(
        doc["id"],
        doc["bucket"],
        doc["after"],
        doc["last"],
        tuple(Line(*line) for line in lines),
        doc["state"],
        tuple((key, why) for key, why in doc["failures"]),
        tuple((key, name) for name, _, key in (text.partition("\n") for text in doc["uploads"])),
    )
