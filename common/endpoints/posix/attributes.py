"""Owner, mode, times, extended attributes and ACLs of what is written.

The order is owner, attributes, mode, times: a change of owner clears capabilities and the set-id
bits, and whatever is done last must not disturb what was done before. A set-id bit is never given
to a file that could not be given its owner.
"""

from __future__ import annotations

import base64
import errno
import os
import stat
from contextlib import suppress

from common.clock import Clock
from common.endpoints.losses import Losses
from common.endpoints.place import Attributes, Held, Item, Type
from common.endpoints.posix.shape import held_of
from common.errors import Refused

PREFIX = "xattr:"
CARRIED = ("user.", "trusted.", "security.capability", "system.posix_acl_")
_HINT = "layout:"  # how an object store cut it: no loss
OWNER, SET_ID_BITS = "owner", "set-id bits"
INHERITED = "system.posix_acl_"
_LEFT = ("trusted.overlay.",)  # belong to the mount, not to the file
_SET_ID = 0o6000
_UNKNOWN_MODE = {Type.FILE: 0o644, Type.DIRECTORY: 0o755}  # where the source has no modes
_UNSUPPORTED = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES)
_TOO_LARGE = (errno.E2BIG, errno.ERANGE)
_ROOM = 16 << 20  # bytes free from which "no space" is said of the room for attributes alone


def read(fd: int) -> Attributes:
    """What belongs to an open file or directory besides its contents."""
    try:
        names = os.listxattr(fd)
    except OSError as exc:
        if exc.errno in _UNSUPPORTED:
            return {}
        raise
    if not names:
        return {}
    found = {}
    for name in names:
        if name.startswith(CARRIED) and not name.startswith(_LEFT):
            try:
                found[PREFIX + name] = base64.b64encode(os.getxattr(fd, name)).decode()
            except OSError as exc:
                if exc.errno not in (errno.ENODATA, *_UNSUPPORTED):  # gone since, or not ours
                    raise
    return found


