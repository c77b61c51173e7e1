"""The private redis-server: both binaries that it may be, and every way its parent may end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from common.errors import Conflict, Missing
from ops import embedded
from tests.servers import roll
from tests.waiting import eventually

PARENT = """
import sys, time
from pathlib import Path
from ops.embedded import Redis
from ops.processes import Family
with Redis(Path(sys.argv[1])) as ours, Family():
    print(ours.pid, flush=True)
    time.sleep(600)
"""


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, decode_responses=True)


@pytest.fixture(params=["Debian's", "the wheel's"])
def environ(request: pytest.FixtureRequest) -> dict[str, str]:
    path = embedded.DEBIAN if request.param == "Debian's" else embedded.in_the_wheel()
    if path is None or not os.access(path, os.X_OK):
        roll.absent(f"redis-server ({request.param})", required=False)
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    roll.used(f"redis-server ({request.param})", f"{said.split()[2].removeprefix('v=')} ({path})")
    return {**os.environ, "CONVOY_REDIS_SERVER": path}


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-c", PARENT, str(tmp_path / "redis")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_it_remembers_what_it_was_told_after_a_restart_and_after_a_kill(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    with embedded.Redis(tmp_path / "redis", environ=environ) as ours:
        before = ours.url
        with client(before) as line:
            line.set("first", "1")
        ours.restart()
        with client(before) as line:
            line.set("second", "2")
        os.kill(ours.pid, signal.SIGKILL)
        eventually(lambda: not ours.alive)
        ours.restart()
        with client(before) as line:
            assert line.mget("first", "second") == ["1", "2"]
        assert ours.url == before


def test_it_never_forgets_to_make_room_and_writes_everything_down(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    with (
        embedded.Redis(tmp_path / "redis", environ=environ) as ours,
        client(ours.url) as line,
    ):
        wanted = {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "save": "",
            "bind": "127.0.0.1",
        }
        assert {name: line.config_get(name)[name] for name in wanted} == wanted


def test_a_queue_that_cannot_be_read_is_set_aside(tmp_path: Path, environ: dict[str, str]) -> None:
    with embedded.Redis(tmp_path / "redis", environ=environ) as ours, client(ours.url) as line:
        line.set("key", "value" * 1000)
    files = [path for path in (tmp_path / "redis/data").rglob("*") if path.is_file()]
    for path in files:
        path.write_bytes(b"\xff no queue \xff" * 100)

    with embedded.Redis(tmp_path / "redis", environ=environ) as ours, client(ours.url) as line:
        assert line.dbsize() == 0
    assert {path.name for path in (tmp_path / "redis/unreadable").rglob("*")} >= {
        path.name for path in files
    }


def test_a_stranger_without_the_password_is_refused(tmp_path: Path) -> None:
    with embedded.Redis(tmp_path / "redis") as ours:
        _, _, address = ours.url.rpartition("@")
        with client(f"redis://{address}") as line, pytest.raises(redis.AuthenticationError):
            line.ping()


def test_the_password_is_new_at_each_start_and_stands_where_only_the_owner_reads(
    tmp_path: Path,
) -> None:
    passwords = set()
    for _ in range(2):
        with embedded.Redis(tmp_path / "redis") as ours:
            password = ours.url.split(":")[2].split("@")[0]
            passwords.add(password)
            assert password not in Path(f"/proc/{ours.pid}/cmdline").read_text()
            holders = [
                path
                for path in (tmp_path / "redis").rglob("*")
                if path.is_file() and password in path.read_text(errors="replace")
            ]
            assert {stat.S_IMODE(path.stat().st_mode) for path in holders} == {0o600}
        assert not any(path.exists() for path in holders)
    assert len(passwords) == 2


def test_a_port_that_somebody_else_took_first_costs_only_another_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        taken = stranger.getsockname()[1]
        offers = iter([taken, taken])
        choose = embedded.free_port
        monkeypatch.setattr(embedded, "free_port", lambda: next(offers, None) or choose())
        with embedded.Redis(tmp_path / "redis") as ours, client(ours.url) as line:
            assert line.ping()
            assert f":{taken}/" not in ours.url
        assert next(offers, None) is None


def test_a_second_server_in_the_same_home_is_refused_and_the_first_one_can_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "HANDOVER", embedded.HANDOVER * 0)
    home = tmp_path / "redis"
    with embedded.Redis(home) as ours:
        with pytest.raises(Conflict, match="another convoy"), embedded.Redis(home):
            pass
        assert embedded.running(home) == ours.url
    assert embedded.running(home) is None
    assert embedded.running(tmp_path / "never") is None


def test_a_home_with_an_unkind_name_is_served(tmp_path: Path) -> None:
    home = tmp_path / "a \"home\" with \\ spaces\nand ünkind 'names'"
    with embedded.Redis(home) as ours, client(ours.url) as line:
        assert line.ping()
    assert (home / "data").is_dir()


def test_a_server_that_does_not_exist_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="/no/such/program") as caught:
        embedded.Redis(tmp_path, environ={"CONVOY_REDIS_SERVER": "/no/such/program"})
    assert "absolute path" in caught.value.hint


def test_a_program_that_is_no_redis_is_reported_with_its_own_words(tmp_path: Path) -> None:
    liar = tmp_path / "liar"
    liar.write_text("#!/bin/sh\necho 'I am a teapot'; exit 3\n")
    liar.chmod(0o755)
    environ = {**os.environ, "CONVOY_REDIS_SERVER": str(liar)}
    with pytest.raises(Exception, match="I am a teapot"), embedded.Redis(tmp_path, environ=environ):
        pass
    assert embedded.running(tmp_path) is None


def test_the_wheels_server_is_taken_where_debian_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "DEBIAN", str(tmp_path / "none"))
    found = embedded.find_server({})
    assert found == embedded.in_the_wheel()
    assert shutil.which(found)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_it_ends_with_its_parent_however_that_ends(
    parent: subprocess.Popen[str], signum: signal.Signals
) -> None:
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert not gone(pid)
    parent.send_signal(signum)
    parent.wait(30)
    eventually(lambda: gone(pid))


def test_a_home_whose_owner_was_killed_can_be_used_at_once(
    parent: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert parent.stdout is not None
    parent.stdout.readline()
    parent.kill()
    with embedded.Redis(tmp_path / "redis") as ours, client(ours.url) as line:
        assert line.ping()
