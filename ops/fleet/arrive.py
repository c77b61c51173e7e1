"""Run on a host, by its own Python: install what was shipped, and switch to it. Nothing else.

    python3 -I arrive.py HOME ORDER
    python3 -I arrive.py HOME --back

A program of its own that needs only the standard library (Python 3.11), because it makes the
environment in which everything else runs. What is not complete has no `complete` beside it and is
made anew; `current` is switched in one step, after the new version has answered; what runs keeps
the version it was started with. Prints one line of JSON; says why on standard error if it cannot.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KEPT = 3  # versions beside the current one, if nobody runs them
LOOK = "import sys, sysconfig; print(sys.version_info[:2]); print(sysconfig.get_path('purelib'))"


def main(words: list[str]) -> None:
    """Do what was ordered, one at a time."""
    os.umask(0o077)
    home = Path(words[0]).absolute()
    lock = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        found = back(home) if words[1] == "--back" else arrive(home, Path(words[1]))
    except OSError as error:
        sys.exit(f"{error.strerror}: {error.filename or home}")
    sys.stdout.write(json.dumps(found) + "\n")


def arrive(home: Path, path: Path) -> dict[str, Any]:
    """Install a version beside the others and switch to it."""
    order = json.loads(path.read_bytes())
    files = path.parent
    for name, digest in order["files"].items():
        if hashlib.sha256((files / name).read_bytes()).hexdigest() != digest:
            (files / name).unlink()
            sys.exit(f"{name} did not arrive as it was; ship it again")
    base = Path(order["environment"]) if order["environment"] else layer(home, order, files)
    version = home / "versions" / order["version"]
    if not (version / "complete").exists():
        build(version, files / order["wheel"], base)
    answer = call([version / "bin/convoy", "--version"]).strip()
    if order["env"]:
        (files / order["env"]).replace(home / "env")
    before = switch(home, version)
    prune(home, base)
    return {"version": version.name, "before": before, "answer": answer}


def back(home: Path) -> dict[str, Any]:
    """Switch to the version that was current before."""
    if not (home / "previous").exists():
        sys.exit("there is no earlier version here")
    version = (home / "previous").resolve()
    return {"version": version.name, "before": switch(home, version), "answer": ""}


def layer(home: Path, order: dict[str, Any], files: Path) -> Path:
    """The environment with the dependencies: made once for each set of them."""
    python = f"{sys.version_info[0]}{sys.version_info[1]}"
    place = home / "layers" / f"{order['layer']}-{python}"
    if (place / "complete").exists():
        os.utime(place)
        return place
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(exist_ok=True)
    bare = ["--without-pip"] if has_pip(sys.executable) else []  # ready in a tenth of the time
    call([sys.executable, "-I", "-m", "venv", *bare, place])
    wanted = files / "requirements.txt"
    wanted.write_text("".join(f"{line}\n" for line in order["requires"]))
    pip = [*installer(place, sys.executable), "--requirement", wanted]
    if order["wheelhouse"]:
        pip += ["--no-index", "--no-cache-dir", "--find-links", files / order["wheelhouse"]]
    call(pip)
    (place / "complete").touch()
    return place


def build(version: Path, wheel: Path, base: Path) -> None:
    """An environment with nothing but our wheel, which finds its dependencies in `base`."""
    shutil.rmtree(version, ignore_errors=True)
    version.parent.mkdir(exist_ok=True)
    python, there = version / "bin/python", base / "bin/python"
    numbers, packages = call([there, "-I", "-c", LOOK]).splitlines()
    call([os.path.realpath(there), "-I", "-m", "venv", "--without-pip", version])
    ours = call([python, "-I", "-c", LOOK]).splitlines()
    if ours[0] != numbers:
        sys.exit(f"{there} and {python} are not of the same Python")
    call([*installer(version, there, sys.executable), "--no-deps", "--no-index", wheel])
    (Path(ours[1]) / "convoy-dependencies.pth").write_text(packages + "\n")
    (version / "complete").touch()


def installer(place: Path, *pythons: Any) -> list[Any]:
    """The pip of the first of these that has one, for an environment that needs none itself."""
    for python in (*pythons, place / "bin/python"):
        if has_pip(python):
            pip = [python, "-I", "-m", "pip", "--disable-pip-version-check"]
            return [*pip, "--python", place / "bin/python", "install", "--quiet", "--no-input"]
    sys.exit(f"{sys.executable} has neither pip nor ensurepip; apt install python3-venv")


def has_pip(python: Any) -> bool:
    """May it install into other environments? (pip can since 22.3.)"""
    words = [str(python), "-I", "-m", "pip", "--python", str(python), "--version"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def switch(home: Path, version: Path) -> str:
    """Make it the current one, in one step; what was current before."""
    before = (home / "current").resolve().name if (home / "current").exists() else ""
    if before == version.name:
        return before
    if before:
        point(home / "previous", home / "versions" / before)
    point(home / "current", version)
    return before


def point(link: Path, to: Path) -> None:
    """A link is replaced by one that is ready."""
    beside = link.with_name(f".{link.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    beside.symlink_to(to.relative_to(link.parent))
    beside.replace(link)


def prune(home: Path, base: Path) -> None:
    """Take away old versions that nobody runs, and sets of dependencies of none that is left."""
    linked = {(home / name).resolve() for name in ("current", "previous")}
    used = linked | {home / "versions" / name for name in running(home)}
    versions = sorted((home / "versions").iterdir(), key=lambda p: p.stat().st_mtime, reverse=True)
    spare = [path for path in versions if path not in used]
    for path in spare[KEPT:]:
        shutil.rmtree(path, ignore_errors=True)
    needed = {base, *(Path(text).parents[2] for text in found_in(home))}
    if (home / "layers").exists():
        for path in set((home / "layers").iterdir()) - needed:
            shutil.rmtree(path, ignore_errors=True)


def found_in(home: Path) -> Iterator[str]:
    """Where the versions that are left find their dependencies."""
    for path in (home / "versions").glob("*/lib/python*/site-packages/convoy-dependencies.pth"):
        yield path.read_text().strip()


def running(home: Path) -> set[str]:
    """The versions of which somebody who holds a post was started."""
    found = set()
    for lock in (home / "run").glob("*/*.lock"):
        match = re.match(rb'{"pid": (\d+)', lock.read_bytes())
        path = Path("/proc") / (match[1].decode() if match else "none") / "cmdline"
        if path.exists():
            first = Path(path.read_bytes().partition(b"\0")[0].decode(errors="replace"))
            if first.is_relative_to(home / "versions"):
                found.add(first.relative_to(home / "versions").parts[0])
    return found


def call(words: list[Any]) -> str:
    """What a command says; its last words if it fails."""
    argv = [str(word) for word in words]
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [*filter(str.strip, (done.stderr or done.stdout).splitlines()), "without a word"]
        errors = [line for line in said if "error" in line.lower() or "No space" in line]
        sys.exit(f"{' '.join(argv[:5])} ... failed: {(errors or said)[-1].strip()}")
    return done.stdout


if __name__ == "__main__":
    main(sys.argv[1:])
