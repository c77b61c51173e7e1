"""The S3 server to race against: a Ceph gateway where Debian's packages are installed, else moto.

moto is slow and forgiving; ratios taken with it say little, so the results name the server.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.sides import Store
from tests.servers import ceph
from tests.servers.ports import free_port, listening
from tests.servers.processes import server


@contextmanager
def store(home: Path) -> Iterator[Store]:
    """A running store with an empty bucket, until the block ends."""
    home.mkdir()
    if ceph.missing():
        with _moto(home) as endpoint:
            yield _opened(Store("moto", endpoint, "test", "testsecret"))
    else:
        with ceph.cluster(home) as endpoint:
            yield _opened(Store("Ceph gateway", endpoint, ceph.ACCESS, ceph.SECRET))


def swept(home: Path, store: Store) -> None:
    """Give the space of removed objects back; Ceph would take its time."""
    if store.name != "moto":
        argv = ["radosgw-admin", "-c", f"{home}/ceph.conf", "-n", "client.rgw", "gc", "process"]
        subprocess.run([*argv, "--include-all"], check=True, capture_output=True, timeout=300)


def _opened(store: Store) -> Store:
    store.client().create_bucket(Bucket=store.bucket)
    return store


@contextmanager
def _moto(home: Path) -> Iterator[str]:
    port = free_port()

    def ready() -> None:
        if not listening(port):
            raise ConnectionError(port)

    argv = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1"]
    with server("moto", [*argv, "-p", str(port)], ready=ready, home=home):
        yield f"http://127.0.0.1:{port}"
