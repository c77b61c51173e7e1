"""The gateway in trouble or led astray: it refuses, says 503, answers nobody else's request."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from common.clock import Clock
from common.lifecycle.buckets import Phase
from common.store.switches import Caller, Tenant
from tests.gate import body, code_of, keys, put_old
from tests.servers.gateways import ACCESS, LEASE, SECRET, STRANGER, World, client, served


def raw(world: World, data: bytes, *, end: bool = True) -> bytes:
    """What comes back for these bytes on one connection."""
    parts = urlsplit(world.endpoint)
    with socket.create_connection((parts.hostname, parts.port), 10) as sock:
        sock.sendall(data)
        if end:
            sock.shutdown(socket.SHUT_WR)
        found = b""
        while piece := sock.recv(65536):
            found += piece
        return found


def test_nobody_is_served_without_the_right_signature(gate: World) -> None:
    put_old(gate, "k")
    for access, secret, code in (
        (ACCESS, "wrong", "SignatureDoesNotMatch"),
        ("AKIDNOBODY", SECRET, "InvalidAccessKeyId"),
    ):
        stranger = client(gate.endpoint, access, secret)
        assert code_of(lambda s=stranger: body(s, gate, "k")) == code  # type: ignore[misc]
        assert code_of(lambda s=stranger: s.list_buckets()) == code  # type: ignore[misc]
    answer = raw(gate, f"GET /{gate.bucket}/k HTTP/1.1\r\nhost: h\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"AccessDenied" in answer


def test_a_caller_sees_the_buckets_of_his_tenant_and_no_other(gate: World) -> None:
    switches = gate.switches
    switches.add_tenant(Tenant("other", gate.old.endpoint, gate.new.endpoint, "swift", "moto"))
    gate.state.collection("callers").remove({"id": ACCESS})
    switches.add_caller(Caller(ACCESS, "other", "user", gate.old.name, gate.new.name))
    gate.confirmed()
    user = gate.user()
    assert user.list_buckets()["Buckets"] == []
    assert code_of(lambda: user.get_object(Bucket=gate.bucket, Key="k")) == "AccessDenied"
    assert code_of(lambda: user.get_object(Bucket="no-such", Key="k")) == "AccessDenied"


def test_a_caller_whose_profile_holds_another_key_is_not_served(gate: World) -> None:
    gate.switches.add_caller(Caller(STRANGER, "acme", "user", gate.old.name, gate.new.name))
    gate.confirmed()
    stranger = client(gate.endpoint, STRANGER, SECRET)
    assert code_of(lambda: stranger.list_buckets()) == "InvalidAccessKeyId"
    assert [b["Name"] for b in gate.user().list_buckets()["Buckets"]] == [gate.bucket]


@pytest.mark.parametrize("side", ["old", "new"])
def test_a_store_out_of_reach_is_a_503_and_never_a_404(gate: World, side: str) -> None:
    put_old(gate, "k")
    gate.to(Phase.COPYING)
    gate.state.collection("tenants").change({"id": "acme"}, set={side: "http://127.0.0.1:9"})
    gate.confirmed()
    user, bucket = gate.user(), gate.bucket
    assert code_of(lambda: body(user, gate, "k")) == "SlowDown"
    assert code_of(lambda: user.head_object(Bucket=bucket, Key="k")) == "503"
    assert code_of(lambda: keys(user, gate)) == "SlowDown"
    if side == "new":
        assert code_of(lambda: user.delete_object(Bucket=bucket, Key="k")) == "SlowDown"


def test_without_a_lease_nothing_is_served_and_with_a_new_one_all_is(gate: World) -> None:
    put_old(gate, "k")
    jumps, passed = [0.0], [0.0]

    def tick() -> float:
        """Monotonic time; whoever looks at it loses so many seconds."""
        passed[0] += jumps[0]
        return time.monotonic() + passed[0]

    with served(gate, "g2", clock=Clock(tick=tick)) as endpoint:
        user = client(endpoint, ACCESS, SECRET)
        assert body(user, gate, "k") == b"old"
        jumps[0] = LEASE.total_seconds()  # between two looks at the clock the lease is over
        assert code_of(lambda: body(user, gate, "k")) == "SlowDown"
        assert code_of(lambda: user.put_object(Bucket=gate.bucket, Key="k")) == "SlowDown"
        jumps[0] = 0.0
        gate.look()
        assert body(user, gate, "k") == b"old"


def test_what_the_gateway_does_not_know_it_does_not_pass_on(gate: World) -> None:
    user, bucket = gate.user(), gate.bucket
    for act in (
        lambda: user.get_bucket_policy(Bucket=bucket),
        lambda: user.put_bucket_versioning(
            Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
        ),
        lambda: user.get_object(Bucket=bucket, Key="k", VersionId="1"),
        lambda: user.delete_object(Bucket=bucket, Key="k", VersionId="1"),
        lambda: user.get_object_acl(Bucket=bucket, Key="k"),
        lambda: user.delete_bucket(Bucket=bucket),
        lambda: user.list_object_versions(Bucket=bucket),
    ):
        assert code_of(act) == "NotImplemented"
    for key in ("a/../../other/k", "./k"):
        assert code_of(lambda k=key: body(user, gate, k)) == "InvalidURI"  # type: ignore[misc]


def test_a_second_request_hidden_in_a_body_is_never_answered(gate: World) -> None:
    hidden = f"GET /{gate.bucket}/k HTTP/1.1\r\nhost: h\r\n\r\n".encode()
    put = f"PUT /{gate.bucket}/k HTTP/1.1\r\nhost: h\r\n".encode()
    for framing in (
        b"content-length: 5\r\ncontent-length: 90\r\n\r\n" + hidden,
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
        b"transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + hidden,
        b"content-length: 60\r\n\r\n" + hidden,
    ):
        answer = raw(gate, put + framing)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"connection: close" in answer


def test_a_bucket_can_stand_in_the_name_of_the_host(gate: World) -> None:
    port = urlsplit(gate.endpoint).port
    endpoint = f"http://gate.localhost:{port}"
    parts = {"gate.localhost": "127.0.0.1", f"{gate.bucket}.gate.localhost": "127.0.0.1"}
    original = socket.getaddrinfo

    def known(host: str, *rest: object, **more: object) -> object:
        return original(parts.get(host, host), *rest, **more)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", known)
        user = client(endpoint, ACCESS, SECRET, addressing_style="virtual")
        user.put_object(Bucket=gate.bucket, Key="v/w", Body=b"virtual")
        assert body(user, gate, "v/w") == b"virtual"
        assert keys(user, gate) == ["v/w"]


def test_two_gateways_show_the_same(gate: World, tmp_path: Path) -> None:
    put_old(gate, "k")
    with served(gate, "g2") as second:
        gate.to(Phase.COPYING)
        other = client(second, ACCESS, SECRET)
        gate.user().put_object(Bucket=gate.bucket, Key="k", Body=b"new")
        assert body(other, gate, "k") == b"new"
        other.delete_object(Bucket=gate.bucket, Key="k")
        assert code_of(lambda: body(gate.user(), gate, "k")) == "NoSuchKey"


def test_an_address_that_was_signed_is_good_for_its_key_alone(gate: World) -> None:
    put_old(gate, "k")
    url = gate.user().generate_presigned_url(
        "get_object", Params={"Bucket": gate.bucket, "Key": "k"}, ExpiresIn=60
    )
    parts = urlsplit(url)
    good = f"GET {parts.path}?{parts.query} HTTP/1.1\r\nhost: {parts.netloc}\r\n\r\n"
    assert raw(gate, good.encode()).endswith(b"old")
    bad = good.replace("/k?", "/l?")
    assert b"SignatureDoesNotMatch" in raw(gate, bad.encode())
