"""What `stat` says, in our words."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from common.endpoints.place import Held, Item, Type

TYPES: Mapping[int, Type] = {
    stat.S_IFREG: Type.FILE,
    stat.S_IFDIR: Type.DIRECTORY,
    stat.S_IFLNK: Type.LINK,
}
HOLES = 64 << 10  # bytes; less is not worth keeping, and compressing file systems show less
_FORMAT = 0o170000
_BITS = 0o7777


def item_of(path: str, found: os.stat_result, link: str = "") -> Item:
    """One thing of the source. Speed counts here: this runs once for every name there is."""
    kind = TYPES.get(found.st_mode & _FORMAT, Type.OTHER)
    plain = kind is Type.FILE
    size = found.st_size if plain else 0
    return Item(
        path,
        kind,
        size,
        found.st_mtime_ns,
        found.st_mode & _BITS,
        found.st_uid,
        found.st_gid,
        (found.st_dev, found.st_ino) if found.st_nlink > 1 and kind is not Type.DIRECTORY else None,
        link,
        "",
        version_of(found),
        "",
        plain and size - found.st_blocks * 512 >= HOLES,
    )


def held_of(found: os.stat_result, link: str = "") -> Held:
    """What the target holds."""
    kind = TYPES.get(found.st_mode & _FORMAT, Type.OTHER)
    return Held(
        kind,
        found.st_size if kind is Type.FILE else 0,
        found.st_mtime_ns,
        found.st_mode & _BITS,
        found.st_uid,
        found.st_gid,
        link,
        "",
        version_of(found),
    )


def version_of(found: os.stat_result) -> str:
    """Changes whenever the contents do, and also when a name or the metadata does."""
    return f"{found.st_ino}.{found.st_ctime_ns}"
