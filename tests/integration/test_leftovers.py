"""What outlives a test run is named, ended, and makes the run fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.servers.processes import server
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]


def swept(script: str, settle: str = "0.3") -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "tests.leftovers", "bash", "-c", script]
    env = {**os.environ, "CONVOY_TEST_SETTLE": settle}
    return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_command_that_leaves_nothing_ends_with_its_own_code() -> None:
    assert swept("exit 0").returncode == 0
    assert swept("exit 5").returncode == 5


def test_a_process_that_left_its_session_and_its_parent_is_found_and_ended() -> None:
    done = swept("setsid sh -c 'echo $$; exec sleep 599' &")
    assert done.returncode == 70
    assert "left running, now ended" in done.stderr
    assert "sleep 599" in done.stderr
    assert gone(int(done.stdout))


def test_what_is_about_to_end_by_itself_is_waited_for() -> None:
    assert swept("sleep 0.3 &", settle="60").returncode == 0


def test_a_failure_of_the_command_is_not_hidden_by_what_it_left() -> None:
    done = swept("sleep 599 & exit 4")
    assert done.returncode == 4
    assert "sleep 599" in done.stderr


def test_being_told_to_end_ends_the_command_and_what_it_left(tmp_path: Path) -> None:
    script = "sleep 599 & echo $! >left; sleep 599"
    argv = [sys.executable, "-m", "tests.leftovers", "bash", "-c", script]
    env = {"PYTHONPATH": str(ROOT), "CONVOY_TEST_SETTLE": "0.3"}
    book = tmp_path / "left"
    with server("run", argv, ready=lambda: int(book.read_text()), home=tmp_path, env=env) as run:
        run.tell(signal.SIGTERM)
        eventually(lambda: not run.alive)
        assert gone(int(book.read_text()))
