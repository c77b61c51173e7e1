"""Children of this process: started with a log, ended together, never left behind.

Every child leads a session of its own (a Ctrl-C at the terminal reaches us, and we end it in
order) and is tied to us by `ops/tether.py`, so that it ends even if we are killed with SIGKILL.
The tie hangs on the *thread* that started the child: so only the main thread may start one.
Nothing here restarts anything by itself, and nothing is ever looked up by name.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from common.errors import Denied, Refused

TETHER = Path(__file__).with_name("tether.py")
GRACE = timedelta(seconds=10)
GLANCE = 0.01  # seconds between two looks at a child that is ending
ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def _never() -> bool:
    return False


class Child:
    """One process of ours and, from its own group, whatever it leaves behind."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.log = log
        self.pid = process.pid
        self._process = process

    @property
    def code(self) -> int | None:
        """How it ended (minus the signal's number if by a signal); None while it lives."""
        if self._process.returncode is not None:
            return self._process.returncode
        # WNOWAIT: as long as we do not reap it, nobody else can get its number
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    @property
    def alive(self) -> bool:
        """Whether it still runs (a stopped process does)."""
        return self.code is None

    def tell(self, signum: int) -> None:
        """Send a signal to the process itself, not to what it started."""
        if self.alive:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        """End it and its group at once, and reap it."""
        if self._process.returncode is None:
            os.killpg(self.pid, signal.SIGKILL)  # not reaped yet: the group's number is still ours
            self._process.wait()

    def stop(self, grace: timedelta = GRACE) -> None:
        """Ask it to end with SIGTERM; after `grace`, end it. Either way its group ends too."""
        end([self], grace)

    def said(self, most: int = 2000) -> str:
        """The end of its log."""
        text = self.log.read_bytes() if self.log.exists() else b""
        return text[-most:].decode(errors="replace")


def spawn(
    name: str,
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    log: Path,
    cwd: Path | None = None,
    keep: Iterable[int] = (),
) -> Child:
    """Start a command tied to this process; `keep` are open files that it inherits."""
    if threading.current_thread() is not threading.main_thread():
        raise Refused(
            f"{name} was not started: only the main thread may start processes",
            hint="the kernel would end the process with the thread; start it from the main one",
        )
    tether = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid())]
    try:
        with log.open("ab") as out:
            process = subprocess.Popen(
                [*tether, *map(str, argv)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                pass_fds=tuple(keep),
                start_new_session=True,
            )
    except OSError as exc:
        raise Denied(
            f"{name} was not started: {exc}", hint="look at the folder and limits"
        ) from exc
    return Child(name, process, log)


def end(
    children: Sequence[Child], grace: timedelta = GRACE, *, hurry: Callable[[], bool] = _never
) -> None:
    """End several at once: tell all, wait for all together, kill what is left of them."""
    for child in children:
        child.tell(signal.SIGTERM)
    deadline = time.monotonic() + grace.total_seconds()
    while any(c.alive for c in children) and time.monotonic() < deadline and not hurry():
        time.sleep(GLANCE)
    for child in children:
        child.kill()


class Family:
    """Children that end when the block is left: highest rank first, a rank's members together.

    Inside the block SIGTERM and SIGHUP leave it as SystemExit, SIGINT as KeyboardInterrupt; a
    further signal while they end cuts the grace short. What was installed before is put back.
    """

    def __init__(self, grace: timedelta = GRACE) -> None:
        self.grace = grace
        self._ranks: dict[int, list[Child]] = {}
        self._before: dict[signal.Signals, Any] = {}
        self._hurry = False

    def __enter__(self) -> Family:
        for signum in ENDING:
            self._before[signum] = signal.getsignal(signum)
            if self._before[signum] is not signal.SIG_IGN:  # nohup, or a shell's `&`
                signal.signal(signum, _leave)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        for signum in ENDING:
            signal.signal(signum, self._again)
        try:
            self.end()
        finally:
            for signum, before in self._before.items():
                signal.signal(signum, before)

    @property
    def children(self) -> list[Child]:
        """All of them, in the order in which they will end."""
        return [c for rank in sorted(self._ranks, reverse=True) for c in self._ranks[rank][::-1]]

    @property
    def fallen(self) -> list[Child]:
        """Those that ended without being told to."""
        return [child for child in self.children if not child.alive]

    def spawn(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        log: Path,
        cwd: Path | None = None,
        rank: int = 0,
    ) -> Child:
        """Start a member; those of a higher `rank` end before those of a lower one."""
        child = spawn(name, argv, env=env, log=log, cwd=cwd)
        self._ranks.setdefault(rank, []).append(child)
        return child

    def forget(self, child: Child) -> None:
        """Bury a member (killed if it still lives), to start another in its place."""
        child.kill()
        for members in self._ranks.values():
            if child in members:
                members.remove(child)

    def end(self) -> None:
        """End all members now."""
        for rank in sorted(self._ranks, reverse=True):
            end(self._ranks[rank][::-1], self.grace, hurry=lambda: self._hurry)
        self._ranks.clear()

    def _again(self, _signum: int, _frame: FrameType | None) -> None:
        self._hurry = True


def _leave(signum: int, _frame: FrameType | None) -> None:
    if signum == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + signum)  # what a shell reports for a process ended by this signal
