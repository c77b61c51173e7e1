"""Disks that are full or broken, consumers that are killed or frozen, at a real file system."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.posix import Site, site
from tests.waiting import eventually

CHILD = [sys.executable, "-m", "tests.faults.posix_child"]


@pytest.fixture
def here() -> Iterator[Site]:
    with site() as made:
        yield made


def alone(script: str) -> list[str]:
    """A command in a mount namespace of its own, in which it may mount what it likes."""
    argv = ["unshare", "--mount", "--propagation", "private"]
    if shutil.which("unshare") is None or subprocess.run([*argv, "true"], check=False).returncode:
        pytest.skip("no mount namespaces here")
    return [*argv, "sh", "-ec", script, *CHILD]


def said(argv: list[str]) -> dict[str, Any]:
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@contextmanager
def begun(here: Site, token: str) -> Iterator[subprocess.Popen[bytes]]:
    """A consumer that has staged a file and waits for a line before it publishes."""
    argv = [*CHILD, "publish", str(here.root), token]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"staged\n"
            yield child
        finally:
            child.kill()


def went_on(child: subprocess.Popen[bytes]) -> bytes:
    """What it said last, once it was let go on."""
    said_last, _ = child.communicate(b"\n", timeout=30)
    return said_last


def test_a_full_disk_fails_by_name_says_what_is_full_and_leaves_nothing_half(here: Site) -> None:
    (here.old / "small").write_bytes(b"x" * 5000)
    (here.old / "large").write_bytes(b"x" * 3_000_000)
    (here.old / "medium").write_bytes(b"x" * 900_000)
    script = f"mount -t tmpfs -o size=512k tmpfs {here.root}/new && exec $0 $@ haul {here.root}"
    seen = said(alone(script.replace("$0 $@", '"$0" "$@"')))
    assert seen["moved"] == ["small"]
    assert set(seen["failed"]) == {"medium", "large"}
    assert all("No space left" in why for why in seen["failed"].values())


def test_a_disk_without_inodes_says_so(here: Site) -> None:
    for number in range(30):
        (here.old / str(number)).touch()
    script = f'mount -t tmpfs -o nr_inodes=12 tmpfs {here.root}/new && exec "$0" "$@" haul '
    seen = said(alone(script + str(here.root)))
    assert 0 < len(seen["moved"]) < 12
    assert len(seen["moved"]) + len(seen["failed"]) == 30


def test_a_read_only_target_is_denied(here: Site) -> None:
    (here.old / "file").touch()
    script = f'mount -t tmpfs -o ro tmpfs {here.root}/new && exec "$0" "$@" haul {here.root}'
    seen = said(alone(script))
    assert seen["moved"] == []
    assert "Read-only" in seen["failed"][""]


def test_a_mount_below_a_users_root_is_written_to_as_well(here: Site) -> None:
    (here.old / "sub" / "d").mkdir(parents=True)
    (here.old / "sub" / "file").write_bytes(b"x" * 2_000_000)
    (here.old / "sub" / "d" / "small").write_bytes(b"y")
    os.setxattr(here.old / "sub" / "d" / "small", "user.note", b"kept")
    (here.old / "sub" / "link").symlink_to("/etc/passwd")
    os.link(here.old / "sub" / "file", here.old / "linked")
    (here.new / "sub").mkdir(parents=True)
    script = (
        f"mount -t tmpfs tmpfs {here.new}/sub; touch {here.new}/sub/.convoy-unit.1-7;"
        f" mkdir -m 700 {here.new}/.convoy-unit.1;"
        f" printf sub/file > {here.new}/.convoy-unit.1/beside-7;"
        f' "$0" "$@" haul {here.root} unit.2; ls -A {here.new}/sub >&2;'
        f" cmp {here.old}/sub/file {here.new}/sub/file; cmp {here.old}/sub/file {here.new}/linked;"
        f" cmp {here.old}/sub/d/small {here.new}/sub/d/small; readlink {here.new}/sub/link >&2"
    )
    done = subprocess.run(alone(script), capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["failed"] == {}
    assert done.stderr.split() == ["d", "file", "link", "/etc/passwd"]


@pytest.mark.parametrize("call", ["syncfs", "pwrite64", "fsync"])
def test_a_disk_that_reports_an_error_is_tried_again_and_nothing_is_shown(
    here: Site, call: str
) -> None:
    tool = shutil.which("strace")
    if tool is None:
        pytest.skip("strace is not installed")
    (here.old / "file").write_bytes(b"x" * 5000)
    inject = [tool, "-f", "-qq", "-o", "/dev/null", "-e", f"inject={call}:error=EIO"]
    seen = said([*inject, *CHILD, "haul", str(here.root)])
    assert "Input/output error" in json.dumps(seen)
    if call != "fsync":  # directories come last: what is in them is there, but not called durable
        assert not (here.new / "file").exists()


def test_a_consumer_killed_before_it_publishes_leaves_nothing_visible(here: Site) -> None:
    with begun(here, "unit.1") as child:
        child.kill()
    assert os.listdir(here.new) == [".convoy-unit.1"]
    later = here.target(token="unit.2")
    later.sweep("unit")
    later.close()
    assert os.listdir(here.new) == []


def test_a_frozen_consumer_that_wakes_after_its_successor_changes_nothing(here: Site) -> None:
    (here.old / "file").write_bytes(b"newer")
    with begun(here, "unit.1") as zombie:
        os.kill(zombie.pid, signal.SIGSTOP)
        eventually(lambda: _state(zombie.pid) == "T")
        here.haul(token="unit.2")
        before = (here.new / "file").stat(), here.new.stat()
        os.kill(zombie.pid, signal.SIGCONT)
        assert went_on(zombie) == b"Stale\n"
    assert (here.new / "file").read_bytes() == b"newer"
    after = (here.new / "file").stat(), here.new.stat()
    assert [s.st_ctime_ns for s in after] == [s.st_ctime_ns for s in before]
    assert os.listdir(here.new) == ["file"]


def test_a_consumer_that_is_let_publishes(here: Site) -> None:
    with begun(here, "unit.1") as child:
        assert went_on(child) == b"published\n"
    assert os.listdir(here.new) == ["file"]


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]
