"""Publishing onto another file system that is mounted below a user's root.

Nothing can be renamed from the staging directory to there, so what was staged is copied into a
temporary name in the target's own directory, made durable, and renamed within it. A note in the
staging directory says where, so that a sweep finds what a crash leaves.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace

from common.digest import md5
from common.endpoints.place import Type
from common.endpoints.posix import attributes as xattrs
from common.endpoints.posix.attributes import Dresser
from common.endpoints.posix.directories import Directories, Handle
from common.endpoints.posix.reading import chunks
from common.endpoints.posix.staging import Staged
from common.endpoints.posix.writing import Writer
from common.endpoints.template import RESERVED

_MAKE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NOTE = "beside-"  # begins the names of notes in a staging directory


def carry(staged: Staged, token: str, parent: Handle, dresser: Dresser, writer: Writer) -> Staged:
    """`staged`, copied next to where it belongs and ready to be renamed there."""
    name = f"{_begin(token)}{staged.name}"
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent.fd)
    _note(staged)
    if staged.item.type is Type.LINK:
        os.symlink(staged.item.link, name, dir_fd=parent.fd)
        dresser.link(parent.fd, name, staged.item)
    else:
        _copy(staged, parent, name, dresser, writer)
    return replace(staged, directory=parent, name=name)


def clear(staging: Handle, token: str, tree: Directories) -> None:
    """Remove what a crash left beside its target, by the notes of a staging directory."""
    for note in os.listdir(staging.fd):
        if not note.startswith(_NOTE):
            continue
        with suppress(FileNotFoundError, NotADirectoryError):
            parent = tree.get(_noted(staging, note).rpartition("/")[0])
            for name in os.listdir(parent.fd):
                if name.startswith(_begin(token)):
                    os.unlink(name, dir_fd=parent.fd)


def _begin(token: str) -> str:
    return f"{RESERVED}-{token}-"


def _note(staged: Staged) -> None:
    fd = os.open(f"{_NOTE}{staged.name}", _MAKE, 0o600, dir_fd=staged.directory.fd)
    try:
        os.write(fd, os.fsencode(staged.path))
        os.fsync(fd)
    finally:
        os.close(fd)
    os.fsync(staged.directory.fd)


def _noted(staging: Handle, note: str) -> str:
    fd = os.open(note, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=staging.fd)
    try:
        return os.fsdecode(os.pread(fd, os.fstat(fd).st_size, 0))
    finally:
        os.close(fd)


def _copy(staged: Staged, parent: Handle, name: str, dresser: Dresser, writer: Writer) -> None:
    source = os.open(staged.name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=staged.directory.fd)
    try:
        target = os.open(name, _MAKE, 0o600, dir_fd=parent.fd)
        try:
            writer.pour(target, chunks(source), md5(), start=0, fresh=True)
            born = os.fstat(target)
            attributes = xattrs.read(source)
            dresser.dress(target, staged.item, attributes, (born.st_uid, born.st_gid))
            os.fsync(target)
        finally:
            os.close(target)
    finally:
        os.close(source)
