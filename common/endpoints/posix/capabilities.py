"""Tries out what a target's file system can hold, in a directory that is removed again.

Nothing but that directory is touched. What a source can hold needs no trying: whatever it has.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from secrets import token_hex
from stat import S_IMODE

from common.endpoints.place import Capabilities
from common.endpoints.posix import kernel
from common.endpoints.posix.directories import ENTER, Handle
from common.endpoints.posix.root import enter_fixed
from common.endpoints.posix.translation import ours
from common.endpoints.template import RESERVED, Template
from common.errors import Missing

_MAKE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_STRANGER = 65533  # a user and group that nobody is
_FAR = 1 << 20  # bytes of the hole that is tried


def capabilities(template: Template) -> Capabilities:
    """What a source may show: everything. Missing or Denied if it cannot be listed."""
    fixed = enter_fixed(template.fixed)
    try:
        with os.scandir(fixed.fd) as entries:
            next(entries, None)
    except OSError as exc:
        raise ours(exc, f"listing {template.fixed}") from exc
    return Capabilities(
        links=True,
        hardlinks=True,
        owners=True,
        modes=True,
        xattrs=True,
        sparse=True,
        directories=True,
        headers=False,
        tags=False,
        any_name=True,
        conditional=True,
        folds=False,
        vouches=False,
    )


def prepare(template: Template) -> None:
    """Make the last directory of a target's fixed part, if only that one is missing."""
    try:
        os.mkdir(template.fixed)
    except FileExistsError:
        enter_fixed(template.fixed)
    except FileNotFoundError as exc:
        raise Missing(
            f"{os.path.dirname(template.fixed)} does not exist",
            hint="mount it or make it: no more than the last directory of a target is made",
        ) from exc
    except (OSError, ValueError) as exc:
        raise ours(exc, f"making {template.fixed}") from exc


def probe(template: Template) -> Capabilities:
    """What the target's file system can hold, tried below the fixed part of the template."""
    fixed = enter_fixed(template.fixed)
    name = f"{RESERVED}-probe-{token_hex(8)}"
    try:
        os.mkdir(name, 0o700, dir_fd=fixed.fd)
        try:
            return _tried(Handle(os.open(name, ENTER, dir_fd=fixed.fd)))
        finally:
            shutil.rmtree(name, dir_fd=fixed.fd)
    except OSError as exc:
        raise ours(exc, f"trying out {template.fixed}", fd=fixed.fd, place=template.fixed) from exc


def _tried(room: Handle) -> Capabilities:
    fd = os.open("file", _MAKE, 0o600, dir_fd=room.fd)
    try:
        return Capabilities(
            links=_works(lambda: os.symlink("nowhere", "link", dir_fd=room.fd)),
            hardlinks=_works(lambda: _link(room, "file", "further")),
            owners=_works(lambda: _own(fd)),
            modes=_works(lambda: _mode(fd)),
            xattrs=_works(lambda: os.setxattr(fd, "user.convoy", b"1")),
            sparse=_works(lambda: _hole(fd)),
            directories=True,
            headers=False,
            tags=False,
            any_name=_works(lambda: _touch(room, "\udcff")),
            conditional=_works(lambda: _conditional(room)),
            folds=_folds(room),
            vouches=False,
        )
    finally:
        os.close(fd)


def _works(act: Callable[[], object]) -> bool:
    """Can it be done? It can not if it is refused, or answers that it had no effect."""
    with suppress(OSError):
        return act() is not False
    return False


def _touch(room: Handle, name: str) -> None:
    os.close(os.open(name, _MAKE, 0o600, dir_fd=room.fd))


def _link(room: Handle, name: str, to: str) -> None:
    os.link(name, to, src_dir_fd=room.fd, dst_dir_fd=room.fd, follow_symlinks=False)


def _own(fd: int) -> bool:
    os.fchown(fd, _STRANGER, _STRANGER)
    found = os.fstat(fd)
    return (found.st_uid, found.st_gid) == (_STRANGER, _STRANGER)


def _mode(fd: int) -> bool:
    os.fchmod(fd, 0o640)
    return S_IMODE(os.fstat(fd).st_mode) == 0o640


def _hole(fd: int) -> bool:
    os.pwrite(fd, b"x", _FAR)
    return os.fstat(fd).st_blocks * 512 < _FAR


def _conditional(room: Handle) -> None:
    """A rename that replaces nothing, or a link in its place."""
    _touch(room, "new")
    try:
        kernel.rename_new(room.fd, "new", room.fd, "named")
    except OSError:
        _link(room, "new", "named")


def _folds(room: Handle) -> bool:
    """Is a name found in another case, or in another Unicode form?"""
    for name, other in (("case", "CASE"), ("form-\u00e9", "form-e\u0301")):
        with suppress(OSError):
            _touch(room, name)
            os.stat(other, dir_fd=room.fd, follow_symlinks=False)
            return True
    return False
