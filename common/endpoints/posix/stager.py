"""Writes things aside into the staging place, reads them back, and makes them durable."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from itertools import count
from threading import Lock

from common.endpoints.place import Attributes, Item, Type
from common.endpoints.posix import kernel
from common.endpoints.posix.directories import Handle, split
from common.endpoints.posix.ground import Ground
from common.endpoints.posix.shape import held_of
from common.endpoints.posix.staging import Staged, swept
from common.endpoints.posix.writing import Chunk, Writer, write_small, write_sparse
from common.errors import Changing, ConvoyError, Corrupt, Occupied

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINKS = (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP)


class Stager:
    """What one target has staged. May be used from several threads at once."""

    def __init__(self, ground: Ground, writer: Writer) -> None:
        self._ground, self._writer = ground, writer
        self._lock, self._settling = Lock(), Lock()
        self._names = map(str, count(1))
        self._round, self._settled = 1, 0  # the round of staging that is open; the last durable
        self._files: list[str] = []  # staged in the open round
        self._bytes = self._things = 0

    def stage(self, item: Item, data: bytes, attributes: Attributes) -> Staged:
        """A small file, or a link."""
        if len(data) != item.size:
            raise _changed(item, len(data))
        folder, name = self._next()
        try:
            if item.type is Type.LINK:
                staged = self._link(folder, name, item)
            else:
                staged = self._file(folder, name, item, data, attributes)
        except (OSError, ValueError, Corrupt) as exc:
            raise self._undone(exc, item, name) from exc
        except BaseException:
            self._ground.staging.drop(name)
            raise
        return self._enlist(staged)

    def stream(
        self,
        item: Item,
        chunks: Iterator[Chunk],
        digest: hashlib._Hash,
        attributes: Attributes,
    ) -> Staged:
        """A large file, chunk by chunk, each digested and read back."""
        folder, name = self._next()
        try:
            fd = os.open(name, _CREATE, 0o600, dir_fd=folder.fd)
            try:
                size = self._writer.pour(fd, chunks, digest, start=0, fresh=True)
                if size != item.size:
                    raise _changed(item, size)
                os.ftruncate(fd, size)  # it may end in a hole
                held = self._ground.dresser.dress(fd, item, attributes, self._ground.staging.born)
            finally:
                os.close(fd)
        except (OSError, ValueError, Corrupt) as exc:
            raise self._undone(exc, item, name) from exc
        except BaseException:
            self._ground.staging.drop(name)
            raise
        return self._enlist(Staged(item.path, held, item, folder, name))

    def again(self, item: Item, to: str) -> Staged | None:
        """A further name of the published `to`; None if links cannot be had there.

        Occupied if that is not what the item says any more.
        """
        self._ground.fence()
        folder, name = self._next()
        parent, old = split(to)
        directory = self._ground.get(parent)
        try:
            os.link(
                old,
                name,
                src_dir_fd=directory.fd,
                dst_dir_fd=folder.fd,
                follow_symlinks=False,
            )
        except OSError as exc:
            if exc.errno in _NO_LINKS:
                return None
            raise
        held = held_of(os.stat(name, dir_fd=folder.fd, follow_symlinks=False), item.link)
        if (held.type, held.size) != (item.type, item.size):
            self._ground.staging.drop(name)
            raise Occupied(f"{to!r} is not any more what {item.path!r} is to be linked to")
        return Staged(item.path, held, item, folder, name)

    def settle(self, round: int | None = None) -> None:
        """Make everything staged durable, or make sure that what was staged in `round` is.

        If the disk says no nothing of it is left, because what failed to be written is not told
        from what was.
        """
        if round is not None and round <= self._settled:
            return
        with self._settling:  # whoever comes second finds it done, and not just begun
            if round is None or round > self._settled:
                self._close_round()

    def _close_round(self) -> None:
        with self._lock:
            round, self._round = self._round, self._round + 1
            files, self._files = self._files, []
            size, things, self._bytes, self._things = self._bytes, self._things, 0, 0
        if things:
            self._make_durable(files, size)
        self._settled = round

    def _make_durable(self, files: list[str], size: int) -> None:
        ground = self._ground
        try:
            folder = ground.folder()
            ground.durability.settle(folder.fd, files, size)
            for name in files:
                kernel.forget(folder.fd, name)
        except FileNotFoundError as exc:
            raise swept(ground.staging.name) from exc
        except OSError as exc:
            ground.staging.clear()
            raise ground.failed(exc, "making what was staged durable") from exc

    def _next(self) -> tuple[Handle, str]:
        """The staging place and a name that nothing in it has."""
        try:
            return self._ground.folder(), next(self._names)
        except OSError as exc:
            raise self._ground.failed(exc, "opening the staging place") from exc

    def _link(self, folder: Handle, name: str, item: Item) -> Staged:
        os.symlink(item.link, name, dir_fd=folder.fd)
        self._ground.dresser.link(folder.fd, name, item)
        held = held_of(os.stat(name, dir_fd=folder.fd, follow_symlinks=False), item.link)
        return Staged(item.path, held, item, folder, name)

    def _file(
        self, folder: Handle, name: str, item: Item, data: bytes, attributes: Attributes
    ) -> Staged:
        fd = os.open(name, _CREATE, 0o600, dir_fd=folder.fd)
        try:
            (write_sparse if item.sparse else write_small)(fd, data)
            held = self._ground.dresser.dress(fd, item, attributes, self._ground.staging.born)
        finally:
            os.close(fd)
        return Staged(item.path, held, item, folder, name)

    def _enlist(self, staged: Staged) -> Staged:
        with self._lock:
            staged.round = self._round
            if staged.item.type is Type.FILE:
                self._files.append(staged.name)
            self._bytes += staged.item.size
            self._things += 1
        return staged

    def _undone(self, exc: OSError | ValueError | Corrupt, item: Item, name: str) -> ConvoyError:
        """Nothing half written stays; our error for what went wrong."""
        self._ground.staging.drop(name)
        if isinstance(exc, FileNotFoundError):
            return swept(self._ground.staging.name)
        if isinstance(exc, Corrupt):
            return Corrupt(f"{item.path!r}: {exc}")
        return self._ground.failed(exc, f"staging {item.path!r}")


def _changed(item: Item, size: int) -> Changing:
    return Changing(f"{item.path!r}: {size} bytes were read where {item.size} were listed")
