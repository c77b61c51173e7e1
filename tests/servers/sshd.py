"""Real sshd's on 127.0.0.x, each with a home of its own for whoever logs in: hosts to deploy to.

They share a port, a host key and the one key that is let in; nothing of this machine's own SSH is
used or changed. What is started on a host outlives its connection, as it should: `ended` sees to it
that nothing of a home is left.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.servers import roll
from tests.servers.ports import free_port
from tests.servers.processes import server
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
WITHIN = 110  # seconds for any one command


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass
class Hosts:
    """Hosts at addresses of their own, and `fab` as an operator has it."""

    folder: Path
    port: int
    names: list[str] = field(default_factory=list)  # 127.0.0.x

    @property
    def known(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def key(self) -> Path:
        return self.folder / "key"

    def at(self, *names: str) -> str:
        """How these are given to `fab`: all of them if none is named."""
        user = getpass.getuser()
        return ",".join(f"{user}@{name}:{self.port}" for name in names or self.names)

    def home(self, name: str) -> Path:
        """The home of Convoy on a host."""
        return self.folder / name / ".local/state/convoy"

    def fab(self, *words: str | Path, known: bool = True, within: float = WITHIN) -> Done:
        """Run `fab` in the checkout."""
        shared = ["--known-hosts", str(self.known)] if known else []
        argv = [sys.executable, "-m", "fabric", "-i", str(self.key), *map(str, words)]
        dash = argv.index("--") if "--" in argv else len(argv)
        env = {k: v for k, v in os.environ.items() if not k.startswith("CONVOY_")}
        env |= {"HOME": str(self.folder), "COLUMNS": "160"}  # no keys and hosts of the person's own
        env.pop("SSH_AUTH_SOCK", None)
        done = subprocess.run(
            [*argv[:dash], *shared, *argv[dash:]],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=within,
        )
        return Done(done.returncode, done.stdout, done.stderr)


@contextmanager
def hosts(
    folder: Path,
    count: int,
    *,
    options: dict[str, str] | None = None,
    within: Sequence[str] = (),
    home: Path | None = None,
) -> Iterator[Hosts]:
    """So many hosts, nothing of which is left behind; `options` are more of sshd's own.

    `within` is a command that runs another one, `home` a place that all of them share.
    """
    program = sshd_program()
    folder.mkdir(parents=True, exist_ok=True)
    found = Hosts(folder, free_port())
    public = identity(folder)
    with ExitStack() as stack:
        for number in range(count):
            name = f"127.0.0.{number + 2}"
            place = folder / name
            place.mkdir(exist_ok=True)
            argv = [*within, *_argv(program, found, name, home or place, options or {})]
            ready = partial(greets, name, found.port)
            stack.enter_context(server(f"sshd-{name}", argv, ready=ready, home=folder))
            found.names.append(name)
            with found.known.open("a") as known:
                known.write(f"[{name}]:{found.port} {public}\n")
        try:
            yield found
        finally:
            for name in found.names:
                ended(found.home(name))


def _argv(
    program: str, found: Hosts, name: str, place: Path, options: dict[str, str]
) -> list[str | Path]:
    said = {
        "ListenAddress": name,
        "AuthorizedKeysFile": found.folder / "authorized",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "PidFile": "none",
        "Subsystem": "sftp internal-sftp",
        "SetEnv": f"HOME={place}",
        **options,
    }
    argv = [program, "-D", "-e", "-f", "/dev/null", "-p", str(found.port)]
    argv += ["-h", str(found.folder / "hostkey")]
    return [*argv, *(word for key, value in said.items() for word in ("-o", f"{key}={value}"))]


def sshd_program() -> str:
    """Where it is; skips where it is not."""
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None or shutil.which("ssh-keygen") is None:
        roll.absent("sshd")
    if os.geteuid() == 0:  # it gives up its rights there
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    said = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False).stderr
    roll.used("sshd", f"{said.partition(',')[0].strip()} ({program})")
    return program


def identity(folder: Path) -> str:
    """The key of the hosts and the one that they let in; what is known of the former."""
    for name in ("key", "hostkey"):
        _keygen(folder / name)
    (folder / "authorized").write_text((folder / "key.pub").read_text())
    return " ".join((folder / "hostkey.pub").read_text().split()[:2])


def _keygen(path: Path) -> None:
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    if not path.exists():
        subprocess.run(argv, check=True, capture_output=True)


def greets(name: str, port: int) -> None:
    """Raises unless an SSH server speaks there."""
    with socket.create_connection((name, port), timeout=2) as line:
        assert line.recv(4) == b"SSH-"


def of(home: Path) -> list[int]:
    """Every process whose environment names this home."""
    mark = f"CONVOY_HOME={home}\0".encode()
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            if mark in Path(f"/proc/{pid}/environ").read_bytes() + b"\0":
                found.append(int(pid))
    return found


def ended(home: Path) -> None:
    """End whatever runs for a home."""

    def none_left() -> bool:
        for pid in of(home):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not of(home)

    assert eventually(none_left)
