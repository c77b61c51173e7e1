"""Failpoints do what they were armed with, at the pass that was named, and nothing otherwise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from common.errors import Refused, Transient
from common.failpoints import arm, disarm, failpoint

CHILD = """
import sys
from common.failpoints import arm, failpoint
arm("here", sys.argv[1])
for turn in range(1, 6):
    print(turn, flush=True)
    failpoint("here")
"""


@pytest.fixture(autouse=True)
def harmless() -> Iterator[None]:
    yield
    disarm()


def passes(name: str, times: int) -> list[bool]:
    """At which passes it failed."""
    failed = []
    for _ in range(times):
        try:
            failpoint(name)
        except Transient:
            failed.append(True)
        else:
            failed.append(False)
    return failed


def test_a_place_that_nobody_armed_is_harmless() -> None:
    arm("there", "fail")
    assert passes("here", 3) == [False] * 3


@pytest.mark.parametrize(("action", "nth"), [("fail", 1), ("fail:1", 1), ("fail:3", 3)])
def test_it_fails_once_at_the_pass_that_was_named(action: str, nth: int) -> None:
    arm("here", action)
    assert passes("here", 5) == [turn == nth for turn in range(1, 6)]


def test_a_test_may_do_something_of_its_own_at_every_pass() -> None:
    seen: list[str] = []
    arm("here", lambda: seen.append("passed"))
    assert passes("here", 2) == [False, False]
    assert seen == ["passed"] * 2


def test_arming_again_begins_to_count_again() -> None:
    arm("here", "fail:2")
    assert passes("here", 1) == [False]
    arm("here", "fail:2")
    assert passes("here", 2) == [False, True]


def test_disarmed_places_are_harmless() -> None:
    arm("here", "fail")
    disarm()
    assert passes("here", 1) == [False]


@pytest.mark.parametrize("action", ["explode", "", "kill:often", "kill:0", "fail:-1", ":2"])
def test_an_action_that_nobody_knows_is_refused_by_the_name_of_the_place(action: str) -> None:
    with pytest.raises(Refused, match="failpoint here: ") as caught:
        arm("here", action)
    assert "kill:3" in caught.value.hint


@pytest.mark.parametrize(("action", "turns"), [("kill", "1\n"), ("kill:3", "1\n2\n3\n")])
def test_it_kills_the_process_at_the_pass_that_was_named(action: str, turns: str) -> None:
    child = subprocess.run([sys.executable, "-c", CHILD, action], capture_output=True, text=True)
    assert (child.returncode, child.stdout) == (-signal.SIGKILL, turns)


def test_it_freezes_the_process_until_it_is_told_to_go_on() -> None:
    argv = [sys.executable, "-c", CHILD, "stop:2"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        child.send_signal(signal.SIGCONT)
        assert child.stdout is not None
        assert child.stdout.read().split() == ["1", "2", "3", "4", "5"]
    assert child.returncode == 0
