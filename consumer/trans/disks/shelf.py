"""A set of raw files: makes what the catalogue orders, gives back what it no longer wants.

A file is made once, for a copy that the catalogue says was never made; a file that is missing
later is a fault, and nothing is put in its place. A file is removed only for a copy that the
catalogue orders to be reclaimed: it was a target that nobody switched to. Anything else in the
folder is nobody's business here.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress

import structlog

from common.endpoints.nbd.export import File, told
from common.endpoints.nbd.passes import checked
from common.errors import ConvoyError, Missing
from common.store.access import Access
from consumer.trans.disks.blockgate import Backing, BlockGate

log = structlog.get_logger(__name__)
ROUND = 1.0  # seconds between two looks for what is to be given back


class Shelf:
    """The files of one set."""

    def __init__(self, access: Access, set: str, folder: str) -> None:
        self._access, self._set, self._folder = access, set, folder

    def find(self, lc: str) -> Backing:
        """How a copy is opened; Missing if the catalogue has none of this name."""
        path = self._path(lc)
        size = self._access.to_make(self._set, lc)
        if size is not None:
            self._make(path, size)
            self._access.made(self._set, lc)
        return Backing(lambda: File(path, lc), lambda: File(path, lc, writable=False))

    def reclaim(self) -> int:
        """Give back what the catalogue orders; how many copies that was."""
        found = self._access.to_reclaim(self._set)
        for lc in found:
            with suppress(Missing), told(lc):
                os.unlink(self._path(lc))
            self._access.reclaimed(self._set, lc)
            log.info("copy.reclaimed", set=self._set, lc=lc)
        return len(found)

    def attend(self, over: threading.Event) -> None:
        """Reclaim, again and again, until the gate ends."""
        while not over.wait(ROUND):
            try:
                self.reclaim()
            except ConvoyError as error:
                log.warning("copy.not_reclaimed", set=self._set, why=str(error))

    def _path(self, lc: str) -> str:
        return os.path.join(self._folder, checked(lc))

    def _make(self, path: str, size: int) -> None:
        """Empty, and whole at once; one that was made by somebody who then died is taken."""
        with told(path):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(fd, size)
                os.fsync(fd)
            finally:
                os.close(fd)


def gate(access: Access, set: str, folder: str) -> tuple[BlockGate, Shelf]:
    """The gate of a set of raw files in a folder, which must be there."""
    if not os.path.isdir(folder):
        raise Missing(f"{folder} is not there", hint="mount it; it is never made")
    shelf = Shelf(access, set, folder)
    return BlockGate(os.path.join(folder, "state"), access.set(set).secret, shelf.find), shelf
