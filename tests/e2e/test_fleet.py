"""`fab` as an operator has it, on real sshd's: deployed, started, looked at, upgraded, stopped."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.centre.users import FILE, Role, Users
from ops.fleet.bundle import build
from ops.host import environment
from ops.processes import Child, spawn
from tests.fleet import Fleet, fleet
from tests.guest import Guest
from tests.servers import roll
from tests.servers.centre import PASSWORD
from tests.servers.ports import free_port, listening
from tests.servers.sshd import Done, Hosts, hosts, of
from tests.trees import differences
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("fleet")
FULL = 'mount -t tmpfs -o size=64k none "$1" && shift && exec "$@"'


@dataclass
class Site:
    """Hosts, the fleet they belong to, and two versions for them."""

    hosts: Hosts
    fleet: Fleet
    settings: Path
    wheels: list[Path]

    def fab(self, *words: str | Path) -> Done:
        return self.hosts.fab(*words)

    def rows(self, *words: str | Path, code: int = 0) -> dict[str, Any]:
        """What is said with --json, by the name of the host."""
        dash = words.index("--") if "--" in words else len(words)
        done = self.fab(*words[:dash], "--json", *words[dash:])
        assert done.code == code, done
        return {
            row["host"].rpartition("@")[2].partition(":")[0]: row for row in json.loads(done.out)
        }

    def deploy(self, which: int, *names: str) -> dict[str, Any]:
        return self.rows("-H", self.hosts.at(*names), "deploy", *self.how(which))

    def how(self, which: int) -> list[str | Path]:
        """What a deploy is told: the dependencies are there already."""
        ours: list[str | Path] = ["--settings", self.settings, "--environment", sys.prefix]
        return [*ours, "--wheel", self.wheels[which]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two hosts on which the first version is deployed."""
    folder = tmp_path_factory.mktemp("site")
    with fleet(folder, consumers=0) as running, hosts(folder / "hosts", 2) as found:
        settings = folder / "convoy.env"
        said = {k: v for k, v in running.env.items() if k.startswith("CONVOY_")}
        said |= {"CONVOY_HOST": "{host}"}
        settings.write_text("".join(f"{name}={value}\n" for name, value in said.items()))
        settings.chmod(0o600)
        made = Site(found, running, settings, versions(folder))
        assert {row["said"] for row in made.deploy(0).values()} == {name(made.wheels[0])}
        yield made


def versions(folder: Path) -> list[Path]:
    """The wheel of this checkout, and one that differs from it in a comment."""
    first = build(folder)
    second = folder / "next" / first.name
    second.parent.mkdir()
    with zipfile.ZipFile(first) as old, zipfile.ZipFile(second, "w") as new:
        for each in old.infolist():
            more = b"\n# the next version\n" if each.filename == "ops/__init__.py" else b""
            if not each.filename.endswith("RECORD"):
                new.writestr(each, old.read(each) + more)
        record = next(n for n in old.namelist() if n.endswith("RECORD"))
        new.writestr(record, "".join(f"{n},,\n" for n in old.namelist()))
    return [first, second]


def name(wheel: Path) -> str:
    """What a version is called on the hosts."""
    sha = subprocess.run(["sha256sum", wheel], capture_output=True, text=True, check=True).stdout
    return f"{wheel.name.split('-')[1]}-{sha[:8]}"


def alive(rows: dict[str, Any]) -> list[str]:
    posts = [post for row in rows.values() for post in row["facts"]["posts"]]
    return sorted(post["post"] for post in posts if post["alive"])


def test_half_of_a_fleet_is_upgraded_and_rolled_back_while_users_move(
    site: Site, tmp_path: Path
) -> None:
    everyone, (one, two) = site.hosts.at(), site.hosts.names
    first, second = map(name, site.wheels)
    old, new = people(tmp_path, 24), tmp_path / "new"
    assert alive(site.rows("start", "-H", everyone, "--consumers", "1")) == [
        f"c01@{one}",
        f"c01@{two}",
    ]
    migration = site.fleet.order(old, new, limits={"bandwidth": "60kB/s"})
    with loop(site, two) as dog:
        upgraded = site.deploy(1, two)[two]
        assert upgraded["said"] == f"{second} (was {first})"
        assert eventually(lambda: version_of(dog) == second, within=60)
        site.rows("-H", site.hosts.at(two), "restart", "--wait", "60s")
        mixed = eventually(lambda: _signed(site, 2), within=60)
        assert mixed == {f"c01@{one}": first, f"c01@{two}": second}
        assert site.fleet.migrations.get(migration.id).phase == "moving"
        back = site.rows("-H", site.hosts.at(two), "rollback")[two]
        assert back["said"] == f"{first} (was {second})"
        site.rows("-H", site.hosts.at(two), "restart", "--wait", "60s", "--now")
        assert set(eventually(lambda: _signed(site, 2), within=60).values()) == {first}
    seen = site.fleet.migrations.get(migration.id)
    site.fleet.migrations.amend(seen, by="test", what="limits", limits={})
    eventually(lambda: site.fleet.ended(migration), within=100)
    assert [line for user in old.iterdir() for line in differences(user, new / user.name)] == []
    assert site.fleet.units.sums(migration).counts.failed == 0

    assert len(alive(site.rows("-H", everyone, "scale", "--consumers", "2"))) == 4
    stopped = site.rows("-H", everyone, "stop", "--wait", "60s")
    assert alive(stopped) == []
    assert [of(site.hosts.home(host)) for host in (one, two)] == [[], []]
    assert {row["facts"]["roles"]["consumer"]["on"] for row in stopped.values()} == {False}


