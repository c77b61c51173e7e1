"""A real control centre: `convoy serve` as a child process, on a port that it chooses itself."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops.centre.users import FILE, Role, Users
from ops.processes import Child
from tests.servers.processes import server
from tests.terminal import ROOT, argv

PASSWORD = "correct horse battery staple"
PEOPLE: Mapping[str, Role] = {
    "vera": Role.VIEWER,
    "ann": Role.OPERATOR,
    "otto": Role.APPROVER,
}
_ADDRESS = re.compile(r"control centre: (http\S+)")


@dataclass(frozen=True)
class Serving:
    """A centre that is heard."""

    url: str  # without the last slash
    home: Path
    child: Child


@contextmanager
def centre(home: Path, *, listen: str = "127.0.0.1:0", **env: str) -> Iterator[Serving]:
    """Serve the deployment of `home` until the block ends; everybody has the same password.

    The second time in one home, everybody is known already.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (home / FILE).exists():
        known = Users(home / FILE)
        for name, role in PEOPLE.items():
            known.add(name, role, password=PASSWORD)
    inherited = {name: "" for name in os.environ if name.startswith("CONVOY_")}
    given = {**inherited, "CONVOY_HOME": str(home), "PYTHONPATH": str(ROOT), **env}
    log = home / "centre.log"
    log.write_bytes(b"")

    def ready() -> None:
        if not _ADDRESS.search(log.read_text()):
            raise RuntimeError("says no address yet")

    words = argv("serve", "--listen", listen)
    with server("centre", words, ready=ready, home=home, env=given) as child:
        found = _ADDRESS.search(log.read_text())
        assert found
        yield Serving(found[1].rstrip("/"), home, child)
