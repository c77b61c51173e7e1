"""Fifty hosts behind a few sshd's that drop connections early. A program of its own:

    python -m tests.faults.many_hosts --hosts 50

Thirteen hosts share an sshd with `MaxStartups 10:30:60`, as if they stood behind one gate: harder
than in life, where each has its own. Deploys to all, starts a consumer on each,
looks, runs a command, stops. Ends with 1 if a host failed, or if sshd dropped a connection.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.fleet import fleet
from tests.servers.ports import free_port
from tests.servers.processes import server
from tests.servers.sshd import Hosts, ended, greets, identity, sshd_program
from tests.waiting import eventually

BEHIND = 13  # sshd listens at sixteen addresses at most
DROPPED = ("drop connection", "throttling")  # a reset by the other side is us, hanging up


@dataclass
class Report:
    """How long each command took, and what was wrong."""

    seconds: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


@contextmanager
def gates(folder: Path, count: int) -> Iterator[Hosts]:
    """A few sshd's at so many addresses, each address with a home of its own."""
    found = Hosts(folder, free_port())
    public = identity(folder)
    found.names += [f"127.0.1.{number + 1}" for number in range(count)]
    with found.known.open("w") as known:
        known.writelines(f"[{name}]:{found.port} {public}\n" for name in found.names)
    with ExitStack() as stack:
        for first in range(0, count, BEHIND):
            names = found.names[first : first + BEHIND]
            config = folder / f"sshd_config.{first}"
            config.write_text("\n".join(_config(found, names)) + "\n")
            argv: list[str | Path] = [sshd_program(), "-D", "-e", "-f", config]
            ready = partial(greets, names[0], found.port)
            stack.enter_context(server(f"sshd{first}", argv, ready=ready, home=folder))
        try:
            yield found
        finally:
            for name in found.names:
                ended(found.home(name))


def _config(found: Hosts, names: list[str]) -> Iterator[str]:
    folder = found.folder
    yield from ("MaxStartups 10:30:60", "StrictModes no", "UsePAM no", "PasswordAuthentication no")
    yield from (f"Port {found.port}", f"HostKey {folder}/hostkey", "PidFile none")
    yield from (f"AuthorizedKeysFile {folder}/authorized", "Subsystem sftp internal-sftp")
    yield from (f"ListenAddress {name}" for name in names)
    for name in names:
        (folder / name).mkdir()
        yield from (f"Match LocalAddress {name}", f"  SetEnv HOME={folder / name}")


def visit(home: Path, count: int) -> Report:
    """All of it."""
    report = Report()
    with fleet(home, consumers=0, lease=20) as running, gates(home_of(home), count) as hosts:
        settings = home / "convoy.env"
        said = {k: v for k, v in running.env.items() if k.startswith("CONVOY_")}
        text = "".join(f"{k}={v}\n" for k, v in (said | {"CONVOY_HOST": "{host}"}).items())
        settings.write_text(text)
        settings.chmod(0o600)

        def fab(what: str, *words: str | Path) -> list[Any]:
            began = time.monotonic()
            done = hosts.fab("-H", hosts.at(), what, "--json", *words, within=1800)
            report.seconds[what] = round(time.monotonic() - began, 1)
            rows: list[Any] = json.loads(done.out) if done.out.strip() else []
            failed = [f"{what}: {row['host']}: {row['said']}" for row in rows if not row["ok"]]
            again = [f"{what}: {row['host']}: twice" for row in rows if row["tries"] > 1]
            report.wrong += [*failed, *again]
            if done.code or len(rows) != count:
                report.wrong.append(f"{what} ended with {done.code}: {done.err[-300:]}")
            return rows

        fab("run", "--", "true")
        fab("deploy", "--settings", settings, "--environment", sys.prefix)
        fab("start", "--consumers", "1")
        eventually(lambda: _signed(fab("status")) == count, within=600)
        fab("stop", "--wait", "60s")
        for path in hosts.folder.glob("sshd*.log"):
            lines = path.read_text().lower().splitlines()
            report.wrong += [line for line in lines if any(word in line for word in DROPPED)]
    return report


def home_of(home: Path) -> Path:
    place = home / "hosts"
    place.mkdir(parents=True, exist_ok=True)
    return place


def _signed(rows: list[Any]) -> int:
    """How many consumers gave a sign of life."""
    return sum(post["sign"] is not None for row in rows for post in row["facts"].get("posts", ()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=50)
    count = parser.parse_args().hosts
    with tempfile.TemporaryDirectory(prefix="convoy-hosts-") as home:
        report = visit(Path(home), count)
    sys.stdout.write(
        json.dumps({"seconds": report.seconds, "wrong": report.wrong}, indent=1) + "\n"
    )
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
