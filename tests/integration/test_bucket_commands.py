"""What an operator types about tenants and buckets, and what comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ops.cli import exits
from ops.cli.main import main
from tests.servers.gateways import ACCESS, with_profile
from tests.servers.s3 import Store

TENANT = ["--old-profile", "moto", "--new-profile", "moto", "--fence", "true"]


class Shell:
    """Runs commands in a home of its own."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str, code: int = exits.COMPLETE) -> str:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        said = self._capsys.readouterr()
        assert ended.value.code == code, said.err
        return said.out + said.err

    def told(self, *words: str, code: int = exits.COMPLETE) -> Any:
        text = self(*words, "--json", code=code)
        return json.loads(text[text.index("[" if text.lstrip().startswith("[") else "{") :])


@pytest.fixture
def convoy(
    moto: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Shell:
    with_profile()
    monkeypatch.setenv("CONVOY_HOME", str(tmp_path))
    for name in ("CONVOY_STATE_URL", "CONVOY_BROKER_URL"):
        monkeypatch.delenv(name, raising=False)
    return Shell(capsys)


def add(convoy: Shell, moto: Store, new: str = "", code: int = exits.COMPLETE) -> str:
    sides = ["--old", moto.endpoint, "--new", new or moto.endpoint]
    caller = ["--caller", "user=moto,moto"]
    return convoy("tenant", "add", "acme", *sides, *TENANT, *caller, code=code)


def test_tenants_and_buckets_are_added_and_shown(convoy: Shell, moto: Store) -> None:
    add(convoy, moto)
    add(convoy, moto)  # again: nothing new
    convoy("bucket", "add", "acme/photos")
    [tenant] = convoy.told("tenant", "list")
    assert (tenant["id"], tenant["callers"], tenant["old"]) == ("acme", 1, moto.endpoint)
    [bucket] = convoy.told("bucket", "list")
    assert (bucket["id"], bucket["tenant"], bucket["phase"]) == ("photos", "acme", "normal")
    shown = convoy.told("bucket", "show", "acme/photos")
    assert (shown["progress"]["pages"], shown["failures"], shown["history"]) == (0, [], [])
    assert "photos" in convoy("bucket", "list")


def test_no_secret_is_kept_in_the_store(convoy: Shell, moto: Store, tmp_path: Path) -> None:
    add(convoy, moto)
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("state.db*"))
    assert ACCESS.encode() in kept
    assert b"users-secret" not in kept
    assert moto.secret.encode() not in kept


def test_what_cannot_be_is_refused_and_changes_nothing(convoy: Shell, moto: Store) -> None:
    add(convoy, moto)
    add(convoy, moto, new="http://127.0.0.1:9", code=exits.USAGE)
    for words in (
        ("bucket", "add", "nobody/photos"),
        ("bucket", "add", "photos"),
        ("bucket", "add", "acme/a/b"),
        ("bucket", "show", "acme/none"),
        ("bucket", "rollback", "acme/none"),
        ("migrate", "bucket", "acme/none"),
    ):
        convoy(*words, code=exits.USAGE)
    assert convoy.told("bucket", "list") == []


def test_a_dry_run_says_what_stands_against_a_move(convoy: Shell, moto: Store) -> None:
    add(convoy, moto)  # old and new are the same store: what is in the one is in the other
    name = f"{moto.bucket}-dry"
    client = moto.independent()
    client.create_bucket(Bucket=name)
    client.put_object(Bucket=name, Key="k", Body=b"1")
    convoy("bucket", "add", f"acme/{name}")
    found = convoy.told("migrate", "bucket", f"acme/{name}", "--dry-run", code=exits.USAGE)
    assert [finding["code"] for finding in found["findings"]] == ["B003"]
    assert convoy.told("bucket", "list")[0]["phase"] == "normal"


def test_a_probe_says_what_a_store_does(convoy: Shell, moto: Store) -> None:
    found = convoy.told("probe", moto.url(""))
    assert (found["exclusive"], found["checks_md5"]) == (True, False)


def test_a_gateway_needs_an_address(convoy: Shell) -> None:
    assert "no address" in convoy("gateway", "--listen", "nowhere", code=exits.USAGE)
