"""Become a command that the kernel ends when its parent ends, however the parent ends.

Run by path, as `python -I -S tether.py PARENT_PID COMMAND...`: a small program of its own, because
nothing may safely run between fork and exec in a parent that has threads. It refuses to start
what its parent can no longer end, and looks after the one process only: what that process starts
in turn must look after itself (Celery's pool does).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def tie(parent: int) -> None:
    """Have the kernel kill this process, and whatever it becomes by exec, with `parent`."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"tether: cannot tie to process {parent}: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it died before we were tied
        sys.exit(f"tether: process {parent} is gone, not starting")


if __name__ == "__main__":
    tie(int(sys.argv[1]))
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as exc:
        sys.exit(f"tether: cannot start {sys.argv[2]}: {exc.strerror}")
