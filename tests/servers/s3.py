"""Real S3 servers: moto (fast, careless), Swift, Ceph's gateway, and `rclone serve s3`.

Each has its own character, which `Store` declares and the contract suite holds it to: a test that
passes because a server is careless proves nothing. One server of each kind per pytest worker
(Ceph: one per run), a bucket per worker, a prefix per test.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from common.endpoints.s3.location import Location
from tests.servers import ceph, roll, swift
from tests.servers.ports import free_port, listening
from tests.servers.processes import server

NAMES = ("moto", "swift", "rclone", "ceph")
_PREFIXES = itertools.count(1)


@dataclass(frozen=True)
class Store:
    """A running server, its keys, and what is known of its character."""

    name: str
    access: str
    secret: str
    endpoint: str = ""
    bucket: str = ""
    exclusive: bool = True  # of 12 writers with If-None-Match: * exactly one wins
    matches: bool = True  # If-Match with the right ETag is honoured
    checks_md5: bool = True  # a wrong Content-MD5 is refused
    checks_keys: bool = True  # a wrong secret is refused
    joins: bool = True  # the ETag of an object made of parts has the usual form
    tags: bool = True
    headers: bool = True  # keeps Cache-Control, Content-Language and so on
    markers: bool = True  # "name/" and "name/below" can be there at once
    shows_parts: bool = True  # tells how large the parts of an object were
    folds: bool = False  # names in another Unicode form are the same name
    refuses: tuple[str, ...] = ()  # what a key must not contain

    @property
    def location(self) -> Location:
        """The bucket, as our endpoint wants it."""
        return Location(self.bucket, endpoint=self.endpoint, profile=self.name)

    def url(self, prefix: str) -> str:
        """A place in the bucket, as an operator writes it."""
        return f"s3://{self.bucket}/{prefix}?endpoint={self.endpoint}&profile={self.name}"

    def through(self, endpoint: str) -> Store:
        """The same store behind another address (a proxy)."""
        return replace(self, endpoint=endpoint)

    def independent(self) -> Any:
        """A client that shares no code with ours."""
        return _independent(self.endpoint, self.access, self.secret)


@lru_cache(maxsize=32)
def _independent(endpoint: str, access: str, secret: str) -> Any:
    config = Config(
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=config,
    )


MOTO = Store("moto", "test", "testsecret", checks_md5=False, checks_keys=False, refuses=("\n",))
SWIFT = Store("swift", swift.ACCESS, swift.SECRET, exclusive=False, matches=False, tags=False)
RCLONE = Store(
    "rclone",
    "test",
    "testsecret",
    exclusive=False,
    matches=False,
    joins=False,
    headers=False,
    markers=False,
    tags=False,
    folds=True,
    refuses=("//", "./"),
)
CEPH = Store("ceph", ceph.ACCESS, ceph.SECRET, matches=False, shows_parts=False)
# other users of the same servers, who have no rights of their own
GUESTS = {
    "swift": Store("swift-guest", swift.GUEST, swift.GUEST_SECRET),
    "ceph": Store("ceph-guest", ceph.GUEST, ceph.GUEST_SECRET),
}


@pytest.fixture(scope="session")
def s3_profiles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keys of all stores in a shared credentials file of this run, as an operator keeps them."""
    home = tmp_path_factory.mktemp("aws")
    lines = [
        f"[{s.name}]\naws_access_key_id = {s.access}\naws_secret_access_key = {s.secret}\n"
        for s in (MOTO, SWIFT, RCLONE, CEPH, *GUESTS.values())
    ]
    (home / "credentials").write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "credentials"))
        patch.setenv("AWS_CONFIG_FILE", str(home / "config"))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="session")
def moto(s3_profiles: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """moto_server: in memory, checks neither signatures nor Content-MD5."""
    yield from _running(MOTO, in_memory, tmp_path_factory.mktemp("moto"))


@pytest.fixture(scope="session")
def swift_store(s3_profiles: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Swift with s3api: three replicas, conditional writes that are not atomic."""
    if reason := swift.missing():
        roll.absent("swift", reason)
    yield from _running(SWIFT, swift.cluster, tmp_path_factory.mktemp("swift"))


@pytest.fixture(scope="session")
def rclone_store(s3_profiles: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """`rclone serve s3`: ignores conditions."""
    yield from _running(RCLONE, _rclone, tmp_path_factory.mktemp("rclone"))


@pytest.fixture(scope="session")
def ceph_store(s3_profiles: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Ceph's gateway; required only where CONVOY_TEST_REQUIRE names it."""
    if reason := ceph.missing():
        needed = "ceph" in os.environ.get("CONVOY_TEST_REQUIRE", "")
        roll.absent("ceph", reason, required=needed)
    home = tmp_path_factory.getbasetemp()
    shared = home.parent if "PYTEST_XDIST_WORKER" in os.environ else home
    yield from _running(CEPH, ceph.shared, shared / "ceph")


FIXTURES = dict(zip(NAMES, ("moto", "swift_store", "rclone_store", "ceph_store"), strict=True))


@pytest.fixture(params=NAMES)
def store(request: pytest.FixtureRequest) -> Store:
    """Each of the servers in turn."""
    found: Store = request.getfixturevalue(FIXTURES[request.param])
    return found


@pytest.fixture
def prefix() -> str:
    """A user's place of this test's own: "users/u7/"."""
    return f"users/u{next(_PREFIXES)}/"


def _running(
    store: Store, start: Callable[[Path], AbstractContextManager[str]], home: Path
) -> Iterator[Store]:
    with start(home) as endpoint:
        bucket = f"bucket-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
        ready = replace(store, endpoint=endpoint, bucket=bucket)
        client = ready.independent()
        client.create_bucket(Bucket=bucket)
        roll.used(f"s3 ({store.name})", endpoint)
        yield ready
        client.close()


@contextmanager
def in_memory(home: Path) -> Iterator[str]:
    """moto_server, until the block ends."""
    port = free_port()
    argv = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1"]
    with server("moto", [*argv, "-p", str(port)], ready=_listens(port), home=home):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _rclone(home: Path) -> Iterator[str]:
    (home / "data").mkdir()
    found = shutil.which("rclone", path=sysconfig.get_path("scripts")) or shutil.which("rclone")
    if found is None:
        roll.absent("rclone")
    port = free_port()
    argv = [found, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--config", "/dev/null"]
    argv += ["--auth-key", f"{RCLONE.access},{RCLONE.secret}", str(home / "data")]
    with server("rclone", argv, ready=_listens(port), home=home):
        yield f"http://127.0.0.1:{port}"


def _listens(port: int) -> Callable[[], None]:
    def ready() -> None:
        if not listening(port):
            raise ConnectionError(port)

    return ready
