"""Real servers as child processes: ready when returned, their log shown when they never are.

They end with the block, by their process id, and with the test process however that ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from ops.processes import Child, spawn

QUICK = timedelta(seconds=3)


@contextmanager
def server(
    name: str,
    argv: Sequence[str | Path],
    *,
    ready: Callable[[], object],
    home: Path,
    env: Mapping[str, str] | None = None,
    within: float = 30,
) -> Iterator[Child]:
    """Run a server in `home` until the block ends; `ready` raises until it answers."""
    child = spawn(name, argv, env={**os.environ, **(env or {})}, log=home / f"{name}.log", cwd=home)
    try:
        await_ready(child, ready, within)
        yield child
    finally:
        child.stop(QUICK)


def await_ready(child: Child, ready: Callable[[], object], within: float = 30) -> None:
    """Return once `ready` no longer raises; fail with the log if the child ends or never is."""
    deadline = time.monotonic() + within
    while True:
        try:
            ready()
        except Exception as exc:
            if not child.alive or time.monotonic() > deadline:
                how = f"ended with {child.code}" if not child.alive else f"not ready: {exc!r}"
                raise RuntimeError(f"{child.name} {how}; its log ends:\n{child.said()}") from exc
            time.sleep(0.03)
        else:
            return
