"""A MongoDB to hold our driver to: the best one at hand, by name, with what it gets wrong.

In this order: `mongod` on PATH, the address in CONVOY_TEST_MONGO_URL, `nx-27017` from PyPI (the
wire protocol over SQLite; atomic, but careless about types). FerretDB 1.24 over SQLite is not
among them although Go builds it in a minute: it finds and changes in two steps. Four processes
that raced for 400 documents won 1,058 times, and 1,200 increments added up to 405.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import os
import shutil
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pymongo
import pytest

from tests.servers import roll
from tests.servers.ports import free_port
from tests.servers.processes import server

_ROLL = "mongo"
_DATABASES = itertools.count(1)
QUICK = "serverSelectionTimeoutMS=2000"  # a server that is down is noticed soon

NX_FAULTS: Mapping[str, str] = {
    "types": "True is 1 to it, and numbers are compared with texts",
    "set": "a float loses digits and a boolean becomes 1 when they are set or added to",
    "objects": "an object that is appended becomes its JSON text",
    "silence": "a change that must fail is answered like one that matches nothing",
    "absence": "several documents may lack a field of a unique key",
    "none": "a field that holds None is overlooked inside an $or and by counting",
}


@dataclass(frozen=True)
class Mongo:
    """A running server and what is known of its character."""

    name: str
    version: str
    url: str  # names no database
    faults: Mapping[str, str] = field(default_factory=dict)
    bulk: int = 100_000  # documents that it takes in a few seconds

    def database(self, name: str, options: str = "") -> str:
        """The address of one database of it."""
        parts = urlsplit(self.url)
        query = "&".join(filter(None, (parts.query, options)))
        return urlunsplit((parts.scheme, parts.netloc, f"/{name}", query, ""))

    def drop(self, name: str) -> None:
        with _client(self.url) as client:
            client.drop_database(name)


def chosen() -> str:
    """Which server these tests ran against, for the report."""
    return roll.USED.get(_ROLL, "no MongoDB was needed")


@pytest.fixture(scope="session")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongo]:
    """The server of this pytest worker."""
    with ExitStack() as stack:
        if shutil.which("mongod") is None and (given := os.environ.get("CONVOY_TEST_MONGO_URL")):
            found = _described(given)
        else:
            found = stack.enter_context(private(tmp_path_factory.mktemp("mongo"), free_port()))
        roll.used(_ROLL, f"{found.name} {found.version}")
        yield found


@pytest.fixture
def mongo_url(mongo: Mongo) -> Iterator[str]:
    """A database of this test's own, dropped afterwards."""
    name = f"convoy_{os.getpid()}_{next(_DATABASES)}"
    yield mongo.database(name, QUICK)
    mongo.drop(name)


@dataclass
class OwnMongo:
    """A server of this test's own, to kill and to start again on the same data."""

    home: Path
    port: int
    stack: ExitStack
    mongo: Mongo | None = None
    kill: Callable[[], None] = lambda: None

    def start(self) -> Mongo:
        found = self.stack.enter_context(private(self.home, self.port, self._keep))
        self.mongo = found
        return found

    def _keep(self, kill: Callable[[], None]) -> None:
        self.kill = kill


@pytest.fixture
def own_mongo(tmp_path: Path) -> Iterator[OwnMongo]:
    """Not started yet. Never the server of CONVOY_TEST_MONGO_URL: that one is not ours to kill."""
    home = tmp_path / "own-mongo"
    home.mkdir()
    with ExitStack() as stack:
        yield OwnMongo(home, free_port(), stack)


@contextmanager
def private(
    home: Path, port: int, keep: Callable[[Callable[[], None]], None] = lambda kill: None
) -> Iterator[Mongo]:
    """A server of ours: mongod if there is one, else nx-27017. `keep` is given how to kill it."""
    mongod = shutil.which("mongod")
    argv = _mongod(mongod, home, port) if mongod else _nx(home, port)
    url = f"mongodb://127.0.0.1:{port}/?directConnection=true"
    with server(Path(argv[0]).name, argv, ready=lambda: _described(url), home=home) as child:
        keep(child.kill)
        yield _described(url)


def _mongod(binary: str, home: Path, port: int) -> list[str]:
    (home / "data").mkdir(exist_ok=True)
    own = ["--dbpath", str(home / "data"), "--bind_ip", "127.0.0.1", "--nounixsocket"]
    return [binary, "--port", str(port), *own]


def _nx(home: Path, port: int) -> list[str]:
    binary = Path(sysconfig.get_path("scripts")) / "nx-27017"
    if not binary.exists():
        roll.absent(_ROLL, "is not installed (neither mongod nor nx-27017)")
    own = [f"--{what}={home / what}" for what in ("data-dir", "log-file", "pid-file")]
    return [str(binary), "--host", "127.0.0.1", "--port", str(port), *own]


def _described(url: str) -> Mongo:
    """What answers there; raises if nothing does."""
    with _client(url) as client:
        client.admin.command("ping")
        info: dict[str, Any] = client.server_info()
    if "version" in info:
        ferret = info.get("ferretdbVersion", "")
        return Mongo(f"FerretDB {ferret}" if ferret else "mongod", info["version"], _bare(url))
    version = importlib.metadata.version("nx-27017")
    return Mongo("nx-27017", version, _bare(url), faults=NX_FAULTS, bulk=4_000)


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, "/", parts.query, ""))


def _client(url: str) -> pymongo.MongoClient[dict[str, Any]]:
    return pymongo.MongoClient(url, serverSelectionTimeoutMS=1000)
