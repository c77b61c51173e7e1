"""The one atomic step by which something staged becomes visible, and never over a stranger's.

A free name is taken by a rename that refuses to replace (or by a link where that is not to be
had); an occupied one is looked at again at the last moment. What lies on another file system is
copied beside its name first, made durable there, and then renamed.
"""

from __future__ import annotations

import errno
import os

from common.endpoints.place import Held, Type
from common.endpoints.posix import beside, kernel, spans
from common.endpoints.posix.directories import Handle, split
from common.endpoints.posix.folding import require_spelled
from common.endpoints.posix.ground import Ground
from common.endpoints.posix.shape import held_of
from common.endpoints.posix.staging import Staged, swept
from common.endpoints.posix.writing import Writer
from common.errors import Denied, Occupied, Transient

_NOT_KNOWN = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)  # to this kernel or file system


class Publisher:
    """Gives staged things their names."""

    def __init__(self, ground: Ground, writer: Writer) -> None:
        self._ground, self._writer = ground, writer
        self._exclusive = True  # the kernel can rename without replacing

    def publish(self, staged: Staged, over: Held | None) -> Held:
        """Name it. Occupied if that is not free (or not `over` any more), Stale if it is gone."""
        ground = self._ground
        parent_path, name = split(staged.path)
        try:
            try:
                parent = ground.get(parent_path)
                held = self._name(staged, parent, name, over)
            except OSError as exc:
                parent, again = self._mended(exc, staged, parent_path)
                held = self._name(again, parent, name, over)
        except Occupied as exc:
            if not staged.directory.has(staged.name):  # it is our successor who was there
                raise swept(ground.staging.name) from exc
            ground.staging.drop(staged.name)
            raise
        except (OSError, ValueError) as exc:
            ground.staging.drop(staged.name)
            raise ground.failed(exc, f"publishing {staged.path!r}") from exc
        ground.touch(parent_path, parent)
        if staged.folder:
            spans.leave(ground.top(), staged.folder)
        return held

    def _name(self, staged: Staged, parent: Handle, name: str, over: Held | None) -> Held:
        source = staged.directory.fd
        if over is None:
            self._take(source, staged.name, parent, name, staged.path)
        else:
            _require_still(parent, name, over, staged.path)
            os.rename(staged.name, name, src_dir_fd=source, dst_dir_fd=parent.fd)
        if parent.names is not None:
            parent.names.add(name)
        try:
            found = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
        except FileNotFoundError as exc:
            raise Transient(f"{staged.path!r}: removed as soon as it was published") from exc
        return held_of(found, staged.item.link)

    def _mended(self, exc: OSError, staged: Staged, path: str) -> tuple[Handle, Staged]:
        """What to publish, and where, once what was in the way is out of it."""
        ground = self._ground
        if exc.errno == errno.EXDEV:
            parent = ground.get(path)
            token = ground.staging.token
            return parent, beside.carry(staged, token, parent, ground.dresser, self._writer)
        if exc.errno == errno.ENOENT:
            if not staged.directory.has(staged.name):
                raise swept(ground.staging.name) from exc
            raise Transient(f"{staged.path!r}: its directory was removed meanwhile") from exc
        if exc.errno == errno.EACCES and ground.loosen(path):
            return ground.get(path), staged
        raise exc

    def _take(self, source: int, staged: str, parent: Handle, name: str, path: str) -> None:
        """Rename to a name that must be free."""
        try:
            if self._exclusive:
                try:
                    kernel.rename_new(source, staged, parent.fd, name)
                except OSError as exc:
                    if exc.errno not in _NOT_KNOWN:
                        raise
                else:
                    return
            _link(source, staged, parent, name)
        except FileExistsError as exc:
            require_spelled(parent, name, path)
            raise Occupied(f"{path!r}: the target holds something there by now") from exc
        self._exclusive = False  # a link did what the rename could not
        os.unlink(staged, dir_fd=source)


def _link(source: int, staged: str, parent: Handle, name: str) -> None:
    try:
        os.link(staged, name, src_dir_fd=source, dst_dir_fd=parent.fd, follow_symlinks=False)
    except PermissionError as exc:
        raise Denied(
            f"{name!r}: this file system can neither rename without replacing nor link",
            hint="such a target cannot be written to safely: choose another file system",
        ) from exc


def _require_still(parent: Handle, name: str, over: Held, path: str) -> None:
    """Occupied unless `over` is still what holds this name."""
    try:
        found = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
    except FileNotFoundError as exc:
        raise Occupied(f"{path!r}: what the target held was removed while we looked") from exc
    if not is_still(held_of(found), over):
        raise Occupied(f"{path!r}: the target was changed by somebody else while we looked")
    if over.type is Type.DIRECTORY:
        raise Occupied(f"{path!r}: the target holds a directory there")


def is_still(held: Held, over: Held) -> bool:
    """Is what the target holds now what it held when it was looked at?

    The change time is not asked: it moves when another name of the same file goes.
    """
    inode, _, _ = over.version.partition(".")
    return held[:6] == over[:6] and inode in ("", held.version.partition(".")[0])
