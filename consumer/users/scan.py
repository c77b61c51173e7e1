"""Cuts a huge user into units that are bounded in items and bytes, with flat memory.

A span is a set of items by a hash of their paths; its work list is written to marks while the
source is walked. A file too large for one unit is cut into ranges (`consumer.users.ranges`). The
scan makes the directories, so that spans need not; a closing unit seals them at the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from common.endpoints.place import Item, Type
from common.model import Draft, Receipt, Unit
from consumer.mover import Memory, Reach
from consumer.users.cuts import revived
from consumer.users.manifest import LINKS, bucket
from consumer.users.places import Places
from consumer.users.ranges import plan
from consumer.users.stages import FIRST, Stage

FLUSH = 5_000  # items kept in memory before they are written to the lists


@dataclass(slots=True)
class Lists:
    """The work lists of one scan, flushed as they grow."""

    memory: Memory
    group: str
    name: str
    pending: dict[str, list[Item]] = field(default_factory=dict)
    waiting: int = 0

    def add(self, part: str, item: Item) -> None:
        self.pending.setdefault(part, []).append(item)
        self.waiting += 1
        if self.waiting >= FLUSH:
            self.flush()

    def flush(self) -> None:
        for part, items in self.pending.items():
            blob = json.dumps(items, separators=(",", ":")).encode()
            self.memory.append(self.group, f"list.{self.name}.{part}", blob, passing=True)
        self.pending, self.waiting = {}, 0


def cut(
    unit: Unit, reach: Reach, both: Places, stage: Stage = FIRST, *, reads: bool = False
) -> Receipt:
    """Plan the spans, ranges and the closing of a user too large for one unit. With `reads` they
    only verify.

    The plan is noted before it is handed on: a scan that died in between is not made again
    differently, which would move and count items twice.
    """
    noted = f"cut.{stage.prefix}{unit.generation}"
    if not reach.memory.read(unit.key, noted):
        plan_ = [asdict(draft) for draft in _scan(unit, reach, both, stage, reads)]
        reach.memory.put(unit.key, noted, json.dumps(plan_).encode(), passing=True)
    [blob] = reach.memory.read(unit.key, noted)
    return Receipt(drafts=tuple(_draft(**fields) for fields in json.loads(blob)))


def _scan(unit: Unit, reach: Reach, both: Places, stage: Stage, reads: bool) -> list[Draft]:
    """What the source refuses is reported by the closing unit, which walks again."""
    parts = _parts(both, reach)
    name = f"{stage.prefix}{unit.generation}-{unit.epoch}"
    lists = Lists(reach.memory, unit.key, name)
    drafts: list[Draft] = []
    links = False
    for item in both.source.walk():
        reach.lease.still_mine()
        if not isinstance(item, Item) or item.type is Type.OTHER:
            continue
        if item.type is Type.DIRECTORY:
            if not reads:
                both.target.directory(item)
        elif item.type is Type.FILE and item.size > reach.settings.unit_bytes:
            drafts += plan(unit.key, reach, both, item, stage, reads=reads)
        else:
            hard = bool(item.inode and both.target.pace.hardlinks)
            links = links or hard
            lists.add(LINKS if hard else str(bucket(item.path, parts)), item)
    lists.flush()
    if not reads:
        both.target.finish()
    tags = [str(part) for part in range(parts)] + [LINKS] * links
    job = f"{stage.prefix}{'check' if reads else 'span'}"
    spans = [_span(unit, stage, job, tag, parts, name) for tag in tags]
    return [*drafts, *spans, _closing(unit, stage, parts, reads)]


def _draft(after: list[str], **fields: Any) -> Draft:
    return Draft(after=tuple(after), **fields)


def listed(memory: Memory, group: str, name: str, part: str) -> Iterator[Item]:
    """The items of one work list."""
    for blob in memory.read(group, f"list.{name}.{part}"):
        yield from map(revived, json.loads(blob))


def _parts(both: Places, reach: Reach) -> int:
    """How many spans: the least power of two (see `Piece.touches`) that keeps each in bounds."""
    items = size = 0
    for item in both.source.walk():
        reach.lease.still_mine()
        items += 1
        if isinstance(item, Item) and item.size <= reach.settings.unit_bytes:
            size += item.size
    parts = 1
    while items > parts * reach.settings.unit_items or size > parts * reach.settings.unit_bytes:
        parts *= 2
    return parts


def _span(unit: Unit, stage: Stage, job: str, tag: str, parts: int, name: str) -> Draft:
    return Draft(
        job,
        unit.key,
        name=f"{name}.{tag}",
        group=stage.groups(unit.key)[0],
        wakes=True,
        rank=stage.rank,
        data={"part": tag, "parts": parts, "list": name},
    )


def _closing(unit: Unit, stage: Stage, parts: int, reads: bool) -> Draft:
    spans, files, close = stage.groups(unit.key)
    return Draft(
        f"{stage.prefix}close",
        unit.key,
        group=close,
        after=(spans, files),
        wakes=True,
        rank=stage.rank,
        data={"parts": parts, "reads": reads},
    )
