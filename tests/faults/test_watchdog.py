"""A host stays as it is wanted to be, whatever dies, hangs, doubles, breaks or fills up on it.

The long form of the first test is the program `tests/faults/mauling.py`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from common.clock import Clock
from common.process import boot
from ops.host import environment, memory
from ops.host.journal import ALARMED, CALMED, FLEET
from ops.host.judge import FALLS
from tests.faults.mauling import maul
from tests.fleet import kill
from tests.kennel import Kennel, by_name, kennel, python_that_dies
from tests.servers import roll
from tests.servers.sshd import ended
from tests.terminal import Terminal, argv
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("watchdog")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kennel]:
    with kennel(tmp_path_factory.mktemp("kennel")) as found:
        yield found


@pytest.fixture
def host(shared: Kennel) -> Kennel:
    """A host on which two consumers are wanted, and well."""
    shared.convoy("host", "start", "--count", "2")
    eventually(shared.well, within=60)
    return shared


@pytest.fixture
def bare(tmp_path: Path, shared: Kennel) -> Iterator[Kennel]:
    """Another host of the same fleet, on which no Python comes up."""
    env = shared.person.extra | {"CONVOY_HOME": str(tmp_path / "bare")}
    found = Kennel(shared.fleet, tmp_path / "bare", Terminal(tmp_path / "bare", env))
    environment.keep(found.home, env)
    python_that_dies(found.home)
    yield found
    ended(found.home)


@dataclass
class Ahead:
    """The host's clock, and how far a test is ahead of it."""

    by: float = 0.0

    def clock(self) -> Clock:
        return Clock(tick=lambda: time.monotonic() + self.by)


def acts(found: Kennel, since: int = 0) -> list[str]:
    return [line["act"] for line in found.story()[since:]]


@pytest.mark.timeout(300)
def test_whoever_is_killed_or_frozen_is_back_soon_and_no_unit_is_lost(tmp_path: Path) -> None:
    found = maul(tmp_path, blows=4, consumers=2, migrations=1, seed=11, users=8)
    assert found.wrong == []
    assert sum(found.blows.values()) == 4


def test_watchdogs_at_once_start_one_of_each(host: Kennel) -> None:
    before = len(host.story())
    for seen in host.posts().values():
        assert seen.who is not None
        kill(seen.who.pid)
    eventually(lambda: not host.posts())
    words, env = argv("watchdog", "--once"), host.person.env
    dogs = [subprocess.Popen(words, env=env) for _ in range(2)]
    assert [dog.wait(100) for dog in dogs] == [0, 0]
    assert eventually(host.well, within=60)
    assert host.doubles() == []
    assert acts(host, before) == ["start", "start"]


def test_who_dies_at_once_is_waited_for_longer_each_time_and_a_person_is_told(
    bare: Kennel,
) -> None:
    ahead = Ahead()
    dog = bare.dog(ahead.clock())
    bare.convoy("host", "start", "--count", "1")
    for _ in range(FALLS):
        eventually(lambda: not bare.posts())
        dog.round()
        pause = memory.read(bare.home).of("consumer", "c01").due - dog.clock.tick()
        dog.round()
        assert not bare.posts()
        ahead.by += max(0.0, pause) + 0.01
        dog.round()
    assert acts(bare).count("alarm") == 1
    assert acts(bare).count("start") == FALLS + 1
    told = [each for each in bare.fleet.events.of(FLEET) if each["what"] == ALARMED]
    died = [each for each in told if "died" in each["why"]]  # others use this fleet's store, too
    assert [(each["post"], each["role"]) for each in died] == [("c01@kennel", "consumer")]
    assert "Fatal Python error" in (bare.home / "log/c01.log").read_text()
    [post] = bare.told("host", "status", code=1)["posts"]
    assert (post["alive"], post["falls"] >= FALLS) == (False, True)


def test_after_a_reboot_everything_wanted_is_started_whatever_was_before(bare: Kennel) -> None:
    bare.convoy("host", "start", "--count", "1")
    dog = bare.dog()
    eventually(lambda: not bare.posts())
    dog.round()
    assert acts(bare) == ["start"]  # it waits
    path = bare.home / memory.FILE
    path.write_text(path.read_text().replace(boot(), "the boot before"))
    dog.round()
    assert acts(bare) == ["start", "start"]


def test_a_damaged_wish_ends_nobody_and_is_an_alarm_once(host: Kennel) -> None:
    before = len(host.story())
    (host.home / "wanted/consumer.json").write_text("{")
    dog = host.dog()
    dog.round()
    dog.round()
    assert host.posts().keys() == {"c01", "c02"}
    assert acts(host, before) == ["alarm"]
    found = host.told("host", "status", code=1)
    assert "cannot be read" in found["roles"]["consumer"]["damaged"]
    shown = " ".join(host.convoy("host", "status", code=1).out.split())  # however it is wrapped
    for said in ("c01@kennel process", "c02@kennel process", "cannot be read"):
        assert said in shown
    host.convoy("host", "start", "--count", "2")
    assert host.told("host", "status")["roles"]["consumer"]["damaged"] == ""
    dog.round()
    assert acts(host, before)[-1] == "calm"
    told = [each["what"] for each in host.fleet.events.of(FLEET) if each["post"] == "all@kennel"]
    assert told[-2:] == [ALARMED, CALMED]


