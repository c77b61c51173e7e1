"""Is everything there? Both stores are listed again, side by side, and held to the pages.

Old must still be what was copied. New must hold each object with the same length and ETag, unless
a user changed the key since. Whatever is missing, damaged or new is named, and its page done again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from common.digest import Sum, proof
from common.store.journal import Entry
from common.store.pages import Line, Page, Pages
from consumer.buckets.listing import runs
from consumer.buckets.sides import Sides

KEPT = 100
CHANGED = "old holds what was not there when it was copied"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found."""

    objects: int
    bytes: int
    digest: str  # over keys, lengths and ETags of all that old holds
    wrong: tuple[tuple[str, str], ...]  # key and why, the first of them

    @property
    def right(self) -> bool:
        return not self.wrong


def verify(sides: Sides, pages: Pages, stop: Callable[[], bool]) -> Verdict | None:
    """The verdict; None if it was stopped."""
    digest, objects, bytes_ = Sum(), 0, 0
    wrong: list[tuple[str, str]] = []
    listed = (line for page in pages.all(sides.bucket) for line in page.lines)
    changed = Cursor(sides.journal.between(sides.bucket, "", None), lambda entry: entry.key)
    new = Cursor(_flat(sides, new=True), lambda line: line.key)
    known = Cursor(listed, lambda line: line.key)
    for line in _flat(sides, new=False):
        if stop():
            return None
        digest.add(proof(sides.bucket, line.key, "object", line.size, line.etag))
        objects, bytes_ = objects + 1, bytes_ + line.size
        why = _wrong(line, known.at(line.key), new.at(line.key), changed.at(line.key))
        # what a user changes while we look is in the journal before it is on the store
        if why and (why == CHANGED or not sides.journal.look(sides.bucket, line.key).changes):
            wrong.append((line.key, why))
    if not wrong and known.left():
        wrong.append(("", "old holds less than was copied"))
    return Verdict(objects, bytes_, digest.hex(), tuple(wrong[:KEPT]))


class Cursor(Generic[T]):
    """A sorted stream that is asked for one key after the other."""

    def __init__(self, stream: Iterator[T], key: Callable[[T], str]) -> None:
        self._stream, self._key = stream, key
        self._next = next(stream, None)

    def at(self, key: str) -> T | None:
        """What the stream holds under the key; what comes before it is passed over."""
        while self._next is not None and self._key(self._next) < key:
            self._next = next(self._stream, None)
        if self._next is None or self._key(self._next) != key:
            return None
        found, self._next = self._next, next(self._stream, None)
        return found

    def left(self) -> bool:
        """Is there more behind the last key?"""
        return self._next is not None


def _wrong(line: Line, known: Line | None, new: Line | None, entry: Entry | None) -> str:
    if known != line:
        return CHANGED
    if entry is not None and entry.changes:
        return ""  # the user's own by now, or deleted
    if new is None:
        return "not on the new store"
    if (new.size, new.etag) != (line.size, line.etag):
        return "differs on the new store"
    return ""


def _flat(sides: Sides, *, new: bool) -> Iterator[Line]:
    for run in runs(sides.new if new else sides.old, ""):
        yield from run


def reopened(sides: Sides, pages: Pages, verdict: Verdict) -> int:
    """Open the pages in which something is wrong again; how many."""
    keys = {key for key, _ in verdict.wrong}
    pages_: list[Page] = [p for p in pages.all(sides.bucket) if _holds(p, keys)]
    return sum(pages.again(sides.bucket, page.id) for page in pages_)


def _holds(page: Page, keys: set[str]) -> bool:
    return any(page.after < key <= page.last for key in keys)
