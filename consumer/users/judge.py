"""What is to be done about one item: a pure function of what both sides show and what we know.

There are five answers where the target holds something, and the order of the questions is the
rule: is it right already? may it be ours? is it allowed to be replaced?
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from common.endpoints.place import Held, Item, Type
from common.model import Check
from consumer.users.manifest import Entry


class Verdict(StrEnum):
    """What to do about an item."""

    NEW = "new"  # nothing is there: move it
    SKIP = "skip"  # it is right already
    COMPARE = "compare"  # read both sides, then judge again
    UPDATE = "update"  # ours, and the source has moved on (or --overwrite): move it over
    MEND = "mend"  # ours, and damaged: move it over, count it as mended
    CONFLICT = "conflict"  # somebody else's: report it, keep it


def judge(
    item: Item,
    held: Held | None,
    ours: Sequence[Entry],
    *,
    check: Check,
    overwrite: bool,
    same: bool | None = None,
) -> Verdict:
    """`same`: the contents were compared, with this result. Only then MD5 never says COMPARE."""
    if held is None:
        return Verdict.NEW
    right = _right(item, held, ours, check, same)
    if right is None:
        return Verdict.COMPARE
    if right:
        return Verdict.SKIP
    if held.type is Type.DIRECTORY:  # never a tree for a file, whoever made it
        return Verdict.CONFLICT
    published = [entry for entry in ours if as_published(held, entry)]
    if published:
        return Verdict.MEND if unchanged(item, published[-1]) else Verdict.UPDATE
    return Verdict.UPDATE if overwrite else Verdict.CONFLICT


def as_published(held: Held, entry: Entry) -> bool:
    """Does the target still show what we put there? Then whatever differs inside is damage.

    What is unknown on both sides is no evidence: the length alone makes nothing ours."""
    if held.type != entry.type:
        return False
    if held.type is Type.LINK:
        return held.link == entry.link
    if entry.held:
        return held.size == entry.size and held.version == entry.held
    return held.size == entry.size and held.mtime_ns == entry.mtime_ns >= 0


def unchanged(item: Item, entry: Entry) -> bool:
    """Does the source still show what we read? By length and mtime; by version if it has none."""
    if item.type != entry.type or item.size != entry.size or item.link != entry.link:
        return False
    if item.mtime_ns < 0:
        return item.version == entry.source != ""
    return item.mtime_ns == entry.mtime_ns


def _right(
    item: Item, held: Held, ours: Sequence[Entry], check: Check, same: bool | None
) -> bool | None:
    if item.type is not held.type:
        return False
    if item.type is Type.LINK:
        return item.link == held.link
    if item.size != held.size:
        return False
    if same or check is Check.SIZE:
        return True
    proven = any(as_published(held, entry) and unchanged(item, entry) for entry in ours)
    if check is Check.MTIME:
        return proven or (item.mtime_ns >= 0 and item.mtime_ns == held.mtime_ns)
    # what was read outweighs what is vouched for, and that what we remember
    if same is None and item.md5 and held.md5:
        return item.md5 == held.md5
    if same is None and check is Check.MANIFEST and proven:
        return True
    return same
