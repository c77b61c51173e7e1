"""Fifty hosts behind one sshd that drops connections early. A program of its own:

    python -m tests.faults.many_hosts --hosts 50

All hosts share one sshd with `MaxStartups 10:30:60`, as if fifty machines stood behind one gate:
the worst case for connections that are made at once. Deploys to all, starts a consumer on each,
looks, runs a command, stops. Ends with 1 if a host failed, or if sshd dropped a connection.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fleet import fleet
from tests.servers.ports import free_port
from tests.servers.processes import server
from tests.servers.sshd import Hosts, ended, greets, identity, sshd_program
from tests.waiting import eventually

DROPPED = ("drop connection", "throttling")  # a reset by the other side is us, hanging up


@dataclass
class Report:
    """How long each command took, and what was wrong."""

    seconds: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


@contextmanager
def gate(folder: Path, count: int) -> Iterator[Hosts]:
    """One sshd at so many addresses, each with a home of its own."""
    found = Hosts(folder, free_port())
    public = identity(folder)
    found.names += [f"127.0.1.{number + 1}" for number in range(count)]
    lines = ["MaxStartups 10:30:60", "StrictModes no", "UsePAM no", "PasswordAuthentication no"]
    lines += [f"Port {found.port}", f"HostKey {folder}/hostkey", "PidFile none", "LogLevel VERBOSE"]
    lines += [f"AuthorizedKeysFile {folder}/authorized", "Subsystem sftp internal-sftp"]
    lines += [f"ListenAddress {name}" for name in found.names]
    for name in found.names:
        (folder / name).mkdir()
        lines += [f"Match LocalAddress {name}", f"  SetEnv HOME={folder / name}"]
    (folder / "sshd_config").write_text("\n".join(lines) + "\n")
    with found.known.open("w") as known:
        known.writelines(f"[{name}]:{found.port} {public}\n" for name in found.names)
    argv: list[str | Path] = [sshd_program(), "-D", "-e", "-f", folder / "sshd_config"]
    with server("sshd", argv, ready=lambda: greets(found.names[0], found.port), home=folder):
        try:
            yield found
        finally:
            for name in found.names:
                ended(found.home(name))


def visit(home: Path, count: int) -> Report:
    """All of it."""
    report = Report()
    with fleet(home, consumers=0, lease=20) as running, gate(home_of(home), count) as hosts:
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
        log = (hosts.folder / "sshd.log").read_text().lower()
        report.wrong += [line for line in log.splitlines() if any(w in line for w in DROPPED)]
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
