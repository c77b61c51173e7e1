"""`convoy` as a person uses it: commands run in a home of their own, with leases of seconds."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ops.cli.main import main

ROOT = Path(__file__).parents[1]
QUICK = {
    "CONVOY_LEASE": "2s",
    "CONVOY_RESEND": "2s",
    "CONVOY_BACKOFF": "200ms",
    "CONVOY_BACKOFF_MOST": "2s",
    "CONVOY_SWEEP": "200ms",
}
WITHIN = 200  # seconds for any one command; it never takes so long


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass
class Terminal:
    """One person's home."""

    home: Path
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("CONVOY_")}
        known = {"CONVOY_HOME": str(self.home), "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
        return {**inherited, **QUICK, **known, **self.extra}

    def run(self, *words: str | Path, given: bytes = b"") -> Done:
        """Run a command to its end."""
        done = subprocess.run(
            argv(*words),
            env=self.env,
            input=given,
            capture_output=True,
            check=False,
            timeout=WITHIN,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def told(self, *words: str | Path, code: int = 0) -> Any:
        """What a command says with --json; it must end with `code`."""
        done = self.called(*words, "--json")
        assert done.code == code, done
        return json.loads(done.out)

    def called(self, *words: str | Path) -> Done:
        """A command run in this process, which saves its start; its own children are real."""
        out, err, before = io.StringIO(), io.StringIO(), dict(os.environ)
        os.environ.clear()
        os.environ.update(self.env)
        try:
            with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
                main(list(map(str, words)))
        finally:
            os.environ.clear()
            os.environ.update(before)
        code = end.value.code
        return Done(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())

    def migrate(self, old: Path, new: Path, *words: str | Path, code: int = 0) -> Any:
        """Move users; the report."""
        return self.told(*users(old, new), *words, code=code)

    @contextmanager
    def started(self, *words: str | Path) -> Iterator[subprocess.Popen[str]]:
        """A command that runs meanwhile; killed at the end if it still does."""
        with subprocess.Popen(
            argv(*words),
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def processes(self) -> list[int]:
        """Everything that runs in this home, whoever started it."""
        mark = f"CONVOY_HOME={self.home}\0".encode()
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                environ = Path(f"/proc/{pid}/environ").read_bytes() + b"\0"
            except OSError:
                continue
            if mark in environ:
                found.append(int(pid))
        return found


def argv(*words: str | Path) -> list[str]:
    return [sys.executable, "-P", "-m", "ops.cli", *map(str, words)]


def users(old: Path, new: Path) -> list[str | Path]:
    return ["migrate", "users", "--source", old, "--target", new]
