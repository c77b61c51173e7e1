"""A user's manifest: what this migration published, item by item, over all generations.

It is kept in pieces: a user of ordinary size has one, a huge one as many as it has spans, cut by
a hash of the path, so that a span needs only its own piece and memory stays flat. Before anything
is published its entry is added as an intent; whoever comes after a crash knows both what was and
what was about to be, and takes either for ours.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from consumer.mover import Memory

LINKS = "links"  # the piece of the span that carries all hard-linked files of a huge user


class Entry(NamedTuple):
    """One published item, as it was published."""

    type: str
    size: int
    mtime_ns: int
    md5: str  # hex, composite form, or "" if its contents were never read
    source: str  # version of the source item it was read from
    held: str  # version that the target gave it, where that tells contents (S3); else ""
    link: str
    generation: int


class Piece(NamedTuple):
    """One part of a user's items: `part` of `parts`, or those named by a `tag` of their own (all
    hard-linked ones; one huge file), which are then told by their paths."""

    parts: int = 1
    part: int = 0
    tag: str = ""

    @property
    def name(self) -> str:
        return f"manifest.{self.tag or self.part}.{self.parts}"

    def holds(self, path: str) -> bool:
        """Does an item of this path belong here?"""
        return self.parts == 1 or bool(self.tag) or bucket(path, self.parts) == self.part

    def touches(self, name: str) -> bool:
        """May the piece called `name`, cut at another time, know items of ours?"""
        _, part, parts = name.split(".")
        if self.tag or not part.isdigit():
            return True
        least = min(self.parts, int(parts))  # all numbers of parts are powers of two
        return self.part % least == int(part) % least


def bucket(path: str, parts: int) -> int:
    """Which of `parts` (a power of two) a path falls into; the same for ever."""
    return zlib.crc32(path.encode("utf-8", "surrogateescape")) % parts


class Manifest:
    """What is known of one piece's items. `ours` finds what an item may have been published as."""

    def __init__(self, memory: Memory, user: str, piece: Piece) -> None:
        self._memory, self._user, self._piece = memory, user, piece
        self._known: dict[str, list[Entry]] = {}
        self._now: dict[str, Entry] = {}

    def load(self, paths: set[str] | None = None) -> None:
        """Read what earlier epochs and generations left; of other pieces only `paths` if given."""
        for name in self._memory.names(self._user):
            if name.startswith("manifest.") and self._piece.touches(name):
                wanted = paths if name != self._piece.name else None  # `keep` replaces all of it
                for blob in self._memory.read(self._user, name):
                    self._learn(decode(blob), wanted)

    def ours(self, path: str) -> list[Entry]:
        """The entries under which `path` may have been published, the latest last."""
        return self._known.get(path, [])

    def latest(self, path: str) -> Entry | None:
        """The entry of an item that this run found or put on the target."""
        return self._now.get(path)

    def intend(self, entries: Mapping[str, Entry]) -> None:
        """Write down what is about to be published. Durable when it returns; Stale if fenced."""
        self._memory.append(self._user, self._piece.name, encode(entries.items()))
        for path, entry in entries.items():
            self._known.setdefault(path, []).append(entry)

    def note(self, path: str, entry: Entry) -> None:
        """This item is on the target now."""
        self._now[path] = entry

    def keep(self) -> None:
        """Replace the piece by what was noted in this run. Of an item that was not noted (gone
        from the source, failed) all stays that it may be on the target: absence is never an order
        to forget, and of an intent nobody knows what came of it."""
        open_ = [
            (path, entry)
            for path, entries in self._known.items()
            if path not in self._now
            for entry in dict.fromkeys(entries)
        ]
        if self._now or open_:
            blob = encode([*open_, *self._now.items()])
            self._memory.put(self._user, self._piece.name, blob)

    def _learn(self, entries: Iterable[tuple[str, Entry]], paths: set[str] | None) -> None:
        for path, entry in entries:
            if self._piece.holds(path) and (paths is None or path in paths):
                known = self._known.setdefault(path, [])
                known.append(entry)
                if len(known) > 1:
                    known.sort(key=lambda e: e.generation)  # stable: intents stay behind


def encode(entries: Iterable[tuple[str, Entry]]) -> bytes:
    """Compact JSON; lone surrogates of odd names survive as escapes."""
    return json.dumps([[p, *e] for p, e in entries], separators=(",", ":")).encode()


def decode(blob: bytes) -> Iterable[tuple[str, Entry]]:
    """What `encode` wrote."""
    for path, *fields in json.loads(blob):
        yield path, Entry(*fields)
