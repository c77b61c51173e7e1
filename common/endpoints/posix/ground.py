"""What every part of a target stands on: the user's root, its directories, the staging place.

Directories that we make stay private until they are sealed. A directory of our own that locks
even its owner out is opened to us while we work in it, and closed again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from stat import S_IMODE
from threading import Lock

from common.clock import Clock
from common.endpoints.posix.attributes import Dresser, bare
from common.endpoints.posix.directories import Directories, Handle, split
from common.endpoints.posix.durability import Durability
from common.endpoints.posix.folding import require_spelled
from common.endpoints.posix.root import Root
from common.endpoints.posix.staging import Staging, remove
from common.endpoints.posix.translation import ours
from common.endpoints.template import Template
from common.errors import ConvoyError, Missing, Occupied, Transient

OWN = 0o700  # directories that we make, until they are sealed
OPEN = 0o755  # those of a source that has no modes: they are never sealed with one
MANY = 1024  # changed directories after which they are made durable at once, so memory is flat
_IN_THE_WAY = (errno.ELOOP, errno.ENOTDIR)


class Ground:
    """One user's place, as a target works on it."""

    def __init__(self, template: Template, user: str, token: str, clock: Clock) -> None:
        self.root = Root(template, user)
        self.staging = Staging(token)
        self.dresser = Dresser(clock)
        self._clock = clock
        self._lock = Lock()
        self._touched: dict[str, tuple[int, int]] = {}  # changed directories, by path
        self._round = 1  # of making them durable; a handle knows in which it was touched last
        self._above: list[Handle] = []  # changed directories above the user's root
        self._loosened: dict[str, int] = {}  # modes of directories that locked us out
        self.tree: Directories | None = None
        self.durability = Durability(self.root.fixed, clock)
        found = self.root.open()
        if found is not None:
            self._settle_in(found)

    def top(self) -> Handle:
        """The user's root. Missing if it has not been made."""
        if self.tree is None:
            raise Missing(f"{self.root.place} does not exist", hint="make its directory first")
        return self.tree.root

    def get(self, path: str) -> Handle:
        """The directory at `path`, as OSError says if there is none."""
        if self.tree is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return self.tree.get(path)

    def folder(self) -> Handle:
        """The staging place."""
        try:
            return self.staging.open(self.top())
        except PermissionError:
            if not self.loosen(""):
                raise
            return self.staging.open(self.top())

    @contextmanager
    def translated(self, what: str) -> Iterator[None]:
        """Raise what goes wrong with `what` as our errors."""
        try:
            yield
        except (OSError, ValueError) as exc:
            raise self.failed(exc, what) from exc

    def fence(self) -> None:
        """Stale if a later epoch has taken over."""
        self.folder()
        self.staging.fence(self.top())

    def failed(self, exc: OSError | ValueError, what: str) -> ConvoyError:
        """Our error for what went wrong with `what`."""
        if isinstance(exc, OSError) and exc.errno in _IN_THE_WAY:
            return Occupied(f"{what}: a link or file stands where a directory is needed")
        return ours(exc, what, fd=self.root.fixed.fd, place=self.root.place)

    def make(self, mode: int) -> bool:
        """Make the user's root; True if it was not there."""
        if self.tree is not None:
            return False
        handle, made, changed = self.root.make(mode)
        self._above += changed
        self._settle_in(handle)
        return made

    def ensure(self, path: str, mode: int) -> bool:
        """Make the directory at `path`, and those above it; True if it was not there."""
        try:
            self.get(path)
        except FileNotFoundError:
            return self._make_all(path, mode)
        parent, name = split(path)
        require_spelled(self.get(parent), name, path)
        return False

    def touch(self, path: str, handle: Handle) -> None:
        """Something in this directory was changed."""
        if handle.touched == self._round:
            return
        with self._lock:
            handle.touched = self._round
            known = self._touched.setdefault(path, handle.id)
            many = len(self._touched) > MANY
        if known != handle.id:
            raise _replaced(path)
        if many:
            self.finish()

    def finish(self) -> None:
        """Make the changed directories durable, once it is sure that they are still in place: one
        that was moved away while we worked in it has taken what we put there along."""
        with self._lock:
            touched, self._touched = self._touched, {}
            above, self._above = self._above, []
            self._round += 1
        standing: set[str] = set()
        for path, identity in touched.items():
            if self._standing(path, standing).id != identity:
                raise _replaced(path)
        if self.durability.cheaper_together(len(touched)):
            self.durability.everything()
            device = self.top().id[0]
            above = [handle for handle in above if handle.id[0] != device]
            touched = {path: id for path, id in touched.items() if id[0] != device}
        self.durability.directories(above)
        self.durability.directories(map(self.get, touched))

    def loosen(self, path: str) -> bool:
        """Open directories of our own that lock us out, down to `path`; True if there were any."""
        if self.dresser.privileged or self.tree is None:
            return False
        at, any_loosened = "", False
        for name in ["", *path.split("/")] if path else [""]:
            at = f"{at}/{name}" if at else name
            any_loosened |= self._loosen_one(at)
        return any_loosened

    def clear_away(self, name: str) -> None:
        """Remove a staging place."""
        try:
            remove(self.top(), name)
        except PermissionError:
            if not self.loosen(""):
                raise
            remove(self.top(), name)

    def sealed(self, path: str) -> None:
        """This directory has got its mode."""
        self._loosened.pop(path, None)

    def leave(self) -> None:
        """Remove the staging place, close what was opened to us."""
        if self.tree is None:
            return
        if self.staging.made:
            self.clear_away(self.staging.name)
        for path, mode in reversed(self._loosened.items()):
            handle = self.get(path)
            if S_IMODE(os.fstat(handle.fd).st_mode) == mode | OWN:
                os.fchmod(handle.fd, mode)
        self._loosened, self.tree = {}, None

    def _settle_in(self, handle: Handle) -> None:
        if handle.id[0] != self.root.fixed.id[0]:  # a file system of its own
            self.durability = Durability(handle, self._clock)
        self.tree = Directories(handle)

    def _make_all(self, path: str, mode: int) -> bool:
        self.fence()
        above, name = split(path)
        missing = [(above, name, path)]
        while (parent := self._there(above)) is None:
            path, (above, name) = above, split(above)
            missing.append((above, name, path))
        made = False
        for above, name, path in reversed(missing):
            last = (above, name, path) == missing[0]
            parent, made = self._make_one(parent, above, name, path, mode if last else OWN)
        return made

    def _there(self, path: str) -> Handle | None:
        try:
            return self.get(path)
        except FileNotFoundError:
            return None

    def _make_one(
        self, parent: Handle, above: str, name: str, path: str, mode: int
    ) -> tuple[Handle, bool]:
        made = True
        try:
            os.mkdir(name, mode, dir_fd=parent.fd)
        except FileExistsError:
            made = False  # somebody else made it just now
        except PermissionError:
            if not self.loosen(above):
                raise
            os.mkdir(name, mode, dir_fd=parent.fd)
        self.touch(above, parent)
        if parent.names is not None:
            parent.names.add(name)
        assert self.tree is not None
        handle = self.tree.enter(parent, name, path)
        if made:
            bare(handle.fd)
        return handle, made

    def _standing(self, path: str, standing: set[str]) -> Handle:
        """The directory at `path`, reached again from the root wherever that was not seen yet."""
        handle = self.get(path)
        while path not in standing:
            standing.add(path)
            if not path:
                again = self.root.open()
                if again is None or again.id != self.top().id:
                    raise _replaced(self.root.place)
                break
            parent, name = split(path)
            if not self.get(parent).holds(name, self.get(path).id):
                raise _replaced(path)
            path = parent
        return handle

    def _loosen_one(self, path: str) -> bool:
        parent, _, name = path.rpartition("/")
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
        top = self.top()
        above = self.get(parent)
        fd = os.open(name, flags, dir_fd=above.fd) if path else os.dup(top.fd)
        try:
            found = os.fstat(fd)
            mode = S_IMODE(found.st_mode)
            if found.st_uid != os.geteuid() or mode & OWN == OWN:
                return False
            os.chmod(f"/proc/self/fd/{fd}", mode | OWN)
        finally:
            os.close(fd)
        self._loosened.setdefault(path, mode)
        return True


def _replaced(path: str) -> Transient:
    return Transient(f"{path!r}: this directory was replaced while we worked in it")
