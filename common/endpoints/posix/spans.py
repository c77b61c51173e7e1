"""Staging places for huge files, which several units write range by range and one publishes.

The place is named by the group of the units and by the item as it was when it was cut, so that a
file which changed since gets a place of its own. Every range is durable and read back before its
unit reports it; nothing here is visible, and a place that was swept is Stale, not made anew.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from common.endpoints.place import Attributes, Item
from common.endpoints.posix.attributes import Dresser
from common.endpoints.posix.directories import Handle
from common.endpoints.posix.shape import held_of
from common.endpoints.posix.staging import (
    Staged,
    entered,
    named,
    standing,
    swept,
    times_kept,
)
from common.endpoints.posix.writing import Chunk, Writer
from common.errors import Transient

_MAKE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LEASES = (errno.EINVAL, errno.EACCES, errno.ENOLCK, errno.ENOTSUP)  # network file systems
_WRITE = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


def begin(root: Handle, dresser: Dresser, item: Item, group: str, attributes: Attributes) -> str:
    """The place for this item, made if it is not there: as long as the file, and empty."""
    folder, name = named(group), _name(item)
    handle = entered(root, folder, clear=False)
    fd = os.open(name, _MAKE, 0o600, dir_fd=handle.fd)
    try:
        if os.fstat(fd).st_size != item.size:
            os.ftruncate(fd, item.size)
        dresser.attribute(fd, attributes, item.path)
        os.fsync(fd)
        os.fsync(handle.fd)
    finally:
        os.close(fd)
    os.fsync(root.fd)
    return f"{folder}/{name}"


def write(
    root: Handle,
    writer: Writer,
    place: str,
    chunks: Iterable[Chunk],
    digest: hashlib._Hash,
    *,
    start: int,
) -> None:
    """One range, from `start`; durable and read back when it returns.

    The place is opened anew for every chunk: whoever was frozen in between finds it gone instead
    of writing into what has been published since.
    """
    at = start
    for chunk in chunks:
        with _opened(root, place) as (_, _, fd):
            at = writer.pour(fd, [chunk], digest, start=at, fresh=False)
    with _opened(root, place) as (_, _, fd):
        os.fdatasync(fd)


def join(root: Handle, dresser: Dresser, item: Item, place: str) -> Staged:
    """The whole of it, with owner, mode and time, ready to be published."""
    with _opened(root, place) as (handle, name, fd):
        found = os.fstat(fd)
        if found.st_size != item.size:
            raise Transient(f"{item.path!r}: its staging place is not as long as the file")
        _require_alone(fd, item)
        dresser.dress(fd, item, {}, (found.st_uid, found.st_gid))
        os.fsync(fd)
        folder = place.partition("/")[0]
        held = held_of(os.fstat(fd))
        return Staged(item.path, held, item, handle, name, folder=folder)


def abandon(root: Handle, place: str) -> None:
    """Remove it; absent already is success."""
    folder, _, name = place.partition("/")
    with suppress(FileNotFoundError):
        handle = standing(root, folder)
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=handle.fd)
        leave(root, folder)


def leave(root: Handle, folder: str) -> None:
    """Remove the group's directory once nothing is in it."""
    with times_kept(root), suppress(OSError):
        os.rmdir(folder, dir_fd=root.fd)


@contextmanager
def _opened(root: Handle, place: str) -> Iterator[tuple[Handle, str, int]]:
    folder, _, name = place.partition("/")
    try:
        handle = standing(root, folder)
        fd = os.open(name, _WRITE, dir_fd=handle.fd)
    except FileNotFoundError:
        raise swept(place) from None
    try:
        yield handle, name, fd
    finally:
        os.close(fd)


def _require_alone(fd: int, item: Item) -> None:
    """Nobody else on this machine has it open: a frozen writer would wake up in a live file."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError as exc:
        raise Transient(f"{item.path!r}: somebody still writes into its staging place") from exc
    except OSError as exc:
        if exc.errno not in _NO_LEASES:
            raise


def _name(item: Item) -> str:
    identity = f"{item.path}\0{item.size}\0{item.mtime_ns}\0{item.version}"
    return hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:32]
