"""Named places where a test may make the program die or fail.

Nothing is armed unless `arm` is called: by a test in its own process, or by `consumer/boot.py`
from the setting `failpoints`, which the fault tests use (`name=kill:N` dies at the N-th pass).
The names are listed in docs/faults.md.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from common.errors import Refused, Transient

_ARMED: dict[str, Callable[[], None]] = {}


def failpoint(name: str) -> None:
    """Pass a named place; costs one look at an empty dict unless a test armed it."""
    if _ARMED and (action := _ARMED.get(name)):
        action()


def arm(name: str, action: str | Callable[[], None]) -> None:
    """Arm `name` with `kill`, `fail` or `stop` (`kill:N`: at the N-th pass), or a function."""
    if callable(action):
        _ARMED[name] = action
        return
    verb, _, nth = action.partition(":")
    acts = {"kill": _kill, "fail": _fail, "stop": _stop}
    if verb not in acts or not (nth or "1").isdecimal() or nth == "0":
        raise Refused(f"failpoint {name}: no action {action!r}", hint="write kill, kill:3 or fail")
    _ARMED[name] = _nth(acts[verb], int(nth or 1))


def disarm() -> None:
    """Make every place harmless again."""
    _ARMED.clear()


def _nth(action: Callable[[], None], nth: int) -> Callable[[], None]:
    left = nth

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            action()

    return count


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _fail() -> None:
    raise Transient("failpoint")
