"""A version on its way to one host: made room for, shipped, installed there, switched to.

What is there already is not shipped again. What the host does with it, it does by a program that
is shipped along (`arrive.py`), in one command, so that a line that is cut leaves nothing half
switched.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from common.errors import ConvoyError, Permanent
from common.quantities import show_size
from ops.fleet.bundle import Bundle
from ops.fleet.crowd import Answer
from ops.fleet.line import Line, Said

PYTHONS = "python3.12 python3.11 python3 /usr/bin/python3 /usr/local/bin/python3 python3.13"
FIT = "import sys, venv; sys.exit(sys.version_info < (3, 11))"
ROOM = 6  # bytes that an installed wheel may take for each of its own
INSTALLING = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Ground:
    """What a host has to offer."""

    home: str
    python: str
    there: frozenset[str]  # of the files of the bundle
    free: int


def ship(line: Line, *, bundle: Bundle, home: str, python: str) -> Answer:
    """Have a host switch to the version of the bundle. `home` is a word of its shell."""
    ground = _ground(line, home, bundle.folder, python)
    missing = [(file, name) for file, name in bundle.files() if name not in ground.there]
    _room(ground, missing)
    folder = f"{ground.home}/{bundle.folder}"
    for file, name in missing:
        line.put(file, f"{folder}/{name}")
    env = "env.new" if bundle.settings else ""
    if env:
        _write(line, f"{folder}/{env}", bundle.env(line.name))
    _write(line, f"{folder}/order.json", bundle.order(env=env))
    found = _arrive(line, ground, f"{folder}/arrive.py", f"{folder}/order.json")
    was = found["before"]
    change = " as before" if was == found["version"] else f" (was {was})" * bool(was)
    return Answer(found["version"] + change, found)


def go_back(line: Line, *, home: str, python: str) -> Answer:
    """Have a host switch to the version it had before."""
    ground = _ground(line, home, "incoming", python)
    newest = line.run(f"ls -t {shlex.quote(ground.home)}/incoming/*/arrive.py")
    if newest.code:
        raise Permanent("nothing was ever deployed there", hint="fab -H ... deploy")
    found = _arrive(line, ground, newest.out.splitlines()[0], "--back")
    return Answer(f"{found['version']} (was {found['before']})", found)


def failed(done: Said) -> ConvoyError:
    """Why a command failed there: our own words and hint if it was one of ours, else its last."""
    lines = [text for text in done.err.splitlines() if text.strip()]
    for number, text in enumerate(lines):
        if text.startswith("convoy: ") and number + 1 < len(lines):
            return Permanent(text.removeprefix("convoy: "), hint=lines[number + 1].strip())
    return Permanent(done.why, hint="look at that host")


def _ground(line: Line, home: str, folder: str, python: str) -> Ground:
    """Look at the host, and make the folders."""
    pythons = shlex.quote(python) if python else PYTHONS
    done = line.run(
        f'umask 077; home={home}; mkdir -p "$home/{folder}" && cd "$home" && pwd || exit 1; '
        f"df -Pk . | tail -n 1; for p in {pythons}; do "
        f'"$p" -I -c {shlex.quote(FIT)} 2>/dev/null && echo "$p" && break; done; '
        f"cd {shlex.quote(folder)} && mkdir -p wheels && find . -type f"
    )
    lines = done.out.splitlines()
    if done.code or len(lines) < 2:
        raise failed(done)
    if len(lines) < 3 or lines[2].startswith("./"):
        raise Permanent(
            "no Python 3.11 or newer there (with venv)",
            hint="apt install python3 python3-venv, or --python PATH",
        )
    there = frozenset(name.removeprefix("./") for name in lines[3:])
    return Ground(lines[0], lines[2], there, int(lines[1].split()[3]) * 1024)


def _room(ground: Ground, missing: list[tuple[Path, str]]) -> None:
    needed = sum(file.stat().st_size for file, _ in missing) * ROOM
    if ground.free < needed:
        raise Permanent(
            f"no room: {show_size(ground.free)} free at {ground.home}, {show_size(needed)} needed",
            hint="make room there",
        )


def _arrive(line: Line, ground: Ground, program: str, order: str) -> Any:
    words = shlex.join([ground.python, "-I", program, ground.home, order])
    done = line.run(f"exec {words}", limit=INSTALLING)
    if done.code:
        raise Permanent(done.why, hint=f"it was done with {ground.python}; --python takes another")
    return json.loads(done.out)


def _write(line: Line, path: str, text: str) -> None:
    """A small text there, for its owner alone."""
    where = shlex.quote(path)
    done = line.run(f"umask 077; cat >{where}.part && mv -f {where}.part {where}", given=text)
    if done.code:
        raise failed(done)
