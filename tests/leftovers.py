"""Run a command; name and end every process that outlives it, and fail if there is one.

`python -m tests.leftovers COMMAND...`. The kernel hands every orphan of the command to us (we are
their subreaper), also those that left its session, so that none escapes by losing its parent.
Nothing is looked up by name, and no process that the command did not start is touched.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # <linux/prctl.h>
SETTLE = float(os.environ.get("CONVOY_TEST_SETTLE", "5"))  # seconds for what is ending to be gone
LEFT = 70  # exit code if something was left by a command that succeeded


def children() -> list[int]:
    """Our own children, orphans that were handed to us among them; zombies are reaped."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if is_ours(pid)]


def is_ours(pid: int) -> bool:
    """Whether we are its parent."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return int(stat.rpartition(")")[2].split()[1]) == os.getpid()


def described(pid: int) -> str:
    """What a process is, for a person."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return f"{pid} (just ended)"
    return f"{pid} {words.decode(errors='replace')[:200]}"


def swept() -> list[str]:
    """End what is left, children of children as they come to us; say what they were."""
    deadline = time.monotonic() + SETTLE
    while children() and time.monotonic() < deadline:
        time.sleep(0.05)
    found: list[str] = []
    while left := children():
        found += [described(pid) for pid in left]
        for pid in left:
            os.kill(pid, signal.SIGKILL)  # ours and not reaped: the number cannot be another's
            os.waitpid(pid, 0)
    return found


def main(argv: list[str]) -> int:
    """Run, sweep, report."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    with subprocess.Popen(argv) as process:

        def pass_on(signum: int, _frame: FrameType | None) -> None:
            process.send_signal(signum)

        signal.signal(signal.SIGTERM, pass_on)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal has told the command already
        code = process.wait()
    left = swept()
    for what in left:
        print(f"left running, now ended: {what}", file=sys.stderr)  # noqa: T201
    return code or (LEFT if left else 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
