"""A private one-node Ceph with a RADOS gateway, from Debian's packages. In memory, 12 s, 1.1 GB.

At most one in a run of the tests: the pytest-xdist worker that needs it first starts it, and ends
it when no other worker uses it any more.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.servers.ports import free_port, listening
from tests.servers.processes import server

ACCESS, SECRET = "test", "testsecret"
GUEST, GUEST_SECRET = "guest", "guestsecret"  # may do what a bucket's policy lets him
PROGRAMS = ("ceph-mon", "ceph-osd", "ceph-mgr", "radosgw", "radosgw-admin", "ceph", "monmaptool")

_CONF = """[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon}/0]
public addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
ms bind ipv4 = true
run dir = {home}/run
keyring = {home}/keyring
admin socket = {home}/run/$name.asok
log file = {home}/log/$name.log
mon data = {home}/mon
mgr data = {home}/mgr
osd data = {home}/osd
osd objectstore = memstore
memstore device bytes = 3221225472
mon max pg per osd = 1000
[client.rgw]
rgw data = {home}/rgw
rgw frontends = beast endpoint=127.0.0.1:{rgw}
rgw dns name = localhost
rgw gc obj min wait = 2
rgw gc processor period = 3
rgw gc processor max time = 3
"""


def missing() -> str:
    """Why there can be no Ceph here; "" if there can."""
    absent = [name for name in PROGRAMS if not shutil.which(name)]
    return f"is not installed ({', '.join(absent)})" if absent else ""


@contextmanager
def shared(home: Path) -> Iterator[str]:
    """The endpoint of the one gateway that all workers of this run share."""
    home.mkdir(exist_ok=True)
    with (home / "starting").open("w") as starting, (home / "users").open("w") as users:
        fcntl.flock(starting, fcntl.LOCK_EX)
        if (home / "endpoint").exists():
            fcntl.flock(users, fcntl.LOCK_SH)
            fcntl.flock(starting, fcntl.LOCK_UN)
            yield (home / "endpoint").read_text()
            return
        with cluster(home) as endpoint:
            (home / "endpoint").write_text(endpoint)
            fcntl.flock(starting, fcntl.LOCK_UN)
            yield endpoint
            fcntl.flock(starting, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_EX)  # others may still be at work
            (home / "endpoint").unlink()


@contextmanager
def cluster(home: Path) -> Iterator[str]:
    """A monitor, a manager, a storage daemon and a gateway, until the block ends."""
    ports = {"mon": free_port(), "rgw": free_port()}
    _configure(home, ports["mon"], ports["rgw"])
    with ExitStack() as stack:

        def start(name: str, *argv: str, ready: list[str] | None = None) -> None:
            def answers() -> None:
                if ready:
                    _run(home, *ready)
                elif name == "radosgw" and not listening(ports["rgw"]):
                    raise ConnectionError(name)

            full = [name, "-c", f"{home}/ceph.conf", "-f", *argv]
            stack.enter_context(server(name, full, ready=answers, home=home, within=60))

        start("ceph-mon", "-i", "a", ready=["ceph", "-s"])
        start("ceph-mgr", "-i", "x")
        name = str(uuid.uuid4())
        _run(home, "ceph", "osd", "new", name, "0")
        _run(home, "ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", name)
        start(
            "ceph-osd",
            "-i",
            "0",
            ready=["sh", "-c", f"ceph -c {home}/ceph.conf osd stat | grep -q '1 up'"],
        )
        _run(home, "radosgw-admin", "-n", "client.rgw", "user", "create", "--uid=t",
             "--display-name=t", f"--access-key={ACCESS}", f"--secret-key={SECRET}")  # fmt: skip
        _run(home, "radosgw-admin", "-n", "client.rgw", "user", "create", "--uid=guest",
             "--display-name=g", f"--access-key={GUEST}",
             f"--secret-key={GUEST_SECRET}")  # fmt: skip
        start("radosgw", "-n", "client.rgw")
        yield f"http://127.0.0.1:{ports['rgw']}"


def _configure(home: Path, mon: int, rgw: int) -> None:
    fsid = str(uuid.uuid4())
    for name in ("run", "log", "mon", "mgr", "osd", "rgw"):
        (home / name).mkdir()
    (home / "ceph.conf").write_text(_CONF.format(fsid=fsid, home=home, mon=mon, rgw=rgw))
    keyring = f"{home}/keyring"
    _run(home, "ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.",
         "--cap", "mon", "allow *")  # fmt: skip
    for entity in ("client.admin", "mgr.x", "osd.0", "client.rgw"):
        _run(home, "ceph-authtool", keyring, "--gen-key", "-n", entity, "--cap", "mon", "allow *",
             "--cap", "osd", "allow *", "--cap", "mgr", "allow *")  # fmt: skip
    _run(home, "monmaptool", "--create", "--clobber", "--fsid", fsid,
         "--addv", "a", f"[v2:127.0.0.1:{mon}/0]", f"{home}/monmap")  # fmt: skip
    _run(home, "ceph-mon", "--mkfs", "-i", "a", "--monmap", f"{home}/monmap", "--keyring", keyring)


def _run(home: Path, *argv: str) -> str:
    env = {**os.environ, "CEPH_CONF": f"{home}/ceph.conf"}
    done = subprocess.run(argv, env=env, cwd=home, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{argv[0]}: {json.dumps(done.stderr[-1000:])}")
    return done.stdout
