"""How one huge file is cut into ranges; the same in all its units, and derived, never drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.endpoints.place import Item, Type
from common.ids import short
from common.model import Draft
from consumer.users.stages import FIRST, Stage

PART = 16 << 20  # bytes; the least piece that a store is asked to take on its own
PARTS_MOST = 10_000  # S3 allows no more parts than this in one object
MEBI = 1 << 20


@dataclass(frozen=True, slots=True)
class Cut:
    """One file as it was when it was cut. `place` is its staging place; "" only compares."""

    item: Item
    place: str
    part: int
    size: int  # of a range, a multiple of `part`

    @classmethod
    def of(cls, item: Item, place: str, size: int) -> Cut:
        part = part_for(item)
        return cls(item, place, part, max(part, size // part * part))

    @property
    def tag(self) -> str:
        """Names the file as it was at the cut, and this round of its units."""
        item = self.item
        return short(item.path, f"{item.size} {item.mtime_ns} {item.version}", self.place)

    @property
    def ranges(self) -> list[tuple[int, int]]:
        starts = range(0, self.item.size, self.size)
        return [(start, min(start + self.size, self.item.size)) for start in starts]

    def drafts(self, user: str, stage: Stage = FIRST, *, reads: bool = False) -> list[Draft]:
        """A unit for each range, and one that joins them; `reads`: only to verify."""
        group = f"{user}{stage.suffix}/ranges/{self.tag}"
        data = {**self._packed(), "reads": reads}
        parts = [
            Draft(
                f"{stage.prefix}range",
                user,
                f"{self.tag}.{start}",
                group,
                wakes=True,
                rank=stage.rank,
                data={**data, "start": start},
            )
            for start, _ in self.ranges
        ]
        return [*parts, self._joining(user, stage, group, data)]

    def _joining(self, user: str, stage: Stage, group: str, data: dict[str, Any]) -> Draft:
        _, files, _ = stage.groups(user)
        return Draft(
            f"{stage.prefix}join",
            user,
            self.tag,
            files,
            after=(group,),
            wakes=True,
            rank=stage.rank,
            data=data,
        )

    def _packed(self) -> dict[str, Any]:
        # as text: names may hold bytes that no store takes as a string of its own
        item = json.dumps(self.item)
        return {"item": item, "place": self.place, "part": self.part, "size": self.size}


def cut_of(data: Mapping[str, Any]) -> Cut:
    """The cut that a unit's data names."""
    item = revived(json.loads(data["item"]))
    return Cut(item, str(data["place"]), int(data["part"]), int(data["size"]))


def part_for(item: Item) -> int:
    """Bytes of a part: whole mebibytes, so that no object has more parts than allowed."""
    least = -(-item.size // PARTS_MOST)
    return max(PART, -(-least // MEBI) * MEBI)


def revived(fields: list[Any]) -> Item:
    """An item as JSON keeps it."""
    path, kind, size, mtime, mode, uid, gid, inode, *rest = fields
    hard = (inode[0], inode[1]) if inode else None
    return Item(path, Type(kind), size, mtime, mode, uid, gid, hard, *rest)
