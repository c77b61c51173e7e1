"""The jobs `span` (some items of a huge user) and `close` (what comes after all of them)."""

from __future__ import annotations

from common.endpoints.place import Item, Type
from common.model import Receipt, Unit
from consumer.mover import Reach
from consumer.users.manifest import LINKS, Piece
from consumer.users.places import places
from consumer.users.scan import listed
from consumer.users.sealing import Sealer
from consumer.users.tally import Tally
from consumer.users.whole import pass_over


def span(unit: Unit, reach: Reach) -> Receipt:
    """Move the items of one work list."""
    part, parts = str(unit.data["part"]), int(unit.data["parts"])
    piece = Piece(parts, tag=LINKS) if part == LINKS else Piece(parts, int(part))
    items = list(listed(reach.memory, unit.key, str(unit.data["list"]), part))
    with places(unit, reach) as both:
        both.source.expect(items)
        return pass_over(unit, reach, both, items, piece)


def close(unit: Unit, reach: Reach) -> Receipt:
    """Seal the directories, report what the source refuses, forget what is used up."""
    tally = Tally(unit.key)
    with places(unit, reach) as both:
        for item in both.source.walk():
            if not isinstance(item, Item):
                tally.refuse(item)
            elif item.type is Type.OTHER:
                tally.notice(f"{item.path}: device, socket or pipe, not carried")
        if not unit.data["reads"]:
            sealer = Sealer(both.source, both.target, reach.lease, tally)
            sealer.seal(i for i in both.source.walk() if isinstance(i, Item))
            both.target.finish()
        receipt = both.told(tally.receipt())
    _forget(unit, reach)
    return receipt


def _forget(unit: Unit, reach: Reach) -> None:
    """Drop work lists and range marks, and pieces that were cut for another number of spans."""
    for name in reach.memory.names(unit.key):
        kind, _, rest = name.partition(".")
        part, _, parts = rest.rpartition(".")
        stale = kind == "manifest" and part.isdigit() and int(parts) != int(unit.data["parts"])
        stale = stale and not unit.data["reads"]
        if kind in ("list", "range", "cut") or stale:
            reach.memory.drop(unit.key, name)
