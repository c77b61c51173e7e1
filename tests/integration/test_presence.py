"""A post is held by one process for life, by nobody else, and by nobody after it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from common import notify, presence
from common.errors import Conflict, Denied, Refused
from common.presence import HANDED, RECORD, Signs
from common.process import Who, myself, stopped
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
NODE = "c01@here"
HOLD = """
import os, subprocess, sys, time
from pathlib import Path
from common import presence
held = presence.take(Path(sys.argv[1]), "consumer", "c01@here", version="1")
if sys.argv[2] == "fork" and os.fork() == 0:
    time.sleep(600)
if sys.argv[2] == "start":
    subprocess.Popen(["sleep", "600"])
if sys.argv[2] == "become":
    held.hand_on(os.environ)
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[3], sys.argv[1], "no"])
print("held", os.getpid(), flush=True)
time.sleep(600)
"""


@contextmanager
def holder(home: Path, how: str = "alone", **env: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the post, and perhaps has another one beside it."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home), how, HOLD],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("held")
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def seen(home: Path) -> presence.Seen:
    return presence.look(home, "consumer", NODE)


def test_who_holds_a_post_is_known_and_a_second_one_is_refused_by_name(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        found = seen(tmp_path)
        assert found.held
        assert found.who is not None
        assert (found.who.pid, found.who.version, found.name) == (first.pid, "1", "c01")
        with pytest.raises(Conflict, match=f"process {first.pid}") as caught:
            presence.take(tmp_path, "consumer", NODE)
        assert "-n" in caught.value.hint


def test_a_post_is_free_as_soon_as_its_holder_is_killed(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        first.kill()
        first.wait()
        found = seen(tmp_path)
        assert (found.held, found.who) == (False, None)


@pytest.mark.parametrize("how", ["fork", "start"])
def test_what_a_holder_forks_or_starts_does_not_keep_the_post(tmp_path: Path, how: str) -> None:
    with holder(tmp_path, how) as first:
        assert seen(tmp_path).held
        first.kill()
        first.wait()
        eventually(lambda: not seen(tmp_path).held)  # a child just forked has yet to let go


def test_a_post_is_handed_on_to_the_program_that_its_holder_becomes(tmp_path: Path) -> None:
    with holder(tmp_path, "become") as first:
        found = seen(tmp_path)
        assert found.held
        assert found.who is not None
        assert found.who.pid == first.pid
        environ = Path(f"/proc/{first.pid}/fd")
        locks = [link for link in environ.iterdir() if str(link.readlink()).endswith(".lock")]
        assert len(locks) == 1
        first.kill()
        first.wait()
        assert not seen(tmp_path).held


def test_a_number_of_another_file_is_not_taken_for_the_lock(tmp_path: Path) -> None:
    with holder(tmp_path, **{HANDED: "1"}):
        assert seen(tmp_path).held


def test_of_many_who_want_a_post_at_once_one_gets_it(tmp_path: Path) -> None:
    won: list[presence.Presence] = []
    start = threading.Barrier(8)

    def want() -> None:
        start.wait()
        if taken := presence.try_to_take(tmp_path, "consumer", NODE):
            won.append(taken)

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    won[0].close()
    assert not seen(tmp_path).held


def test_who_only_looks_keeps_nobody_from_taking(tmp_path: Path) -> None:
    over = threading.Event()

    def stare() -> None:
        while not over.is_set():
            seen(tmp_path)

    presence.try_to_take(tmp_path, "consumer", NODE).close()  # type: ignore[union-attr]
    watchers = [threading.Thread(target=stare) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    try:
        for _ in range(20):
            presence.take(tmp_path, "consumer", NODE).close()
    finally:
        over.set()
        for watcher in watchers:
            watcher.join()


def test_the_last_sign_of_the_one_before_is_not_that_of_the_next(tmp_path: Path) -> None:
    Signs(tmp_path, "consumer", NODE).give(patience=timedelta(seconds=9), unit="u1")
    sign = seen(tmp_path).sign
    assert sign is not None
    assert (sign.unit, round(sign.due - sign.tick)) == ("u1", 9)
    presence.take(tmp_path, "consumer", NODE).close()
    assert seen(tmp_path).sign is None


def test_a_sign_of_another_boot_means_nothing(tmp_path: Path) -> None:
    Signs(tmp_path, "consumer", NODE).give(patience=timedelta(seconds=9))
    path = presence.place(tmp_path, "consumer", NODE, "sign")
    told = json.loads(path.read_text()) | {"boot": "another"}
    path.write_text(json.dumps(told))
    assert seen(tmp_path).sign is None


def test_a_sign_of_a_newer_version_is_understood(tmp_path: Path) -> None:
    signs = Signs(tmp_path, "consumer", NODE)
    signs.give(patience=timedelta(seconds=9), unit="u")
    path = presence.place(tmp_path, "consumer", NODE, "sign")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"mood": "good"}))
    sign = seen(tmp_path).sign
    assert sign is not None
    assert sign.unit == "u"


def test_records_keep_their_size_so_that_a_full_disk_takes_them(tmp_path: Path) -> None:
    signs = Signs(tmp_path, "consumer", NODE)
    for unit in ("u", "x" * 5000, ""):
        signs.give(patience=timedelta(seconds=9), unit=unit)
        path = presence.place(tmp_path, "consumer", NODE, "sign")
        assert path.stat().st_size == RECORD
        assert seen(tmp_path).sign is not None


def test_a_process_is_not_taken_for_a_later_one_of_its_number(tmp_path: Path) -> None:
    me = myself()
    assert me.alive
    earlier = Who(me.pid, me.start - 1, me.boot)
    before = Who(me.pid, me.start, "another boot")
    assert not earlier.alive
    assert not before.alive


def test_a_process_that_was_stopped_is_known_to_be() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        assert not stopped(process.pid)
        process.send_signal(signal.SIGSTOP)
        eventually(lambda: stopped(process.pid))
        process.kill()


@pytest.mark.parametrize("node", ["../x@h", "", "a b@h", "-x@h", "a\0@h", "@h"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, node: str) -> None:
    with pytest.raises(Refused, match="no name for a consumer"):
        presence.take(tmp_path, "consumer", node)


def test_a_home_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file, not a folder")
    with pytest.raises(Denied, match="cannot be opened"):
        presence.take(tmp_path, "consumer", NODE)
    Signs(tmp_path, "consumer", NODE).give(patience=timedelta(seconds=9))  # nobody is harmed


def test_everyone_of_a_host_is_found_and_nobody_of_another(tmp_path: Path) -> None:
    for node in ("c01@here", "c02@here", "c01@there"):
        presence.take(tmp_path, "consumer", node).close()
    found = [each.node for each in presence.everyone(tmp_path, "consumer", "here")]
    assert found == ["c01@here", "c02@here"]
    assert list(presence.everyone(tmp_path / "nowhere", "consumer", "here")) == []


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_what_it_listens_for_and_nobody_fails_if_it_does_not(
    tmp_path: Path, abstract: bool
) -> None:
    name = f"convoy-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind("\0" + name if abstract else name)
        notify.tell(notify.READY, {"NOTIFY_SOCKET": f"@{name}" if abstract else name})
        assert ear.recv(99) == b"READY=1"
    notify.tell(notify.ALIVE, {"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    notify.tell(notify.ALIVE, {})
