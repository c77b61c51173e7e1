"""Clients that share no code with ours, through the gateway, while a bucket is on two stores."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import time
from pathlib import Path

import pytest

from common.lifecycle.buckets import Phase
from tests.gate import body, copied, put_old
from tests.servers import roll
from tests.servers.gateways import ACCESS, SECRET, World
from tests.waiting import eventually

LARGE = os.urandom(11 << 20)


def run(home: Path, name: str, *argv: str) -> str:
    """What a client says; it has to succeed."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        roll.absent(name)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AWS_ACCESS_KEY_ID": ACCESS,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }
    done = subprocess.run(
        [found, *argv], env=env, cwd=home, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def tree(gate: World, tmp_path: Path) -> Path:
    """The bucket on two stores, and files to be put there."""
    for n in range(5):
        put_old(gate, f"old/{n}.txt", b"old %d" % n)
    gate.to(Phase.COPYING)
    copied(gate, "old/1.txt")
    gate.user().delete_object(Bucket=gate.bucket, Key="old/2.txt")
    home = tmp_path / "files"
    (home / "up").mkdir(parents=True)
    (home / "up/large").write_bytes(LARGE)
    (home / "up/a b\u00e9.txt").write_text("small")
    return home


def left(home: Path) -> dict[str, bytes]:
    return {str(p.relative_to(home)): p.read_bytes() for p in home.rglob("*") if p.is_file()}


OLD = {f"old/{n}.txt": b"old %d" % n for n in (0, 1, 3, 4)}
UP = {"up/large": LARGE, "up/a b\u00e9.txt": b"small"}


def test_rclone_syncs_there_and_back_and_finds_no_difference(gate: World, tree: Path) -> None:
    remote = (
        f":s3,provider=Other,env_auth=true,force_path_style=true,endpoint='{gate.endpoint}'"
        f":{gate.bucket}"
    )
    run(tree, "rclone", "copy", "up", f"{remote}/up", "--s3-chunk-size=5M", "--config=/dev/null")
    run(tree, "rclone", "copy", remote, "down", "--config=/dev/null")
    assert left(tree / "down") == OLD | UP
    run(tree, "rclone", "check", "--download", remote, "down", "--config=/dev/null")
    run(tree, "rclone", "moveto", f"{remote}/old/3.txt", f"{remote}/moved", "--config=/dev/null")
    run(tree, "rclone", "delete", f"{remote}/up", "--config=/dev/null")
    names = run(tree, "rclone", "lsf", "-R", "--files-only", remote, "--config=/dev/null").split()
    assert sorted(names) == ["moved", "old/0.txt", "old/1.txt", "old/4.txt"]


def test_s5cmd_copies_lists_and_removes(gate: World, tree: Path) -> None:
    def s5cmd(*argv: str) -> str:
        return run(tree, "s5cmd", "--endpoint-url", gate.endpoint, *argv)

    place, user = f"s3://{gate.bucket}", gate.user()
    s5cmd("cp", "up/*", f"{place}/up/")
    # it passes over what is newer than its own look, and Swift rounds times up to the next second
    listed = user.list_objects_v2(Bucket=gate.bucket)["Contents"]
    newest = max(entry["LastModified"].timestamp() for entry in listed)
    eventually(lambda: time.time() > newest + 1)
    s5cmd("cp", f"{place}/*", "down/")
    assert left(tree / "down") == OLD | UP
    assert body(gate.user(), gate, "up/large") == LARGE
    s5cmd("rm", f"{place}/up/*", f"{place}/old/0.txt")
    lines = s5cmd("ls", f"{place}/*").splitlines()
    assert sorted(line.split()[-1] for line in lines) == ["old/1.txt", "old/3.txt", "old/4.txt"]
