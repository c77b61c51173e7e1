"""A real Prometheus from Debian's package, with a configuration and a port of its own."""

from __future__ import annotations

import json
import shutil
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers import roll
from tests.servers.ports import free_port
from tests.servers.processes import server


def promtool() -> str:
    """The path of promtool; the test is skipped where there is none."""
    found = shutil.which("promtool")
    if found is None:
        roll.absent("prometheus", required=False)
    return found


@contextmanager
def prometheus(configuration: Path, home: Path) -> Iterator[str]:
    """Run it until the block ends; its address."""
    binary = shutil.which("prometheus")
    if binary is None:
        roll.absent("prometheus", required=False)
    address = f"127.0.0.1:{free_port()}"
    argv = [binary, f"--config.file={configuration}", f"--storage.tsdb.path={home / 'tsdb'}"]
    argv += [f"--web.listen-address={address}", "--log.level=warn"]

    def ready() -> None:
        with urllib.request.urlopen(f"http://{address}/-/ready", timeout=5):
            return

    with server("prometheus", argv, ready=ready, home=home):
        roll.used("prometheus", binary)
        yield f"http://{address}"


def asked(address: str, path: str, **query: str) -> Any:
    """What its API answers."""
    url = f"{address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]
