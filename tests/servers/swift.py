"""A private Swift cluster with s3api from PyPI: one node, three replicas on three directories.

Nothing of it is mended in the background: only the four servers run. Slower without memcached.
"""

from __future__ import annotations

import getpass
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.servers.ports import free_port, listening
from tests.servers.processes import server

REPLICAS = 3
RINGS = ("account", "container", "object")
ACCESS, SECRET = "test:tester", "testing"
GUEST, GUEST_SECRET = "test:guest", "guesting"  # may do what a container's owner lets him

_BUILD = """
import sys
from swift.common.ring import RingBuilder
home, replicas = sys.argv[1], int(sys.argv[2])
for kind, port in zip(("account", "container", "object"), map(int, sys.argv[3:])):
    builder = RingBuilder(6, replicas, 1)
    for n in range(1, replicas + 1):
        builder.add_dev({"region": 1, "zone": n, "ip": "127.0.0.1", "port": port,
            "replication_ip": "127.0.0.1", "replication_port": port, "device": f"d{n}",
            "weight": 100.0, "meta": ""})
    builder.rebalance(seed=1)
    builder.get_ring().save(f"{home}/{kind}.ring.gz")
"""
_COMMON = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {home}
devices = {home}/node
mount_check = false
workers = 0
log_address = {home}/nolog
log_level = WARNING
recon_cache_path = {home}/cache
fallocate_reserve = 0
disable_fallocate = true
"""
_BACK = """
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
_FRONT = """
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck {cache} listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
user_test_guest = guesting
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false
dns_compliant_bucket_names = false
check_bucket_owner = false
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
allow_object_versioning = true
"""  # noqa: E501
_PLAIN = ("catch_errors", "gatekeeper", "healthcheck", "listing_formats", "bulk", "copy", "slo")


def missing() -> str:
    """Why there can be no Swift here; "" if there can."""
    script = Path(sys.executable).with_name("swift-proxy-server")
    return "" if script.exists() else "is not installed (pip install swift)"


@contextmanager
def cluster(home: Path) -> Iterator[str]:
    """The endpoint of a cluster that lives in `home` until the block ends."""
    ports = {name: free_port() for name in (*RINGS, "proxy", "memcached")}
    cached = shutil.which("memcached")
    _configure(home, ports, cached=cached is not None)
    with ExitStack() as stack:
        if cached:
            argv = [cached, "-u", getpass.getuser(), "-l", "127.0.0.1", "-m", "32"]
            argv += ["-p", str(ports["memcached"])]
            _start(stack, home, "memcached", argv, ports["memcached"])
        for kind in (*RINGS, "proxy"):
            script = Path(sys.executable).with_name(f"swift-{kind}-server")
            _start(stack, home, kind, [sys.executable, script, f"{home}/{kind}.conf"], ports[kind])
        yield f"http://127.0.0.1:{ports['proxy']}"


def _start(stack: ExitStack, home: Path, name: str, argv: Sequence[str | Path], port: int) -> None:
    def ready() -> None:
        if not listening(port):
            raise ConnectionError(name)

    env = {"PYTHONWARNINGS": "ignore"}
    stack.enter_context(server(name, argv, ready=ready, home=home, env=env))


def _configure(home: Path, ports: dict[str, int], *, cached: bool) -> None:
    for n in range(1, REPLICAS + 1):
        (home / f"node/d{n}").mkdir(parents=True)
    (home / "cache").mkdir()
    (home / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = s\nswift_hash_path_prefix = p\n"
        "[storage-policy:0]\nname = gold\ndefault = yes\n"
    )
    numbers = [str(ports[kind]) for kind in RINGS]
    _run([sys.executable, "-c", _BUILD, str(home), str(REPLICAS), *numbers])
    common = {"user": getpass.getuser(), "home": home}
    for kind in RINGS:
        text = _COMMON.format(port=ports[kind], **common)
        (home / f"{kind}.conf").write_text(text + _BACK.format(kind=kind))
    text = _COMMON.format(port=ports["proxy"], **common)
    text += _FRONT.format(cache="cache" if cached else "", memcached=ports["memcached"])
    text += "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in (*_PLAIN, "dlo"))
    (home / "proxy.conf").write_text(text + "[filter:symlink]\nuse = egg:swift#symlink\n")


def _run(argv: list[str]) -> None:
    if os.spawnvpe(os.P_WAIT, argv[0], argv, {**os.environ, "PYTHONWARNINGS": "ignore"}):
        raise RuntimeError("the rings were not built")
