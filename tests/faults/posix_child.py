"""A consumer's part at a file system, in a process of its own that may be stopped, killed or
starved: `python -m tests.faults.posix_child ACT ROOT [TOKEN]`. Says on stdout what became of it."""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path

from common.endpoints.place import Item, Type
from common.errors import ConvoyError
from tests.posix import Site

EXCHANGE = 2  # RENAME_EXCHANGE <linux/fs.h>
DATA = b"of alice"
FILE = Item("file", Type.FILE, len(DATA), 10**18, 0o644, os.geteuid(), os.getegid())


def say(what: str) -> None:
    """One line, at once."""
    print(what, flush=True)  # noqa: T201


def publish(site: Site, token: str) -> None:
    """Stage, say so, wait for a line, then publish."""
    target = site.target(token=token)
    target.directory(Item("", Type.DIRECTORY, 0, 10**18, 0o755, os.geteuid(), os.getegid()))
    staged = target.stage(FILE, DATA, "", {})
    target.settle()
    say("staged")
    sys.stdin.readline()
    try:
        target.publish(staged, None)
        target.finish()
        say("published")
    except ConvoyError as error:
        say(type(error).__name__)
    target.close()


def haul(site: Site, token: str) -> None:
    """One pass over the user; what became of it as JSON."""
    try:
        done = site.haul(token=token)
        say(json.dumps({"failed": done.failed, "moved": sorted(done.moved)}))
    except ConvoyError as error:
        say(json.dumps({"error": type(error).__name__, "what": str(error), "hint": error.hint}))


def swap(site: Site, names: str) -> None:
    """Exchange two names below the root, again and again, until stdin ends."""
    one, _, other = names.partition(":")
    libc = ctypes.CDLL(None, use_errno=True)
    at = os.open(site.root, os.O_RDONLY)
    os.set_blocking(0, False)
    say("swapping")
    while sys.stdin.buffer.read(1) is None:
        for _ in range(50):
            libc.renameat2(at, os.fsencode(one), at, os.fsencode(other), EXCHANGE)


if __name__ == "__main__":
    act, root, *rest = sys.argv[1:]
    {"publish": publish, "haul": haul, "swap": swap}[act](Site(Path(root)), *(rest or ["unit.1"]))
