"""The way back: for each key that a user changed since the switch, old gets what the user sees.

While new still serves, a replay counts only for a key that nobody is changing; the rest is replayed
when writes are held and new takes none (`shut`). What is on old then is exactly the user's view.
"""

from __future__ import annotations

from collections.abc import Callable

from common.digest import md5
from common.endpoints.s3 import metadata
from common.errors import Changing, Occupied
from common.store.journal import Entry
from consumer.buckets.copying import LARGEST
from consumer.buckets.sides import Sides
from consumer.trans.buckets.changing import CARRIED
from consumer.trans.buckets.routing import Side, shown
from consumer.trans.buckets.side import MARK


def replay(sides: Sides, stop: Callable[[], bool], *, shut: bool) -> int:
    """Carry back what is not clean; how many keys are left that could not be counted."""
    left = 0
    for entry in sides.journal.between(sides.bucket, "", None):
        if stop():
            return left + 1
        if entry.clean:
            continue
        carry(sides, entry)
        left += not sides.journal.replayed(sides.bucket, entry, shut=shut)
    return left


def carry(sides: Sides, entry: Entry) -> None:
    """Make old hold what the user sees of this key."""
    side = shown(sides.found(entry.key), buried=entry.tomb)
    if side is Side.OLD:
        return  # the change never happened
    if side is None:
        sides.old.delete(entry.key)
        return
    reply = sides.new.channel.stream(entry.key, {})
    if (reply.length or 0) > LARGEST:
        reply.close()
        raise Occupied(f"{entry.key}: larger than 256 MiB, which is not carried back yet")
    data = bytes(reply.read(LARGEST))
    found = metadata.vouched(reply.headers)
    if found and found != md5(data).hexdigest():
        raise Changing(f"{entry.key}: what was read is not what its ETag says")
    kept = {n: v for n, v in reply.headers.items() if n in CARRIED or n.startswith(metadata.META)}
    kept.pop(MARK, None)
    tags = sides.new.tags(entry.key) if reply.headers.get("x-amz-tagging-count") else None
    sides.old.put(entry.key, data, md5(data).hexdigest(), {**kept, **metadata.tagging(tags or {})})
