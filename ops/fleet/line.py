"""The line to one host: commands and files over SSH, each with a limit; foreign errors become ours.

The key of a host is checked against the known ones. No password is ever part of a command line, of
ours or of the host's.
"""

from __future__ import annotations

import hashlib
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import paramiko
from fabric import Connection
from invoke.exceptions import CommandTimedOut, ThreadException
from paramiko.ssh_exception import (
    AuthenticationException,
    BadHostKeyException,
    ChannelException,
    NoValidConnectionsError,
    SSHException,
)

from common.errors import Denied, Missing, Permanent, Transient
from ops.fleet.hosts import bare

IDLE = 30.0  # seconds without a byte of a file that is on its way


@dataclass(frozen=True, slots=True)
class Reach:
    """How hosts are reached."""

    config: Any = None  # fabric's: keys, agent, prompted password, ssh_config
    known_hosts: str = ""  # beside those of the user and of the machine
    trust: bool = False  # take the key of a host that nobody knows yet
    connect: timedelta = timedelta(seconds=10)
    command: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def why(self) -> str:
        """The last thing it said."""
        lines = (self.err or self.out).strip().splitlines()
        return lines[-1].strip() if lines else f"ended with {self.code}, without a word"


@dataclass(slots=True)
class Line:
    """An open line; use in a `with`."""

    host: str
    reach: Reach
    _open: Connection = field(init=False)

    def __enter__(self) -> Line:
        with said(self.host, "connect"):
            self._open = self._connection()
            self._open.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def name(self) -> str:
        return bare(self.host)

    def run(self, command: str, *, given: str = "", limit: timedelta | None = None) -> Said:
        """Run a command of the host's shell to its end, with this text to read."""
        most = (limit or self.reach.command).total_seconds()
        quoted = f"timeout -k 5 {most:.0f} sh -c {shlex.quote(command)}"
        with said(self.host, "run"):
            found = self._open.run(
                quoted,
                hide=True,
                warn=True,
                pty=False,
                encoding="utf-8",
                in_stream=_Text(given) if given else False,
                timeout=int(most) + 10,  # when the host itself does not answer any more
            )
        if found.exited == 124:
            raise Transient(f"the command did not end within {most:.0f} s")
        return Said(found.exited, found.stdout, found.stderr)

    def put(self, file: Path, to: str, *, mode: int = 0o600) -> None:
        """Put a file there as a whole: beside, compared, then in its place."""
        beside = f"{to}.{hashlib.sha256(file.name.encode()).hexdigest()[:8]}.part"
        try:
            with said(self.host, f"put {to}"):
                sftp = self._open.sftp()
                sftp.get_channel().settimeout(IDLE)
                sftp.put(str(file), beside)
                sftp.chmod(beside, mode)
        except Transient:
            self._room(to, file.stat().st_size)  # SFTP itself says no more than "Failure"
            raise
        ours, where = digest(file), shlex.quote(beside)
        there = self.run(f"sha256sum < {where} && mv -f {where} {shlex.quote(to)}")
        if there.code or there.out.split()[0] != ours:
            raise Transient(f"put {to}: it did not arrive as it was ({there.why})")

    def get(self, what: str, to: Path) -> None:
        """Get a file from there."""
        with said(self.host, f"get {what}"):
            sftp = self._open.sftp()
            sftp.get_channel().settimeout(IDLE)
            sftp.get(what, str(to))

    def _room(self, to: str, size: int) -> None:
        """Permanent if it is the disk that is full."""
        place = shlex.quote(str(Path(to).parent))
        done = self.run(f"df -Pk {place} | tail -n 1")
        if done.code == 0 and int(done.out.split()[3]) * 1024 < size:
            raise Permanent(f"no room for {to}", hint="make room there")

    def _connection(self) -> Connection:
        reach, config = self.reach, self.reach.config
        options = dict(config.connect_kwargs) if config is not None else {}
        limit = int(options.pop("timeout", 0)) or max(1, int(reach.connect.total_seconds()))
        options.pop("key_filename", None)  # fabric adds it again, with that of ssh_config
        options |= {"banner_timeout": limit, "auth_timeout": limit, "channel_timeout": limit}
        opened = Connection(self.host, config=config, connect_timeout=limit, connect_kwargs=options)
        opened.client.load_system_host_keys()
        for path in ("/etc/ssh/ssh_known_hosts", reach.known_hosts):
            if path and Path(path).exists():
                opened.client.load_system_host_keys(path)
        policy = paramiko.AutoAddPolicy if reach.trust else paramiko.RejectPolicy
        opened.client.set_missing_host_key_policy(policy())
        return opened


class _Text:
    """What a command is to read, as fabric reads it: piece by piece."""

    def __init__(self, text: str) -> None:
        self._left = text

    def read(self, size: int = -1) -> str:
        piece = self._left if size < 0 else self._left[:size]
        self._left = self._left[len(piece) :]
        return piece


def digest(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@contextmanager
def said(host: str, what: str) -> Iterator[None]:
    """Whatever SSH raises is told as one of our errors."""
    try:
        yield
    except BadHostKeyException as error:
        raise Denied(
            f"{what}: the key of {bare(host)} is not the known one",
            hint="find out why before anything else; then `ssh-keygen -R`, and ssh-keyscan again",
        ) from error
    except AuthenticationException as error:
        raise Denied(
            f"{what}: it does not let us in ({error})",
            hint="-i KEY, an agent, or --prompt-for-login-password",
        ) from error
    except socket.gaierror as error:
        raise Missing(f"{what}: {error.strerror}", hint="check the name") from error
    except CommandTimedOut as error:
        raise Transient(f"{what}: no end within {error.timeout} s") from error
    except SSHException as error:
        raise _refused(what, error) from error
    except (NoValidConnectionsError, TimeoutError, EOFError, ThreadException) as error:
        raise Transient(f"{what}: {_words(error)}") from error
    except OSError as error:
        raise Transient(f"{what}: {error.strerror or error}") from error


def _refused(what: str, error: SSHException) -> Denied | Permanent | Transient:
    text = str(error)
    if "known_hosts" in text:
        return Denied(
            f"{what}: nobody knows the key of this host",
            hint="ssh-keyscan -p PORT HOST >>~/.ssh/known_hosts, or --trust-new-hosts",
        )
    if isinstance(error, ChannelException):
        return Transient(f"{what}: it opens no more sessions")
    if "banner" in text or "No existing session" in text:
        return Transient(f"{what}: it takes the connection and says nothing")
    return Transient(f"{what}: {text}")


def _words(error: BaseException) -> str:
    if isinstance(error, NoValidConnectionsError):
        reasons = {str(each.strerror or each) for each in error.errors.values()}
        return ", ".join(sorted(reasons))
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
