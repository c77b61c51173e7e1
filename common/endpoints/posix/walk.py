"""Walks everything below a user's root, streamed, with flat memory and a bounded number of handles.

Neither the size of a directory nor the depth of the tree matters: the first levels are read on
while what they hold is walked; below them only the names of a level's directories are kept, and
directories are opened again from the root when they have been closed in between. Follows no link
and refuses nothing but names that are ours; what cannot be read is told and the walk goes on.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from stat import S_ISLNK

from common.endpoints.place import Item, Type
from common.endpoints.posix.directories import Directories, Handle, split
from common.endpoints.posix.shape import item_of
from common.endpoints.posix.translation import ours
from common.endpoints.template import RESERVED
from common.errors import Changing, ConvoyError
from common.model import Failure

STREAMED = 64  # levels that are read on while what they hold is walked; two handles each
SORTED = 256  # entries looked at in the order of their inodes: on cold disks far fewer seeks
_RENAME = "rename it at the source"

Found = Iterator[Item | Failure]


def walk(directories: Directories) -> Found:
    """The root first (path ""), every directory before what is in it."""
    root = directories.root
    yield item_of("", os.fstat(root.fd))
    levels = [_streamed(root, "")]
    while levels:
        found = next(levels[-1], None)
        if found is None:
            levels.pop()
            continue
        yield found
        if type(found) is Item and found.type is Type.DIRECTORY:
            levels.append(_level(directories, found.path, len(levels)))


def failure(path: str, error: ConvoyError) -> Failure:
    """An error as a line of the report."""
    return Failure(path, str(error), error.hint)


def _level(directories: Directories, path: str, depth: int) -> Found:
    """What is in one directory, however it is read; nothing if it is gone since."""
    try:
        directory = directories.get(path)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as exc:
        yield failure(path, ours(exc, f"reading directory {path!r}"))
        return
    if depth < STREAMED:
        yield from _streamed(directory, path)
        return
    inner: list[str] = []
    for found in _streamed(directory, path):
        if type(found) is Item and found.type is Type.DIRECTORY:
            inner.append(found.path)
        else:
            yield found
    del directory  # what is below may need all the handles there are
    for below in inner:
        yield from _again(directories, below)


def _streamed(directory: Handle, path: str) -> Found:
    """What is in one open directory."""
    prefix = f"{path}/" if path else ""
    try:
        with os.scandir(directory.fd) as entries:
            for batch in _batches(entries):
                for entry in batch:
                    found = _entry(directory, entry, prefix + entry.name)
                    if found is not None:
                        yield found
    except OSError as exc:
        yield failure(path, ours(exc, f"reading directory {path!r}"))


def _entry(directory: Handle, entry: os.DirEntry[str], path: str) -> Item | Failure | None:
    """One name; None if it is gone since the directory was read."""
    if entry.name.startswith(RESERVED):
        return Failure(path, f"names that begin with {RESERVED} are reserved", _RENAME)
    try:
        found = entry.stat(follow_symlinks=False)
        if S_ISLNK(found.st_mode):
            return item_of(path, found, target_of(directory, entry.name, path))
        return item_of(path, found)
    except FileNotFoundError:
        return None
    except OSError as exc:
        return failure(path, ours(exc, f"looking at {path!r}"))
    except Changing as exc:
        return failure(path, exc)


def _batches(entries: Iterable[os.DirEntry[str]]) -> Iterator[list[os.DirEntry[str]]]:
    stream = iter(entries)
    while batch := sorted(islice(stream, SORTED), key=os.DirEntry.inode):
        yield batch


def _again(directories: Directories, path: str) -> Found:
    """One directory of a deep level, looked at when its turn has come."""
    try:
        found = look(directories, path)
    except (OSError, Changing) as exc:
        error = exc if isinstance(exc, Changing) else ours(exc, f"looking at {path!r}")
        yield failure(path, error)
        return
    if found is not None:
        yield found


def look(directories: Directories, path: str) -> Item | None:
    """One item, or None; OSError if it cannot be told."""
    if not path:
        return item_of("", os.fstat(directories.root.fd))
    parent, name = split(path)
    try:
        directory = directories.get(parent)
        found = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
        link = target_of(directory, name, path) if S_ISLNK(found.st_mode) else ""
    except FileNotFoundError:
        return None
    return item_of(path, found, link)


def target_of(directory: Handle, name: str, path: str) -> str:
    """Where a link points, as written."""
    try:
        return os.readlink(name, dir_fd=directory.fd)
    except OSError as exc:
        if exc.errno != errno.EINVAL:
            raise
        raise Changing(f"{path!r} was a link and is none any more") from exc
