"""The other tools as an operator who knows them would run them on a machine of a few cores.

rclone and s5cmd come from the bench dependency group, rsync and cp from Debian. The numbers of
lanes were tried: more of them are slower here, on two cores.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from bench.sides import Prefix, Side

Commands = list[list[str]]
LOCAL = ["--transfers", "4", "--checkers", "8"]
STORE = ["--transfers", "16", "--checkers", "32", "--s3-no-check-bucket"]
WORKERS = ["--numworkers", "32"]
PART = 16  # MiB; the part size of all tools in the multipart rows
PARTS = 4  # parts of one object under way at once


def program(name: str) -> str:
    """Where a program is; beside our Python, or on the PATH."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed: see the dependency group `bench`")
    return found


def copy(source: Path, target: Path, users: Sequence[str]) -> Commands:
    """cp -a: no checks, no sync, one process."""
    os.makedirs(target)
    return [[program("cp"), "-a", *(str(source / user) for user in users), str(target)]]


def bound(source: Path, target: Path, users: Sequence[str], *, processes: int = 2) -> Commands:
    """What C tools need for our work: cp -a, and md5sum of what was copied, while it is warm."""
    os.makedirs(target)
    script = (
        'target=$1; shift; cp -a "$@" "$target" && find "$@" -type f -exec md5sum {} + >/dev/null'
    )
    shares = [
        [str(source / user) for user in users[first::processes]] for first in range(processes)
    ]
    return [["sh", "-c", script, "bound", str(target), *share] for share in shares if share]


def sync(target: Path) -> Commands:
    """Everything of the file system onto the disk."""
    return [[program("sync"), "-f", str(target)]]


def rsync(source: Path, target: Path, users: Sequence[str], *, processes: int = 2) -> Commands:
    """Several rsync -a, the users dealt out among them."""
    os.makedirs(target)
    shares = [users[first::processes] for first in range(processes)]
    return [
        [program("rsync"), "-a", *(str(source / user) for user in share), f"{target}/"]
        for share in shares
        if share
    ]


def rclone(verb: str, source: Side, target: Side, *options: str, lanes: list[str]) -> Commands:
    """rclone, without its files of settings."""
    ends = [source.rclone(old=True), target.rclone()]
    return [[program("rclone"), verb, *ends, "--config", "", "-q", *lanes, *options]]


def s5cmd_up(source: Path, target: Prefix, *options: str) -> Commands:
    """s5cmd cp of a folder into a prefix."""
    return [[program("s5cmd"), *WORKERS, "cp", *options, f"{source}/", f"{target.s5cmd()}/"]]


def s5cmd_down(source: Prefix, target: Path, *options: str) -> Commands:
    """s5cmd cp of a prefix into a folder."""
    return [[program("s5cmd"), *WORKERS, "cp", *options, f"{source.s5cmd()}/*", f"{target}/"]]
