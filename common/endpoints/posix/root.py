"""A user's root: derived once from the template, opened name by name, never through a link.

The fixed part of the template is the operator's word and may lead through links; it is never
made, because an unmounted disk looks the same as one that was forgotten. What stands below it
for one user is made only by a target.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import NamedTuple

from common.endpoints.posix.directories import ENTER, Handle
from common.endpoints.posix.folding import require_spelled
from common.endpoints.posix.translation import ours
from common.endpoints.template import Template
from common.errors import Refused, Unmounted

SHARD = 0o755  # directories above a user's own, shared by many: as mkdir -p makes them


class Made(NamedTuple):
    """A user's root, and what was done to have it."""

    handle: Handle
    made: bool  # it was not there
    changed: list[Handle]  # directories above it in which something was made


class Root:
    """Where one user's place is."""

    def __init__(self, template: Template, user: str, *, flags: int = 0) -> None:
        if sys.getfilesystemencoding() != "utf-8":
            raise Refused(
                f"this process takes file names for {sys.getfilesystemencoding()}",
                hint="run it with PYTHONUTF8=1, so that names are carried unchanged",
            )
        self.user, self.names = user, template.path_for(user)
        self.place = os.path.join(template.fixed, *self.names)
        self._flags = flags
        self.fixed = enter_fixed(template.fixed)

    def open(self) -> Handle | None:
        """The user's root, or None if there is no such place."""
        handle = self.fixed
        for name in self.names:
            try:
                handle = self._enter(handle, name)
            except FileNotFoundError:
                return None
            except OSError as exc:
                raise self._failed(exc, name) from exc
        return handle

    def make(self, mode: int) -> Made:
        """The user's root, made where it is missing."""
        handle, changed, made = self.fixed, [], False
        for depth, name in enumerate(self.names, 1):
            try:
                made = _made(handle, name, mode if depth == len(self.names) else SHARD)
                changed += [handle] * made
                handle = self._enter(handle, name)
            except OSError as exc:
                raise self._failed(exc, name) from exc
        return Made(handle, made, changed)

    def _enter(self, parent: Handle, name: str) -> Handle:
        handle = Handle(os.open(name, ENTER | self._flags, dir_fd=parent.fd))
        require_spelled(parent, name, self.place)
        return handle

    def _failed(self, exc: OSError, name: str) -> Exception:
        if exc.errno in (errno.ELOOP, errno.ENOTDIR):
            return Refused(
                f"user {self.user!r}: {name!r} in {self.place!r} is a link or no directory",
                hint="a user's place is never reached through a link: look at what stands there",
            )
        return ours(exc, f"opening {self.place!r}", fd=self.fixed.fd, place=self.place)


def enter_fixed(path: str) -> Handle:
    """The operator's part of an endpoint, which may lead through links."""
    try:
        return Handle(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except FileNotFoundError as exc:
        raise Unmounted(
            f"{path} does not exist", hint="mount it or make it: it is never made by itself"
        ) from exc
    except (OSError, ValueError) as exc:
        raise ours(exc, f"opening {path}") from exc


def _made(parent: Handle, name: str, mode: int) -> bool:
    try:
        os.mkdir(name, mode, dir_fd=parent.fd)
    except FileExistsError:
        return False
    return True