def people(folder: Path, count: int) -> Path:
    """So many users with a little data."""
    for number in range(count):
        home = folder / "old" / f"user{number:02}"
        home.mkdir(parents=True)
        for each in range(4):
            (home / f"file{each}").write_bytes(os.urandom(20_000))
    (folder / "new").mkdir()
    return folder / "old"


@contextmanager
def loop(site: Site, host: str) -> Iterator[Child]:
    """The deployed watchdog of a host, as systemd would run it."""
    home = site.hosts.home(host)
    env = {"PATH": os.environ["PATH"], "CONVOY_HOME": str(home), "HOME": str(home)}
    words: list[str | Path] = [home / "current/bin/convoy", "watchdog", "--loop"]
    child = spawn("watchdog", words, env=env, log=site.hosts.folder / "loop.log")
    try:
        yield child
    finally:
        child.stop()


def version_of(child: Child) -> str:
    """The version that a process runs; none while it is about to run another."""
    program = Path(f"/proc/{child.pid}/cmdline").read_text().partition("\0")[0]
    return Path(program).parents[1].name if program else ""


def _signed(site: Site, count: int) -> dict[str, str]:
    """The versions of all consumers, once so many gave a sign of life."""
    posts = [
        post
        for row in site.rows("status", "-H", site.hosts.at()).values()
        for post in row["facts"]["posts"]
        if post["sign"] is not None
    ]
    return {post["post"]: post["version"] for post in posts} if len(posts) == count else {}


def test_a_deployed_host_holds_its_settings_for_its_owner_alone_and_nothing_in_ps(
    site: Site,
) -> None:
    home = site.hosts.home(site.hosts.names[0])
    env = home / "env"
    assert (env.stat().st_mode & 0o777, home.stat().st_mode & 0o777) == (0o600, 0o700)
    assert f"CONVOY_HOST={site.hosts.names[0]}\n" in env.read_text()
    again = site.deploy(0, site.hosts.names[0])
    assert again[site.hosts.names[0]]["said"].startswith(name(site.wheels[0]))


def test_a_table_has_a_row_for_each_host_and_shows_no_markup_of_strangers(site: Site) -> None:
    shown = site.fab("status", "-H", site.hosts.at())
    for host in site.hosts.names:
        assert re.search(rf"^ ?\S*{re.escape(host)}:\d+ +ok ", shown.out, re.MULTILINE), shown
    words = site.fab("-H", site.hosts.at(), "run", "--", "printf '[red]\\033[2J'; exit 3")
    assert words.code == 1
    assert "[red]" in words.out
    assert "\x1b[2J" not in words.out
    assert words.err.count("exit 3") == len(site.hosts.names)


def test_one_host_down_one_silent_and_one_full_keep_the_others_from_nothing(site: Site) -> None:
    with silent() as mute, full(site) as crammed:
        user = site.hosts.at("x").partition("@")[0]
        bad = [f"{user}@127.0.0.99:{site.hosts.port}", mute, crammed]
        given = ",".join([bad[0], site.hosts.at(), *bad[1:]])
        done = site.fab("-H", given, "deploy", "--connect-limit", "2s", *site.how(0))
    assert done.code == 1
    lines = done.out.splitlines()
    for host in site.hosts.names:
        assert any(host in line and " ok " in line for line in lines), done
    told = {host: next(line for line in done.err.splitlines() if host in line) for host in bad}
    assert "refused" in told[bad[0]].lower()
    assert "says nothing" in told[bad[1]]
    assert "no room" in told[bad[2]].lower() or "No space" in told[bad[2]]
    assert all("(2 tries)" in line for line in told.values())
    assert "3 of 5 failed" in done.err


