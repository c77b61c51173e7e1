"""Addresses of S3: what they may say, and that no secret gets into or out of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.endpoints.s3.account import Account
from common.endpoints.s3.channel import Channel
from common.endpoints.s3.keys import checked_prefix
from common.endpoints.s3.location import Location
from common.endpoints.wire import Timeouts
from common.errors import Denied, Refused
from tests.servers.scripted import Scripted, scripted

SECRET = "hunter2"
EMPTY_LIST = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_an_address_says_where_and_how() -> None:
    url = "s3://bucket/a b/%41?endpoint=http://h:9000&profile=p&region=r&path_style=true"
    assert Location.parse(url) == (
        Location("bucket", "http://h:9000", "p", "r", path_style=True), "a b/%41",
    )  # fmt: skip
    assert Location.parse("s3://bucket") == (Location("bucket"), "")
    location, prefix = Location.parse("S3://bucket/x?y/?sign_payload=true&path_style=FALSE")
    assert (prefix, location.sign_payload, location.path_style) == ("x?y/", True, False)


@pytest.mark.parametrize(
    "url",
    [
        f"s3://key:{SECRET}@bucket/x",
        f"s3://bucket/x?secret_key={SECRET}",
        f"s3://bucket/x?aws_secret_access_key={SECRET}",
        f"s3://bucket/x?endpoint=http://key:{SECRET}@host:9000",
    ],
)
def test_credentials_in_an_address_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(Refused) as caught:
        Location.parse(url)
    assert SECRET not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    "url",
    [
        "", "s3://", "s3:///x", "http://bucket/x", "s3://bu cket/x", "s3://../x", "s3://{user}/x",
        "s3://b\u00fccket/x", "s3://bucket/x?endpoint=ftp://h", "s3://bucket/x?path_style=maybe",
        "s3://bucket/x?endpoint=http://h/path", "s3://bucket/x?endpoint=http://h?q",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_a_hint(url: str) -> None:
    with pytest.raises(Refused) as caught:
        Location.parse(url)
    assert caught.value.hint


@pytest.mark.parametrize("prefix", ["a", "/a/", "a//b/", "../", "a/./", "\udcff/", "a/../b/", "/"])
def test_a_prefix_that_could_be_another_users_is_refused(prefix: str) -> None:
    with pytest.raises(Refused):
        checked_prefix(prefix)
    assert checked_prefix("users/u1/") == "users/u1/" and checked_prefix("") == ""


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without any configuration of AWS; the folder where it would be."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


def test_without_credentials_it_is_denied_with_a_hint(nobody: Path) -> None:
    with pytest.raises(Denied, match="credentials") as caught:
        Account(Location("bucket", endpoint="http://h"))
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint
    with pytest.raises(Denied, match="nowhere"):
        Account(Location("bucket", endpoint="http://h", profile="nowhere"))


def test_a_profile_says_who_where_and_whom_to_trust(nobody: Path) -> None:
    (nobody / "credentials").write_text(
        f"[work]\naws_access_key_id = AK\naws_secret_access_key = {SECRET}\naws_session_token = T\n"
    )
    (nobody / "config").write_text(
        "[profile work]\nregion = mars-1\nendpoint_url = http://mars:9000\n"
    )
    account = Account(Location("bucket", profile="work"))
    assert tuple(account.keys()) == ("AK", SECRET, "T") == tuple(account.keys())
    assert (account.region, account.endpoint) == ("mars-1", "http://mars:9000")
    assert SECRET not in repr(account.keys())


def test_the_cloud_itself_is_spoken_to_by_the_buckets_own_name(
    nobody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AK")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    channel = Channel(Location("bucket"), Timeouts())
    assert channel.origin.authority == "bucket.s3.eu-west-1.amazonaws.com"
    assert channel.origin.scheme == "https"
    dotted = Channel(Location("my.bucket"), Timeouts())  # its certificate would not match
    assert dotted.origin.authority == "s3.eu-west-1.amazonaws.com"


def first_line(server: Scripted, location: Location) -> bytes:
    Channel(location, Timeouts()).request("GET", "k y", {"q": "1"}, {})
    return server.requests[-1]


def test_a_path_or_a_host_names_the_bucket(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AK")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with scripted(EMPTY_LIST, close=True) as server:
        request = first_line(server, Location("bucket", endpoint=server.url))
        assert request.startswith(b"GET /bucket/k%20y?q=1 HTTP/1.1\r\n")
        assert SECRET.encode() not in request and b"UNSIGNED" not in request
    with scripted(EMPTY_LIST, close=True) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        location = Location("bucket", endpoint=url, path_style=False)
        assert Channel(location, Timeouts()).origin.host == "bucket.localhost"


def test_a_payload_is_signed_where_it_is_asked_for(
    nobody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AK")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    for signed in (False, True):
        with scripted(EMPTY_LIST, close=True) as server:
            location = Location("bucket", endpoint=server.url, sign_payload=signed)
            Channel(location, Timeouts()).request("PUT", "k", {}, {}, b"data")
            assert (b"UNSIGNED-PAYLOAD" in server.requests[-1]) != signed
