"""The jobs `verify` and `check`: read both sides of a user again and compare; writes nothing.

A side that cannot be read is a failure, never an agreement. It finds damage in memory, in flight
and in what the store hands out; what a page cache hides needs a cold cache to be found.
"""

from __future__ import annotations

from collections.abc import Iterable

from common.digest import md5
from common.endpoints.place import Held, Item, Type
from common.errors import Changing, Corrupt, Missing, Permanent, Transient
from common.model import Failure, Receipt, Unit
from consumer.mover import SOURCE, TARGET, Reach
from consumer.users.copying import Copier
from consumer.users.passing import TROUBLE
from consumer.users.places import Places, places
from consumer.users.scan import cut, listed
from consumer.users.stages import FIRST, Stage
from consumer.users.tally import Tally
from consumer.users.whole import gather


def verify(unit: Unit, reach: Reach, stage: Stage = FIRST) -> Receipt:
    """The job `verify`: every item of the source is on the target, with these contents, by reading
    both; a huge user is cut into units that do."""
    with places(unit, reach) as both:
        items = gather(both.source.walk(), reach.settings)
        if items is None:
            return cut(unit, reach, both, stage, reads=True)
        return compare(unit.key, reach, both, items)


def check(unit: Unit, reach: Reach) -> Receipt:
    """The job `check`: the same for the items of one work list of a huge user."""
    with places(unit, reach) as both:
        part = str(unit.data["part"])
        items = list(listed(reach.memory, unit.key, str(unit.data["list"]), part))
        both.source.expect(items)
        return compare(unit.key, reach, both, items)


def compare(user: str, reach: Reach, both: Places, items: Iterable[Item | Failure]) -> Receipt:
    """The receipt of a comparison: skipped is what agrees, failed what does not."""
    tally = Tally(user)
    for item in items:
        reach.lease.still_mine()
        if not isinstance(item, Item):
            tally.refuse(item)
        elif item.type is Type.OTHER:
            tally.notice(f"{item.path}: device, socket or pipe, not carried")
        else:
            _look(item, reach, both, tally)
    return both.told(tally.receipt())


def _look(item: Item, reach: Reach, both: Places, tally: Tally) -> None:
    try:
        item, digest = _settled(item, reach, both)
    except (Permanent, Transient) as error:
        if item.type is not Type.DIRECTORY:
            tally.seen(item)
        _differs(item, error, both, tally)
        return
    if item.type is not Type.DIRECTORY:
        tally.seen(item)
        tally.done(item, digest, moved=False, mended=False, content=False)
    reach.lease.show(items=1, bytes=item.size)


def _differs(item: Item, error: Permanent | Transient, both: Places, tally: Tally) -> None:
    """What is gone since is no difference, and what could not be read now is not known yet."""
    passing = isinstance(error, Transient)
    if (isinstance(error, Changing) or not passing) and both.source.look(item.path) is None:
        tally.gone(item)
    elif not passing:
        tally.fail(item.path, error)
    elif tally.retry(item.path, error) >= TROUBLE:
        raise error


def _settled(item: Item, reach: Reach, both: Places) -> tuple[Item, str]:
    """The item as it was compared: if it changed since it was listed, as it is now."""
    try:
        return item, _agree(item, reach, both)
    except Changing:
        fresh = both.source.look(item.path)
        if fresh is None:
            raise
        return fresh, _agree(fresh, reach, both)


def _agree(item: Item, reach: Reach, both: Places) -> str:
    held = both.target.look(item.path)
    if held is None:
        raise Missing(f"{item.path}: not on the target", hint="run the migration again")
    _same_kind(item, held)
    if item.type is not Type.FILE:
        return ""
    wanted, size = _read(item, reach, both)
    found, length = both.target.digest(item.path)
    reach.lease.spend(bytes=length, requests=1, sides=TARGET)
    if (wanted, size) != (found, length):
        raise Corrupt(
            f"{item.path}: source {wanted} ({size} bytes), target {found} ({length} bytes)"
        )
    return wanted


def _same_kind(item: Item, held: Held) -> None:
    if item.type is not held.type:
        raise Corrupt(f"{item.path}: a {item.type} at the source, a {held.type} on the target")
    if item.type is Type.LINK and item.link != held.link:
        raise Corrupt(f"{item.path}: points to {held.link!r} on the target, not {item.link!r}")


def _read(item: Item, reach: Reach, both: Places) -> tuple[str, int]:
    """MD5 and length by reading the source, whatever it vouches for."""
    running, size = md5(), 0
    copier = Copier(both.source, both.target, reach.lease)
    with both.source.open(item) as content:
        for chunk in copier.metered(content.chunks(), SOURCE):
            running.update(chunk)
            size += len(chunk)
        if not content.unchanged():
            raise Changing(f"{item.path}: changed while it was read")
    return running.hexdigest(), size