@contextmanager
def silent() -> Iterator[str]:
    """A host that takes the connection and never says a word."""
    with socket.create_server(("127.0.0.98", 0)) as listener:
        yield f"127.0.0.98:{listener.getsockname()[1]}"


@contextmanager
def full(site: Site) -> Iterator[str]:
    """A host whose home is on a disk without room, in mounts of its own."""
    place = site.hosts.folder / "crammed"
    place.mkdir(exist_ok=True)
    private = ("unshare", "--mount", "sh", "-c", FULL, "sh", str(place))
    if subprocess.run([*private, "true"], capture_output=True, check=False).returncode:
        roll.absent("unshare", "may not mount here", required=False)
    with hosts(site.hosts.folder / "crowded", 1, within=private, home=place) as found:
        with site.hosts.known.open("a") as known:
            known.write(found.known.read_text())
        shutil.copy(site.hosts.key.with_suffix(".pub"), found.folder / "authorized")
        yield found.at()


def test_a_file_goes_out_and_logs_come_back(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "list of users"
    file.write_bytes(bytes(range(256)) * 1000)
    there = tmp_path / "there"
    rows = site.rows("-H", site.hosts.at(), "put", file, "--to", there, "--serial")
    assert all(row["ok"] for row in rows.values())
    assert there.read_bytes() == file.read_bytes()
    site.rows("-H", site.hosts.at(), "start", "--count", "0")
    for host in site.hosts.names:
        (site.hosts.home(host) / "log").mkdir(exist_ok=True)
        (site.hosts.home(host) / "log/c07.log").write_text(f"here speaks {host}\n")
    shown = site.fab("logs", "-H", site.hosts.at(), "--name", "c07")
    assert all(f"here speaks {host}" in shown.out for host in site.hosts.names)
    site.rows("logs", "-H", site.hosts.at(), "--to", tmp_path / "logs")
    for host in site.hosts.names:
        assert (tmp_path / "logs" / host / "c07.log").read_text() == f"here speaks {host}\n"


def test_hosts_come_from_a_file_too(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text(site.hosts.at().replace(",", "\n") + "\n")
    assert site.rows("run", "--hosts-file", file, "--", "true").keys() == set(site.hosts.names)


def test_a_host_whose_key_nobody_knows_is_not_talked_to_unless_told_so(site: Site) -> None:
    one = site.hosts.at(site.hosts.names[0])
    stranger = site.hosts.fab("-H", one, "run", "--", "true", known=False)
    assert (stranger.code, "nobody knows the key" in stranger.err) == (1, True)
    assert "--trust-new-hosts" in stranger.err
    trusted = site.hosts.fab("-H", one, "run", "--trust-new-hosts", "--", "true", known=False)
    assert trusted.code == 0


def test_the_old_spelling_is_answered_with_the_new_one_and_never_repeats_a_password(
    site: Site,
) -> None:
    done = site.fab("start", "-H127.0.0.2,127.0.0.3", "-uroot", "-psecret")
    assert done.code == 2
    assert "fab -H root@127.0.0.2,root@127.0.0.3 --prompt-for-login-password" in done.err
    assert "secret" not in done.out + done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["status"], "no hosts are given"),
        (["-H", "h1", "scale"], "no number is given"),
        (["-H", "h1", "start", "--role", "trans"], "no role 'trans'"),
        (["-H", "h1", "deploy", "--settings", "/dev/null"], "others"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_any_host_is_asked(
    site: Site, words: list[str], said: str
) -> None:
    done = site.fab(*words)
    assert done.code in (2, 3)
    assert said in done.err


def test_a_host_serves_the_control_centre_when_it_is_told_to(site: Site) -> None:
    host = site.hosts.names[0]
    home, at, port = site.hosts.home(host), site.hosts.at(host), free_port()
    listen = f"CONVOY_CENTRE_LISTEN=127.0.0.1:{port}\n"
    environment.write(home, (home / environment.FILE).read_text() + listen)
    Users(home / FILE).add("ann", Role.OPERATOR, password=PASSWORD)
    assert alive(site.rows("-H", at, "start", "--role", "centre")) == [f"s01@{host}"]
    guest = Guest(f"http://127.0.0.1:{port}")
    eventually(lambda: listening(port), within=60)
    assert guest.log_in("ann", PASSWORD).status == 204
    assert guest.get("/hosts").status == 200
    assert guest.ask("GET", "/").status == 200  # the page came with the wheel
    assert alive(site.rows("-H", at, "stop", "--role", "centre", "--wait", "30s")) == []
    assert not listening(port)