class Dresser:
    """Gives what is open its metadata, as far as this process is allowed to.

    `lost` counts what the target cannot hold or we may not give it.
    """

    def __init__(self, clock: Clock) -> None:
        self.privileged = os.geteuid() == 0
        self.lost = Losses()
        self._groups = frozenset((os.getegid(), *os.getgroups()))
        self._now = int(clock.wall() * 1e9)  # access time: read by us, just now

    def owner(self, item: Item, uid: int, gid: int) -> tuple[int, int]:
        """The owner it can be given, if it has `uid` and `gid` now."""
        if self.privileged:
            return (item.uid if item.uid >= 0 else uid, item.gid if item.gid >= 0 else gid)
        return uid, item.gid if item.gid in self._groups else gid

    def mode(self, item: Item, owner: tuple[int, int]) -> int:
        """The mode it can be given together with `owner`."""
        mode = item.mode if item.mode >= 0 else _UNKNOWN_MODE[item.type]
        strange = item.uid >= 0 and owner != (item.uid, item.gid)
        return mode & ~_SET_ID if strange and item.type is Type.FILE else mode

    def dress(self, fd: int, item: Item, attributes: Attributes, born: tuple[int, int]) -> Held:
        """A new file, owned by `born`: everything. Returns what it is then."""
        owner = self.owner(item, *born)
        if owner != born:
            os.fchown(fd, *owner)
        self.miss(item, owner)
        if attributes:
            self.attribute(fd, attributes, item.path)
        mode = self.mode(item, owner)
        os.fchmod(fd, mode)
        if item.mtime_ns < 0:
            return held_of(os.fstat(fd))
        os.utime(fd, ns=(self._now, item.mtime_ns))
        return Held(Type.FILE, item.size, item.mtime_ns, mode, *owner)

    def link(self, directory: int, name: str, item: Item) -> None:
        """A symbolic link: owner and time, of itself."""
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        owner = self.owner(item, found.st_uid, found.st_gid)
        if owner != (found.st_uid, found.st_gid):
            os.chown(name, *owner, dir_fd=directory, follow_symlinks=False)
        self.miss(item, owner)
        if item.mtime_ns not in (-1, found.st_mtime_ns):
            times = (self._now, item.mtime_ns)
            os.utime(name, ns=times, dir_fd=directory, follow_symlinks=False)

    def attribute(self, fd: int, attributes: Attributes, path: str) -> None:
        """Set extended attributes and ACLs; those of other worlds (headers, tags) are not ours."""
        for key, value in attributes.items():
            name = key.removeprefix(PREFIX)
            if key.startswith(_HINT):
                continue
            if not key.startswith(PREFIX):
                self.lost.add(key.partition(":")[0])
            elif name.startswith(CARRIED):
                self._set(fd, name, base64.b64decode(value), path)

    def align(self, fd: int, item: Item, attributes: Attributes | None) -> bool:
        """What is there already: bring it in line; True if anything had to be changed."""
        before = os.fstat(fd)
        born = (before.st_uid, before.st_gid)
        owner = self.owner(item, *born)
        if owner != born:
            os.fchown(fd, *owner)
        self.miss(item, owner)
        replaced = attributes is not None and self._replace(fd, attributes, item.path)
        if item.mode >= 0 and stat.S_IMODE(os.fstat(fd).st_mode) != self.mode(item, owner):
            os.fchmod(fd, self.mode(item, owner))
        if item.mtime_ns not in (-1, before.st_mtime_ns):
            os.utime(fd, ns=(self._now, item.mtime_ns))
        return replaced or shown(os.fstat(fd)) != shown(before)  # coarse clocks round times

    def miss(self, item: Item, owner: tuple[int, int]) -> None:
        """Note what the item loses to being owned by `owner`."""
        if item.uid in (-1, owner[0]) and item.gid in (-1, owner[1]):
            return
        strips = item.type is Type.FILE and item.mode > 0 and item.mode & _SET_ID
        self.lost.add(OWNER, *([SET_ID_BITS] if strips else []))

    def aligned(self, held: Held, item: Item) -> bool:
        """Does what is there need no change of owner, mode and time?"""
        owner = self.owner(item, held.uid, held.gid)
        return (
            owner == (held.uid, held.gid)
            and (item.mode < 0 or item.type is Type.LINK or held.mode == self.mode(item, owner))
            and item.mtime_ns in (-1, held.mtime_ns)
        )

    def _replace(self, fd: int, attributes: Attributes, path: str) -> bool:
        there = read(fd)
        wanted = {k: v for k, v in attributes.items() if k.startswith(PREFIX)}
        if wanted == there:
            return False
        for key in there.keys() - wanted.keys():
            os.removexattr(fd, key.removeprefix(PREFIX))
        changed = {key: wanted[key] for key in wanted if there.get(key) != wanted[key]}
        self.attribute(fd, changed, path)
        return read(fd) != there

    def _set(self, fd: int, name: str, value: bytes, path: str) -> None:
        try:
            os.setxattr(fd, name, value)
        except OSError as exc:
            if exc.errno in _UNSUPPORTED:
                self.lost.add(f"xattr {name.partition('.')[0]}.*")
            elif exc.errno in _TOO_LARGE or (exc.errno == errno.ENOSPC and _has_room(fd)):
                raise Refused(
                    f"{path}: its attribute {name} ({len(value)} bytes) does not fit",
                    hint="the target's file system cannot hold so large an attribute",
                ) from exc
            else:
                raise


def _has_room(fd: int) -> bool:
    free = os.fstatvfs(fd)
    return free.f_bavail * free.f_frsize > _ROOM


def bare(fd: int) -> None:
    """Take off the ACLs that a directory inherited from the one it was made in."""
    with suppress(OSError):
        for name in os.listxattr(fd):
            if name.startswith(INHERITED):
                os.removexattr(fd, name)


def right(fd: int, attributes: Attributes | None) -> bool:
    """Has it these attributes (None: whatever it has is right)?"""
    if attributes is None:
        return True
    return read(fd) == {k: v for k, v in attributes.items() if k.startswith(PREFIX)}


def shown(found: os.stat_result) -> tuple[int, int, int, int]:
    """The metadata that we set."""
    return found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns
