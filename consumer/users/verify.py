"""The job `verify`: read both sides of a user again and compare; writes nothing.

A side that cannot be read is a failure, never an agreement. It finds damage in memory, in flight
and in what the store hands out; what a page cache hides needs a cold cache to be found.
"""

from __future__ import annotations

from common.digest import md5
from common.endpoints.place import Held, Item, Type
from common.errors import Changing, Corrupt, Missing, Permanent, Transient
from common.model import Receipt, Unit
from consumer.mover import Reach
from consumer.users.copying import Copier
from consumer.users.places import Places, places
from consumer.users.tally import Tally


def verify(unit: Unit, reach: Reach) -> Receipt:
    """Every item of the source is on the target, with these contents, by reading both."""
    with places(unit, reach) as both:
        return compare(unit.key, reach, both)


def compare(user: str, reach: Reach, both: Places) -> Receipt:
    """The receipt of a comparison: skipped is what agrees, failed what does not."""
    tally = Tally(user)
    for item in both.source.walk():
        reach.lease.still_mine()
        if not isinstance(item, Item):
            tally.refuse(item)
        elif item.type is Type.OTHER:
            tally.notice(f"{item.path}: device, socket or pipe, not carried")
        else:
            _look(item, reach, both, tally)
    return tally.receipt()


def _look(item: Item, reach: Reach, both: Places, tally: Tally) -> None:
    if item.type is not Type.DIRECTORY:
        tally.seen(item)
    try:
        digest = _agree(item, reach, both)
    except Changing as error:
        tally.retry(item.path, error)
    except (Permanent, Transient) as error:
        if both.source.look(item.path) is None:
            tally.gone(item)
        else:
            tally.fail(item.path, error)
    else:
        if item.type is not Type.DIRECTORY:
            tally.done(item, digest, moved=False, mended=False, content=False)
        reach.lease.show(items=1, bytes=item.size)


def _agree(item: Item, reach: Reach, both: Places) -> str:
    held = both.target.look(item.path)
    if held is None:
        raise Missing(f"{item.path}: not on the target", hint="run the migration again")
    _same_kind(item, held)
    if item.type is not Type.FILE:
        return ""
    wanted, size = _read(item, reach, both)
    found, length = both.target.digest(item.path)
    reach.lease.spend(bytes=length, requests=1)
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
        for chunk in copier.metered(content.chunks(), "source"):
            running.update(chunk)
            size += len(chunk)
        if not content.unchanged():
            raise Changing(f"{item.path}: changed while it was read")
    return running.hexdigest(), size