def test_too_many_are_told_to_finish_and_who_was_named_by_hand_is_left_alone(
    host: Kennel, tmp_path: Path
) -> None:
    special = argv("consumer", "-n", "special")
    ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ear.bind(str(tmp_path / "notify"))
    env = host.person.env | {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    with ear, subprocess.Popen(special, env=env, start_new_session=True):
        ear.settimeout(60)
        assert {ear.recv(99) for _ in range(4)} == {b"READY=1", b"WATCHDOG=1"}  # as systemd hears
        assert "special" in host.posts()
        host.convoy("host", "scale", "--count", "1")
        eventually(lambda: set(host.posts()) == {"c01", "special"}, within=60)
        host.convoy("host", "stop", "--now", "--wait", "60s")
        assert host.posts() == {}


def test_a_producer_that_hangs_is_replaced(host: Kennel) -> None:
    before = len(host.story())
    host.convoy("host", "start", "--role", "producer")
    eventually(lambda: host.well("producer"), within=60)
    first = host.posts("producer")["p01"].who
    assert first is not None
    kill(first.pid, signal.SIGSTOP)
    dog = host.dog()

    def replaced() -> bool:
        dog.round()
        now = host.posts("producer").get("p01")
        return bool(now and now.who and now.who != first)

    eventually(replaced, within=60)
    assert acts(host, before) == ["start", "end", "kill", "start"]
    host.convoy("host", "stop", "--role", "producer", "--wait", "30s")


def test_what_cron_starts_is_what_a_person_starts_and_it_starts_nobody_who_was_stopped(
    host: Kennel, tmp_path: Path
) -> None:
    """A real cron daemon. Its minute is not waited for: `@reboot` is its other way to run the same
    line at once, with the same environment."""
    by_hand = look(host)
    host.convoy("host", "stop", "--wait", "60s")
    line = host.convoy("watchdog", "--print-cron").out.strip()
    rounds = memory.read(host.home).round
    with cron(tmp_path, "@reboot" + line.removeprefix("* * * * *")):
        eventually(lambda: memory.read(host.home).round > rounds, within=60)
    assert host.posts() == {}
    host.want(2)
    with cron(tmp_path, "@reboot" + line.removeprefix("* * * * *")):
        eventually(host.well, within=60)
    assert look(host) == by_hand
    assert host.well()  # it outlives the cron that started it


def look(host: Kennel) -> dict[str, object]:
    """All that a consumer may have from whoever started it."""
    who = host.posts()["c01"].who
    assert who is not None
    proc, env = Path(f"/proc/{who.pid}"), by_name(who.pid)
    assert env.pop("CONVOY_PRESENCE").isdigit()
    links = [os.readlink(link) for link in (proc / "fd").iterdir() if link.exists()]
    return {
        "env": env,
        "cwd": os.readlink(proc / "cwd"),
        "leads its session": os.getsid(who.pid) == who.pid,
        "terminal": proc.joinpath("stat").read_text().rpartition(")")[2].split()[4],
        "in": os.readlink(proc / "fd/0"),
        "out": {os.readlink(proc / f"fd/{number}") for number in (1, 2)},
        "files": sorted(name for name in links if name.startswith("/") and "pym" not in name),
        "umask": [x for x in (proc / "status").read_text().splitlines() if x.startswith("Umask")],
    }


@contextmanager
def cron(folder: Path, line: str) -> Iterator[None]:
    """A cron daemon with this one line, in mounts of its own: nothing of this machine's is seen,
    or run."""
    private = "mount -t tmpfs none /run && mount -t tmpfs none /var/spool/cron && command -v cron"
    env = {"PATH": f"{os.environ['PATH']}:/usr/sbin"}
    there = subprocess.run(
        ["unshare", "--mount", "sh", "-c", private], env=env, capture_output=True, check=False
    )
    if there.returncode or os.geteuid():
        roll.absent("cron", "is not installed, or may not run here", required=False)
    roll.used("cron", "Debian's")
    (folder / "table").write_text(f"{line}\n")
    script = (
        f"{private} && mkdir /var/spool/cron/crontabs && mount -t tmpfs none /etc/cron.d && "
        f"mount --bind /dev/null /etc/crontab && "
        f"install -m 600 {folder}/table /var/spool/cron/crontabs/root && exec cron -f"
    )
    with subprocess.Popen(["unshare", "--mount", "sh", "-c", script], env=env) as process:
        try:
            yield
            assert process.poll() is None
        finally:
            process.kill()


FULL = """
mount -t tmpfs -o size=2m none "$1" && shift && exec "$@"
"""


def test_a_full_disk_ends_nobody_and_keeps_nobody_from_coming_back(tmp_path: Path) -> None:
    """On a disk of its own, in mounts of its own: the scene is `tests/faults/full_disk.py`."""
    full, root = tmp_path / "full", Path(__file__).parents[2]
    full.mkdir()
    without = ["unshare", "--mount", "sh", "-c", FULL, "sh", str(full)]
    if subprocess.run([*without, "true"], capture_output=True, check=False).returncode:
        roll.absent("unshare", "may not mount here", required=False)
    scene = [sys.executable, "-m", "tests.faults.full_disk", str(tmp_path / "fleet"), str(full)]
    done = subprocess.run([*without, *scene], cwd=root, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("survived\n"), done.stderr[-3000:]
