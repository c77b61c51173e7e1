"""The staging directory in a user's root: where everything waits until it is published.

It is the fence at the target, too: a later epoch sweeps it away, and whoever worked in it can
neither stage nor publish nor set anything any more (Stale). Making and removing it leaves the
root's times as they were.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from stat import S_IMODE
from threading import Lock

from common.endpoints.place import Held, Item
from common.endpoints.posix.attributes import bare
from common.endpoints.posix.directories import ENTER, Handle
from common.endpoints.template import RESERVED, check_name
from common.errors import Refused, Stale

PRIVATE = 0o700
_ATTEMPTS = 10  # at removing a directory into which somebody still writes
_LENGTH = len(RESERVED) + 20  # with room for a number behind the token


@dataclass(slots=True)
class Staged:
    """Something in a staging directory that waits for its name."""

    path: str
    held: Held
    item: Item
    directory: Handle
    name: str
    round: int = 0  # of staging, all of which is made durable at once; 0: it is already
    folder: str = ""  # the directory's name, if it is not the unit's own


class Staging:
    """One unit's and epoch's directory `.convoy-<token>`; made when it is first needed."""

    def __init__(self, token: str) -> None:
        self.name = named(token)
        self.token = token
        self._handle: Handle | None = None
        self._lock = Lock()
        self.born = (-1, -1)  # owner and group of what is made in it

    def open(self, root: Handle) -> Handle:
        """Its handle. Stale if a later epoch has swept it."""
        return self._handle or self._entered(root)

    def fence(self, root: Handle) -> None:
        """Asked before whatever becomes visible by itself: is this epoch still the one?"""
        handle = self.open(root)
        if not root.holds(self.name, handle.id):
            raise swept(self.name)

    @property
    def made(self) -> bool:
        """Was it needed?"""
        return self._handle is not None

    def drop(self, name: str) -> None:
        """Forget something that will not be published; what cannot be removed is swept later."""
        if self._handle is not None:
            with suppress(OSError):
                os.unlink(name, dir_fd=self._handle.fd)

    def clear(self) -> None:
        """Forget everything in it."""
        if self._handle is not None:
            for name in os.listdir(self._handle.fd):
                self.drop(name)

    def others(self, root: Handle, prefix: str) -> list[str]:
        """The tokens in this root that are or begin with `prefix`; neither our own nor those of
        later epochs of our unit."""
        return [
            token
            for token in tokens(root)
            if (token == prefix or token.startswith(f"{prefix}."))
            and not (token == self.token or later(token, self.token))
        ]

    def _entered(self, root: Handle) -> Handle:
        with self._lock:
            if self._handle is None:
                self._refuse_if_late(root)
                handle = entered(root, self.name, clear=True)
                found = os.fstat(handle.fd)
                self.born = found.st_uid, found.st_gid
                self._handle = handle
            return self._handle

    def _refuse_if_late(self, root: Handle) -> None:
        for token in tokens(root):
            if later(token, self.token):
                raise swept(self.name)


def named(token: str) -> str:
    """The staging directory of a token."""
    name = f"{RESERVED}-{token}"
    if not token or check_name(name.replace(RESERVED, "_" * _LENGTH, 1)):
        raise Refused(f"{token!r} cannot name a staging place")
    return name


def later(token: str, than: str) -> bool:
    """Is it another epoch of the same unit, and a later one?"""
    unit, _, epoch = token.rpartition(".")
    mine, _, now = than.rpartition(".")
    if unit != mine or not (epoch.isdecimal() and now.isdecimal()):
        return False
    return int(epoch) > int(now)


def tokens(root: Handle) -> list[str]:
    """The tokens of all staging places in a root."""
    with os.scandir(root.fd) as entries:
        begin = f"{RESERVED}-"
        return [e.name.removeprefix(begin) for e in entries if e.name.startswith(begin)]


def entered(root: Handle, name: str, *, clear: bool) -> Handle:
    """A staging directory, made if it is not there; `clear`: what an earlier try left is removed.

    Refused if it is not ours alone: a stranger could have put it there.
    """
    existed = False
    with times_kept(root):
        try:
            os.mkdir(name, PRIVATE, dir_fd=root.fd)
        except FileExistsError:
            existed = True
    handle = standing(root, name)
    if existed:
        _require_ours(handle, name)
    if existed and clear:
        for left in os.listdir(handle.fd):
            os.unlink(left, dir_fd=handle.fd)
    bare(handle.fd)  # an ACL that the root hands down must not get onto what is staged
    return handle


def remove(root: Handle, name: str) -> None:
    """Remove a staging directory with all that is in it; absent already is success."""
    if not root.has(name):
        return
    with times_kept(root):
        try:
            os.unlink(name, dir_fd=root.fd)
        except (IsADirectoryError, PermissionError):  # the latter is what POSIX asks for
            _remove_tree(root, name)


def standing(root: Handle, name: str) -> Handle:
    """A staging directory, as OSError says if there is none."""
    return Handle(os.open(name, ENTER, dir_fd=root.fd))


def _remove_tree(root: Handle, name: str) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            shutil.rmtree(name, dir_fd=root.fd)
        except FileNotFoundError:
            return
        except OSError as exc:
            if exc.errno != errno.ENOTEMPTY or attempt == _ATTEMPTS - 1:
                raise
        else:
            return


@contextmanager
def times_kept(root: Handle) -> Iterator[None]:
    """Give the root its times back: a staging place comes and goes without a trace."""
    before = os.fstat(root.fd)
    try:
        yield
    finally:
        with suppress(PermissionError):
            os.utime(root.fd, ns=(before.st_atime_ns, before.st_mtime_ns))


def swept(name: str) -> Stale:
    """A later epoch has taken over."""
    return Stale(f"the staging place {name} was swept: a later epoch has taken over")


def _require_ours(handle: Handle, name: str) -> None:
    found = os.fstat(handle.fd)
    if found.st_uid != os.geteuid() or S_IMODE(found.st_mode) & 0o077:
        raise Refused(
            f"{name} in the user's root is not ours alone",
            hint="remove it: nobody but convoy makes names like this",
        )
