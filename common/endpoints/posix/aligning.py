"""Brings the metadata of what is there in line with the source. Contents are not touched, and
nothing is written where nothing differs."""

from __future__ import annotations

import os

from common.endpoints.place import Attributes, Held, Item, Type
from common.endpoints.posix import attributes as xattrs
from common.endpoints.posix import reading
from common.endpoints.posix.directories import split
from common.endpoints.posix.ground import Ground
from common.endpoints.posix.publishing import is_still
from common.endpoints.posix.shape import held_of
from common.errors import Occupied


def adjust(ground: Ground, item: Item, held: Held, attributes: Attributes | None) -> bool:
    """What was looked at as `held`; True if anything had to be changed."""
    aligned = ground.dresser.aligned(held, item)
    if aligned and (attributes is None or held.type is Type.LINK):
        ground.dresser.miss(item, (held.uid, held.gid))
        return False
    if held.type is Type.DIRECTORY:
        return seal(ground, item, attributes)
    parent, name = split(item.path)
    directory = ground.get(parent)
    if held.type is Type.LINK:
        ground.fence()
        ground.dresser.link(directory.fd, name, item)
        return True
    with reading.opened(directory, name, item.path) as fd:
        if not is_still(held_of(os.fstat(fd)), held):
            raise Occupied(f"{item.path!r}: it was changed by somebody else while we looked")
        if aligned and xattrs.right(fd, attributes):
            ground.dresser.miss(item, (held.uid, held.gid))
            return False
        ground.fence()
        return ground.dresser.align(fd, item, attributes)


def seal(ground: Ground, item: Item, attributes: Attributes | None) -> bool:
    """A directory; True if anything had to be changed."""
    handle = ground.get(item.path)
    held = held_of(os.fstat(handle.fd))
    if ground.dresser.aligned(held, item) and xattrs.right(handle.fd, attributes):
        ground.dresser.miss(item, (held.uid, held.gid))
        return False
    ground.fence()
    changed = ground.dresser.align(handle.fd, item, attributes)
    ground.sealed(item.path)
    ground.touch(item.path, handle)
    return changed
