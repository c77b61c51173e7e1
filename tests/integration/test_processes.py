"""Child processes: told, waited for, killed, reported; and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from common.errors import Denied, Refused
from ops.processes import TETHER, Child, Family, spawn
from tests.waiting import eventually

SHORT = timedelta(seconds=0.2)
LONG = timedelta(seconds=60)
ENV = dict(os.environ)
SLEEP = ["sleep", "600"]
STUBBORN = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"]
ORDERLY = ["sh", "-c", "trap 'echo {name} >> {book}; exit 0' TERM; echo ready; sleep 600 & wait"]
PARENT = """
import os, sys, time
from datetime import timedelta
from pathlib import Path
from ops.processes import Family
try:
    with Family(timedelta(seconds=60)) as family:
        for name in ("one", "two"):
            child = family.spawn(name, sys.argv[2:], env=os.environ, log=Path(sys.argv[1]) / name)
            print(child.pid, flush=True)
        time.sleep(600)
except KeyboardInterrupt:
    sys.exit("interrupted")
"""


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def ready(child: Child) -> Child:
    eventually(lambda: "ready" in child.said())
    return child


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    child = spawn("sleeper", SLEEP, env=ENV, log=tmp_path / "log")
    yield child
    child.kill()


@pytest.fixture
def stubborn(tmp_path: Path) -> Iterator[Child]:
    child = spawn("stubborn", STUBBORN, env=ENV, log=tmp_path / "log")
    yield ready(child)
    child.kill()


def ended(child: Child) -> Child:
    eventually(lambda: not child.alive)
    child.kill()
    return child


def orderly(family: Family, name: str, home: Path, *, rank: int = 0) -> Child:
    argv = [word.format(name=name, book=home / "book") for word in ORDERLY]
    return ready(family.spawn(name, argv, env=ENV, log=home / name, rank=rank))


def test_a_child_that_listens_to_sigterm_ends_within_its_grace(child: Child) -> None:
    child.stop(LONG)
    assert not child.alive
    assert child.code == -signal.SIGTERM


def test_a_child_that_ignores_sigterm_is_killed_after_its_grace(stubborn: Child) -> None:
    stubborn.stop(SHORT)
    assert stubborn.code == -signal.SIGKILL


def test_a_stopped_child_counts_as_alive_and_ends_all_the_same(child: Child) -> None:
    child.tell(signal.SIGSTOP)
    assert child.alive
    child.stop(SHORT)
    assert gone(child.pid)


def test_what_a_child_leaves_behind_in_its_group_ends_with_it(tmp_path: Path) -> None:
    argv = ["sh", "-c", "sleep 600 & echo $!; exit 7"]
    child = spawn("careless", argv, env=ENV, log=tmp_path / "log")
    eventually(lambda: not child.alive)
    left = int(child.said())
    assert not gone(left)
    child.stop(LONG)
    eventually(lambda: gone(left))
    assert child.code == 7


def test_stopping_twice_is_stopping_once(child: Child) -> None:
    child.stop(LONG)
    child.stop(LONG)
    child.tell(signal.SIGTERM)
    assert child.code == -signal.SIGTERM


def test_a_log_is_continued_and_shows_both_streams(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for word in ("first", "second"):
        child = spawn("talker", ["sh", "-c", f"echo {word}; echo {word} >&2"], env=ENV, log=log)
        ended(child)
    assert child.said().split() == ["first", "first", "second", "second"]


def test_a_child_sees_the_given_environment_and_no_other(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "ONLY": "this"}
    child = ended(spawn("looker", ["env"], env=env, log=tmp_path / "log"))
    assert {line.split("=")[0] for line in child.said().split()} - {"LC_CTYPE"} == {"PATH", "ONLY"}


def test_a_command_that_is_not_there_ends_at_once_and_says_so(tmp_path: Path) -> None:
    child = ended(spawn("nobody", ["/no/such/command"], env=ENV, log=tmp_path / "log"))
    assert child.code == 1
    assert "/no/such/command: No such file" in child.said()


def test_a_folder_that_cannot_hold_the_log_is_reported_with_the_childs_name(tmp_path: Path) -> None:
    with pytest.raises(Denied, match="sleeper was not started"):
        spawn("sleeper", SLEEP, env=ENV, log=tmp_path / "missing/log")


def test_only_the_main_thread_may_start_a_child(tmp_path: Path) -> None:
    caught: list[BaseException] = []

    def start() -> None:
        try:
            spawn("sleeper", SLEEP, env=ENV, log=tmp_path / "log")
        except Refused as exc:
            caught.append(exc)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "only the main thread" in str(caught)


def test_a_family_ends_from_the_highest_rank_down(tmp_path: Path) -> None:
    with Family() as family:
        orderly(family, "ground", tmp_path, rank=0)
        orderly(family, "roof", tmp_path, rank=2)
        orderly(family, "wall", tmp_path, rank=1)
        assert [child.name for child in family.children] == ["roof", "wall", "ground"]
    assert (tmp_path / "book").read_text().split() == ["roof", "wall", "ground"]
    assert family.children == []


def test_a_family_knows_who_fell_and_can_replace_it(tmp_path: Path) -> None:
    with Family() as family:
        first, second = (
            family.spawn(name, SLEEP, env=ENV, log=tmp_path / name) for name in ("1", "2")
        )
        assert family.fallen == []
        os.kill(first.pid, signal.SIGKILL)
        eventually(lambda: family.fallen == [first])
        family.forget(first)
        third = family.spawn("1", SLEEP, env=ENV, log=tmp_path / "1")
        assert family.children == [third, second]
    assert gone(third.pid)


def test_a_family_puts_the_signals_back_as_they_were() -> None:
    before = [signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)]
    with Family():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert [signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)] == before


def test_an_error_in_the_block_ends_the_family_and_goes_on(tmp_path: Path) -> None:
    started: list[Child] = []

    def fail() -> None:
        with Family() as family:
            started.append(family.spawn("sleeper", SLEEP, env=ENV, log=tmp_path / "log"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert gone(started[0].pid)


@pytest.fixture
def parent(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-c", PARENT, str(tmp_path), *request.param]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def pids(parent: subprocess.Popen[str]) -> list[int]:
    assert parent.stdout is not None
    return [int(parent.stdout.readline()) for _ in range(2)]


@pytest.mark.parametrize("parent", [SLEEP], indirect=True)
@pytest.mark.parametrize(
    ("signum", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 1), (signal.SIGKILL, -9)],
)
def test_children_end_with_their_parent_however_it_ends(
    parent: subprocess.Popen[str], signum: signal.Signals, code: int
) -> None:
    children = pids(parent)
    parent.send_signal(signum)
    assert parent.wait(30) == code
    eventually(lambda: all(map(gone, children)))


@pytest.mark.parametrize("parent", [STUBBORN], indirect=True)
def test_a_second_signal_cuts_the_grace_short(
    parent: subprocess.Popen[str], tmp_path: Path
) -> None:
    children = pids(parent)
    logs = [tmp_path / name for name in ("one", "two")]
    eventually(lambda: all("ready" in log.read_text() for log in logs))
    parent.send_signal(signal.SIGTERM)

    def over() -> bool:
        parent.send_signal(signal.SIGTERM)
        return parent.poll() is not None

    eventually(over, within=30)
    assert all(map(gone, children))


def test_a_child_whose_parent_died_first_does_not_start(tmp_path: Path) -> None:
    mark = tmp_path / "started"
    argv = [sys.executable, "-I", "-S", str(TETHER), "1", "touch", str(mark)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert "process 1 is gone" in done.stderr
    assert done.returncode != 0
    assert not mark.exists()
