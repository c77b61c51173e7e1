"""One page copied: every object read whole, proven, and put where nothing is yet.

The put is conditional on the new store, so no copy can outrank a user's write, however late it
lands; it carries the marker, so that a tombstone hides it. The source is pinned to the generation
that was listed. A store that does not let exactly one conditional put win is refused beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from common.digest import md5
from common.endpoints.s3 import metadata
from common.errors import Changing, ConvoyError, Missing, Occupied, Refused
from common.store.pages import Line, Page, Pages
from consumer.buckets import joining
from consumer.buckets.sides import Sides
from consumer.trans.buckets.changing import marked
from consumer.trans.buckets.routing import worth

LARGEST = 256 << 20  # bytes of an object that is held whole
LANES = 8


class Fate(StrEnum):
    """What became of a key."""

    MOVED = "moved"
    THERE = "there"  # copied before, or written by a user
    BURIED = "buried"  # deleted by a user


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a key was not copied."""

    key: str
    why: str


def copy_page(sides: Sides, pages: Pages, page: Page, stop: Callable[[], bool]) -> None:
    """Copy what is not there yet, and report the page. Stopped it is left as it is."""
    joining.sweep(sides, page)

    def one(line: Line) -> Fate | Failed | None:
        try:
            return None if stop() else copy(sides, pages, page, line)
        except ConvoyError as error:
            return Failed(line.key, str(error))

    with ThreadPoolExecutor(LANES, "copier") as lanes:
        fates = list(lanes.map(one, page.lines))
    if None in fates:
        return
    moved = [
        line
        for line, fate in zip(page.lines, fates, strict=True)
        if fate in (Fate.MOVED, Fate.THERE)
    ]
    failures = [(fate.key, fate.why) for fate in fates if isinstance(fate, Failed)]
    moved_bytes = sum(line.size for line in moved)
    pages.finish(page, moved=len(moved), moved_bytes=moved_bytes, failures=failures)


def movable(line: Line, *, joins: bool) -> bool:
    """Can this object be moved by what there is? `joins`: new lets one of many conditional joins
    win."""
    return joins if "-" in line.etag else line.size <= LARGEST


def copy(sides: Sides, pages: Pages, page: Page, line: Line) -> Fate:
    """Copy one object, unless there is a reason not to."""
    entry = sides.journal.look(sides.bucket, line.key)
    if not worth(sides.found(line.key), buried=entry.tomb):
        return Fate.BURIED if entry.tomb else Fate.THERE
    if not movable(line, joins=sides.joins):
        raise Refused(f"{line.key}: too large, or made of parts that new cannot join safely")
    if "-" in line.etag:
        return Fate.MOVED if joining.join(sides, pages, page, line) else Fate.THERE
    data, headers = _read(sides, line)
    return _put(sides, line.key, data, headers)


def _read(sides: Sides, line: Line) -> tuple[bytes, Mapping[str, str]]:
    """The object of exactly this generation, and what it says of itself."""
    try:
        reply = sides.old.channel.stream(line.key, {"if-match": f'"{line.etag}"'})
    except (Occupied, Missing) as error:
        raise Changing(f"{line.key}: old does not hold what it listed: {error}") from error
    data = bytes(reply.read(LARGEST))
    found = metadata.vouched(reply.headers)
    if len(data) != line.size or (found and found != md5(data).hexdigest()):
        raise Changing(f"{line.key}: what was read is not what was listed")
    tags = sides.old.tags(line.key) if reply.headers.get("x-amz-tagging-count") else None
    return data, {**marked(reply.headers, sides.epoch), **metadata.tagging(tags or {})}


def _put(sides: Sides, key: str, data: bytes, headers: Mapping[str, str]) -> Fate:
    sent = {**headers, "if-none-match": "*"}
    answer = sides.new.put(key, data, md5(data).hexdigest(), sent)
    return Fate.THERE if answer.status == 412 else Fate.MOVED
