"""Starts what outlives us: in a session of its own, with no file, terminal or variable of ours.

Whoever starts it, it finds the same: the environment it is given, a folder of its own to be in,
nothing to read, and its log for both streams. It is looked after by its lock, not by us.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from common.errors import Denied
from common.presence import Presence
from common.process import Who, boot, started

LOG_MOST = 8 << 20  # bytes; a longer log is set aside when its writer starts
UMASK = 0o022  # the same from cron, from systemd, and by hand


def start(
    name: str, argv: Sequence[str], *, env: Mapping[str, str], home: Path, lock: Presence
) -> int:
    """Start a post and hand it its lock; its process id."""
    ours = dict(env)
    handed = lock.hand_on(ours)
    try:
        place = _place(home / "work" / name)
        with _log(home / "log" / f"{name}.log") as log:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=ours | {"TMPDIR": str(place), "PWD": str(place)},
                cwd=place,
                pass_fds=[handed],
                start_new_session=True,
                umask=UMASK,
            )
    except OSError as error:
        raise Denied(
            f"{name} was not started: {error.strerror}: {error.filename or argv[0]}",
            hint="look at the disk and the limits of this host",
        ) from error
    lock.note(Who(process.pid, started(process.pid) or 0, boot()))
    process.returncode = 0  # nobody waits for it here; whoever is its parent then reaps it
    return process.pid


def reap() -> None:
    """Bury children that ended; a watchdog that runs as a loop is the parent of what it starts."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _place(folder: Path) -> Path:
    """A folder of its own, without what a predecessor that was killed left to nobody."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in folder.glob("pymp-*"):
        shutil.rmtree(left, ignore_errors=True)
    return folder.absolute()


def _log(path: Path) -> IO[bytes]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if path.stat().st_size > LOG_MOST:
            path.replace(path.with_suffix(".log.1"))
    return open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600), "ab")
