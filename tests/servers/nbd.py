"""NBD servers of other people, on Unix sockets below a test's folder; and ours, in this process."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from ssl import SSLContext

from common.endpoints.nbd.asking import Offer
from common.endpoints.nbd.client import look
from common.endpoints.nbd.export import Export, File
from common.endpoints.nbd.listener import Listener, bound
from common.endpoints.nbd.serving import serve
from common.endpoints.nbd.stream import Address
from common.errors import Missing
from tests.servers import roll
from tests.servers.processes import server

PACKAGES = {
    "qemu-nbd": "qemu-utils",
    "qemu-io": "qemu-utils",
    "qemu-img": "qemu-utils",
    "qemu-storage-daemon": "qemu-system-common",
    "nbdkit": "nbdkit",
    "nbdinfo": "libnbd-bin",
    "nbdcopy": "libnbd-bin",
    "fio": "fio",
}


def tool(name: str) -> str:
    """The path of a program; without it the test is skipped, visibly."""
    found = shutil.which(name)
    if found is None:
        roll.absent(name, f"is not installed (Debian: {PACKAGES[name]})", required=False)
    roll.used(name, _version(found))
    return found


def _version(path: str) -> str:
    said = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
    return said.splitlines()[0] if said else path


def url(path: Path | str, export: str = "") -> str:
    """The address of a Unix socket."""
    return f"nbd+unix:///{export}?socket={path}"


def at(path: Path | str, export: str = "") -> Address:
    return Address.parse(url(path, export))


@contextmanager
def qemu_nbd(home: Path, disk: Path, *options: str, name: str = "q") -> Iterator[Address]:
    """qemu-nbd on a raw file; several clients may write."""
    place = home / f"{name}.sock"
    argv = [tool("qemu-nbd"), "-f", "raw", "-k", str(place), "-t", "-e", "8", "-x", "disk"]
    where = at(place, "disk")
    with server(
        f"qemu-nbd-{name}", [*argv, *options, str(disk)], ready=lambda: look(where), home=home
    ):
        yield where


@contextmanager
def nbdkit(home: Path, *plugin: str, name: str = "k") -> Iterator[Address]:
    """nbdkit with any plugin and filters."""
    place = home / f"{name}.sock"
    argv = [tool("nbdkit"), "-f", "-U", str(place), *plugin]
    where = at(place)
    with server(f"nbdkit-{name}", argv, ready=lambda: look(where), home=home):
        yield where


class Shelf:
    """Files by name, as the exports of a server."""

    def __init__(self, files: dict[str, Path], *, writable: bool = True) -> None:
        self._files, self._writable = files, writable

    def listed(self) -> Iterable[tuple[str, str]]:
        return [(name, f"the disk {name}") for name in self._files]

    def look(self, name: str) -> Offer:
        export = self.open(name)
        export.close()
        return export.offer

    def open(self, name: str) -> Export:
        if name not in self._files:
            raise Missing(f"no disk {name!r}")
        return File(str(self._files[name]), name, writable=self._writable)


@contextmanager
def ours(
    home: Path, files: dict[str, Path], *, tls: SSLContext | None = None, writable: bool = True
) -> Iterator[Path]:
    """Our server in a thread; the path of its socket."""
    place = home / "ours.sock"
    shelf = Shelf(files, writable=writable)
    listener = Listener(bound(str(place)), lambda stream: serve(stream, shelf, tls))
    try:
        yield place
    finally:
        listener.close()
