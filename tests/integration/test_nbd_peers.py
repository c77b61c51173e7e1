"""Our NBD client before everybody's servers, and our server before everybody's clients."""

from __future__ import annotations

import json
import random
import ssl
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from common.endpoints.nbd import wire
from common.endpoints.nbd.client import Client, exports, look
from common.endpoints.nbd.stream import Address
from common.errors import ConvoyError, Denied, Missing, Refused, Transient
from tests.certificates import self_signed
from tests.servers import roll
from tests.servers.nbd import nbdkit, ours, qemu_nbd, tool, url

MIB = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """16 MiB with holes."""
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(16 * MIB)
        for at in (0, 5 * MIB + 512, 15 * MIB):
            file.seek(at)
            file.write(random.Random(at).randbytes(300_000))
    return path


def run(*argv: str) -> str:
    done = subprocess.run([tool(argv[0]), *argv[1:]], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def exercise(client: Client, size: int) -> None:
    """Every verb, each read back."""
    data = random.Random(7).randbytes(100_000)
    client.write(4096, data)
    client.write(MIB, data, fua=client.offer.can(wire.CAN_FUA))
    assert client.read(4096, len(data)) == data == client.read(MIB, len(data))
    if client.offer.can(wire.CAN_ZERO):
        client.zero(4096, 8192)
        client.zero(MIB, 4096, hole=False)
        assert client.read(4096, 8192) == bytes(8192)
        assert client.read(MIB, 8192) == bytes(4096) + data[4096:8192]
    if client.offer.can(wire.CAN_TRIM):
        client.trim(2 * MIB, MIB)
    client.flush()
    tail = random.Random(8).randbytes(512)
    client.write(size - 512, tail)
    assert client.read(size - 512, 512) == tail
    with pytest.raises(Refused):
        client.read(size - 512, 513)


def mapped(client: Client, size: int) -> None:
    """Extents cover the whole disk, and zeros are zeros."""
    at = 0
    for extent in client.extents(0, size):
        if extent.flags & wire.ZERO and extent.length <= wire.PAYLOAD_MOST:
            assert not any(client.read(at, extent.length))
        at += extent.length
    assert at == size


@pytest.mark.parametrize("control", [False, True])
def test_our_client_before_qemu_nbd(tmp_path: Path, disk: Path, control: bool) -> None:
    with qemu_nbd(tmp_path, disk, "--discard=unmap") as where:
        client = Client.open(where, control=control)
        exercise(client, 16 * MIB)
        if control:
            mapped(client, 16 * MIB)
        client.close()
        assert [name for name, _ in exports(where)] == ["disk"]
        with pytest.raises(Missing):
            look(where._replace(export="other"))


@pytest.mark.parametrize("control", [False, True])
def test_our_client_before_nbdkit(tmp_path: Path, control: bool) -> None:
    with nbdkit(tmp_path, "memory", "16M") as where:
        client = Client.open(where, control=control)
        exercise(client, 16 * MIB)
        if control:
            mapped(client, 16 * MIB)
        client.close()


def test_our_client_says_what_a_server_says_that_fails(tmp_path: Path) -> None:
    flag = tmp_path / "fail"
    argv = ["--filter=error", "memory", "16M", "error=EIO", "error-rate=100%", f"error-file={flag}"]
    with nbdkit(tmp_path, *argv) as where:
        client = Client.open(where)
        client.write(0, b"x" * 512)
        flag.touch()
        with pytest.raises(Transient, match="input/output"):
            client.write(0, b"y" * 512)
        with pytest.raises(Transient, match="input/output"):
            client.read(0, 512)
        flag.unlink()
        assert client.read(0, 512) == b"x" * 512
        client.close()


def test_our_client_gives_up_a_server_that_says_nothing(tmp_path: Path) -> None:
    with nbdkit(tmp_path, "--filter=delay", "memory", "16M", "rdelay=60") as where:
        client = Client.open(where, silence=timedelta(milliseconds=200))
        with pytest.raises(Transient, match="silent"):
            client.read(0, 512)
        client.close()


def test_our_client_heeds_what_a_server_does_not_offer(tmp_path: Path, disk: Path) -> None:
    with nbdkit(tmp_path, "-r", "--filter=nozero", "file", str(disk)) as where:
        client = Client.open(where)
        assert client.read(0, 4096) == disk.read_bytes()[:4096]
        with pytest.raises(Refused, match="read-only"):
            client.write(0, b"x")
        with pytest.raises(Refused, match="extents"):
            list(client.extents(0, 4096))
        client.close()


def test_nbdinfo_sees_our_exports(tmp_path: Path, disk: Path) -> None:
    with ours(tmp_path, {"disk": disk, "other": disk}) as place:
        said = json.loads(run("nbdinfo", "--json", url(place, "disk")))
        [export] = said["exports"]
        assert export["export-size"] == 16 * MIB
        assert export["can_multi_conn"] and export["can_fua"] and export["can_trim"]
        assert export["contexts"] == ["base:allocation"]
        listed = json.loads(run("nbdinfo", "--json", "--list", url(place)))
        assert [e["export-name"] for e in listed["exports"]] == ["disk", "other"]
        found = json.loads(run("nbdinfo", "--json", "--map", url(place, "disk")))
        assert sum(extent["length"] for extent in found) == 16 * MIB
        assert {extent["type"] for extent in found} == {0, 3}


def test_nbdcopy_copies_from_us_and_to_us(tmp_path: Path, disk: Path) -> None:
    copy = tmp_path / "copy"
    with copy.open("wb") as file:
        file.truncate(16 * MIB)
    with ours(tmp_path, {"disk": disk, "copy": copy}) as place:
        run("nbdcopy", "--connections=4", url(place, "disk"), url(place, "copy"))
    assert copy.read_bytes() == disk.read_bytes()
    assert copy.stat().st_blocks * 512 < 8 * MIB  # holes stayed holes


def test_qemu_reads_and_writes_what_we_serve(tmp_path: Path, disk: Path) -> None:
    with ours(tmp_path, {"disk": disk}) as place:
        here = url(place, "disk")
        writes = ["write -P 7 64k 1M", "write -f -P 9 2M 512", "write -z 8M 1M", "discard 9M 1M"]
        reads = ["read -P 7 64k 1M", "read -P 9 2M 512", "read -P 0 8M 1M", "flush"]
        argv = [word for command in (*writes, *reads) for word in ("-c", command)]
        said = run("qemu-io", "-f", "raw", *argv, here)
        assert "failed" not in said
        extents = json.loads(run("qemu-img", "map", "-f", "raw", "--output=json", here))
        assert sum(extent["length"] for extent in extents) == 16 * MIB
        assert run("qemu-img", "compare", "-f", "raw", "-F", "raw", here, str(disk))


def test_fio_verifies_what_it_wrote_through_us(tmp_path: Path, disk: Path) -> None:
    job = ["--name=j", "--ioengine=nbd", "--rw=randrw", "--bs=4k", "--size=16M", "--iodepth=16"]
    job += ["--verify=crc32c", "--io_size=8M", "--randseed=3", "--output-format=json"]
    job += ["--verify_state_save=0"]  # it would leave a file where we stand
    with ours(tmp_path, {"disk": disk}) as place:
        said = run("fio", *job, f"--uri={url(place, 'disk')}")
    [told] = json.loads(said[said.index("{") :])["jobs"]
    assert told["error"] == 0 and told["write"]["total_ios"] > 0


def test_nbdsh_is_answered_byte_by_byte(tmp_path: Path, disk: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SHELL)
    python = Path("/usr/bin/python3")
    if subprocess.run([python, "-c", "import nbd"], capture_output=True).returncode:
        roll.absent("nbdsh", "is not installed (Debian: python3-libnbd)", required=False)
    with ours(tmp_path, {"disk": disk}) as place:
        argv = [str(python), str(script), url(place, "disk")]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["EINVAL", "ENOSPC", "EINVAL", "fine"]


SHELL = """
import errno, sys, nbd
h = nbd.NBD()
h.add_meta_context("base:allocation")
h.connect_uri(sys.argv[1])
h.set_strict_mode(0)
size = h.get_size()
for ask in (
    lambda: h.pread(512, size),
    lambda: h.pwrite(b"x" * 512, size),
    lambda: h.trim(0, 0),
):
    try:
        ask()
    except nbd.Error as error:
        print(errno.errorcode[error.errnum])
h.pwrite(b"abc", 11, nbd.CMD_FLAG_FUA)
assert h.pread(5, 10)[1:4] == b"abc"
found = []
h.block_status(size, 0, lambda name, at, entries, error: found.extend(entries) or 0)
assert sum(found[0::2]) == size
print("fine")
"""


def test_requests_sent_ahead_are_told_apart(tmp_path: Path) -> None:
    with nbdkit(tmp_path, "--filter=delay", "pattern", "16M", "rdelay=10ms") as where:
        client = Client.open(where)
        buffers = {client.send_read(at, memoryview(into)): (at, into) for at, into in ahead()}
        for _ in range(len(buffers)):
            reply = client.reply()
            at, into = buffers.pop(reply.cookie)
            assert into[:8] == at.to_bytes(8, "big") and not reply.error
        client.close()


def ahead() -> list[tuple[int, bytearray]]:
    return [(at * 65536, bytearray(4096)) for at in range(64)]


def test_tls_both_ways_and_never_in_the_clear(tmp_path: Path, disk: Path) -> None:
    certificate = self_signed(tmp_path / "localhost.pem")
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with ours(tmp_path, {"disk": disk}, tls=server_side) as place:
        plain = Address("disk", path=str(place))
        with pytest.raises(Denied):
            Client.open(plain)
        secret = Address("disk", host="localhost", path=str(place), tls=True)
        client = Client.open(secret, tls=trusting, control=True)
        exercise(client, 16 * MIB)
        client.close()
        with pytest.raises(Denied, match="not trusted"):
            Client.open(secret, tls=ssl.create_default_context())
    with ours(tmp_path, {"disk": disk}) as place, pytest.raises(Denied, match="no TLS"):
        Client.open(Address("disk", host="localhost", path=str(place), tls=True), tls=trusting)


def test_a_read_only_export_is_never_written(tmp_path: Path, disk: Path) -> None:
    before = disk.read_bytes()
    with ours(tmp_path, {"disk": disk}, writable=False) as place:
        client = Client.open(Address("disk", path=str(place)))
        client.offer = client.offer._replace(flags=client.offer.flags & ~wire.READ_ONLY)
        with pytest.raises(Denied):
            client.write(0, b"x" * 512)
        assert client.read(0, 512) == before[:512]
        client.close()
    assert disk.read_bytes() == before


def test_an_export_that_is_not_there_is_missing_and_the_server_goes_on(
    tmp_path: Path, disk: Path
) -> None:
    with ours(tmp_path, {"disk": disk}) as place:
        with pytest.raises(Missing):
            Client.open(Address("nothing", path=str(place)))
        assert look(Address("disk", path=str(place))).size == 16 * MIB


@pytest.mark.parametrize(
    "text",
    ["http://a/b", "nbd://", "nbd+unix:///x", "nbd://h:99999/x", "nbd://u@h/x", "nbd://h/x?y=1"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConvoyError):
        Address.parse(text)
