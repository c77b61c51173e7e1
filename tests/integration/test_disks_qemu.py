"""QEMU's block layer on our proxy: fio verifies what it wrote, through relogin and switch."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.endpoints.nbd.client import look
from common.endpoints.nbd.stream import Address
from tests.disks import DISK, MIB, Site, site
from tests.servers.nbd import tool, url
from tests.servers.processes import server
from tests.waiting import eventually

SIZE = 32 * MIB


@contextmanager
def qemu(place: Site) -> Iterator[Path]:
    """QEMU's NBD client on the disk, as a virtual machine has it, behind an NBD server of QEMU's
    for fio to speak to."""
    socket = place.home / "qemu.sock"
    disk = f"driver=nbd,node-name=n,server.type=unix,server.path={place.guest.path},export=vol"
    argv = [tool("qemu-storage-daemon"), "--blockdev", f"{disk},reconnect-delay=30"]
    argv += ["--nbd-server", f"addr.type=unix,addr.path={socket},max-connections=8"]
    argv += ["--export", "type=nbd,id=e,node-name=n,writable=on,name=vol"]
    where = Address("vol", path=str(socket))
    with server("qemu-storage-daemon", argv, ready=lambda: look(where), home=place.home):
        yield socket


def fio(socket: Path, size: int, seconds: int) -> subprocess.Popen[str]:
    """A mixed load that checks every block that it reads back."""
    job = ["--name=j", "--ioengine=nbd", "--rw=randrw", "--rwmixread=40", "--iodepth=8"]
    job += ["--bsrange=4k-64k", "--bs_unaligned=0", f"--size={size}", "--verify=crc32c-intel"]
    job += [f"--runtime={seconds}", "--time_based", "--verify_backlog=64", "--rate=,6m"]
    job += ["--verify_state_save=0"]  # it would leave a file where we stand
    job += ["--output-format=json", f"--uri={url(socket, 'vol')}"]
    return subprocess.Popen([tool("fio"), *job], stdout=subprocess.PIPE, text=True)


@pytest.mark.timeout(180)
def test_fio_through_qemu_sees_no_error_while_its_disk_moves(tmp_path: Path) -> None:
    with site(tmp_path, SIZE) as place, qemu(place) as socket:
        with fio(socket, SIZE, 4) as load:
            eventually(lambda: any(place.copy("old").read_bytes()), 60)  # it writes
            thread = place.begin(iodepth=2)
            thread.join(60)
            said, _ = load.communicate(timeout=120)
        assert not thread.is_alive() and place.errors == []
        [told] = json.loads(said[said.index("{") :])["jobs"]
        assert (load.returncode, told["error"]) == (0, 0)
        assert told["write"]["total_ios"] > 100 and told["read"]["total_ios"] > 100
        assert place.access.disk(DISK).set == "new"
        before = place.copy("old").read_bytes()
        with fio(socket, SIZE, 1) as load:
            load.communicate(timeout=60)
        assert load.returncode == 0 and place.copy("old").read_bytes() == before
