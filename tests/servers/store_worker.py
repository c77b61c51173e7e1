"""A process that works on a store: `python -m tests.servers.store_worker JOB URL ARGUMENTS`.

It says "ready", waits for a line, does its job, and prints one line of JSON per answer, as soon as
the store has acknowledged it. It ends when nobody reads it any more. Started by `workers`.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.store.base import Doc, Store
from tests.servers.places import open_store

ROOT = Path(__file__).parents[2]
BATCH = 50


def say(answer: Any) -> None:
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


def claim(store: Store, owner: str) -> None:
    """Take queued things until there are none; which ones."""
    things, taken = store.collection("things"), []
    while doc := things.change({"state": "queued"}, set={"state": "taken", "owner": owner}):
        taken.append(doc["id"])
    say(taken)


def bump(store: Store, owner: str, times: str) -> None:
    """Win the next epoch of many things, and count in one; how many were won."""
    things, won = store.collection("things"), 0
    for n in range(int(times)):
        doc = things.change({"id": f"t{n}", "epoch": 1}, set={"owner": owner}, inc={"epoch": 1})
        won += doc is not None
        things.change({"id": "counter"}, inc={"n": 1})
    say(won)


def sit(store: Store, owner: str, times: str) -> None:
    """Take seats, each by a document of one's own; which numbers."""
    seats = store.collection("seats")
    say([n for n in range(int(times)) if seats.insert(_seat(owner, n))])


def _seat(owner: str, n: int) -> Doc:
    return {"id": f"{owner}-{n}", "house": 1, "number": n}


def greet(store: Store, owner: str, times: str) -> None:
    """Make one document, or add to it, with all the others."""
    things = store.collection("things")
    for _ in range(int(times)):
        assert things.change({"id": "guests"}, set={"last": owner}, inc={"n": 1}, upsert=True)
    say(int(times))


def pour(store: Store) -> None:
    """Insert batch after batch; the number of each that was acknowledged."""
    things, n = store.collection("things"), 0
    while True:
        things.insert_many(batch(n))
        say(n)
        n += 1


def batch(n: int) -> list[Doc]:
    """The documents of batch `n`."""
    return [{"id": f"{n}-{k}", "batch": n, "text": "x" * 200} for k in range(BATCH)]


def tick(store: Store) -> None:
    """Count up; each number that was acknowledged."""
    things = store.collection("things")
    while doc := things.change({"id": "counter"}, inc={"n": 1}, push={"trail": 1}, keep=5):
        say(doc["n"])


def scribble(store: Store) -> None:
    """Insert, change and remove among what somebody else reads, without touching its order."""
    things, n = store.collection("things"), 0
    while True:
        things.insert({"id": f"new{n}", "rank": n % 40, "fresh": True})
        things.change({"id": f"t{n % 100}"}, inc={"noise": 1})
        things.remove({"id": f"new{n - 10}"})
        n += 1
        if n % 10 == 0:
            say(n)


def stream(store: Store, many: str) -> None:
    """Insert and read `many` documents; how many were read, and memory (KiB) at 1/5 and at last."""
    things, total, early = store.collection("things"), int(many), 0
    step = total // 20
    for first in range(0, total, step):
        things.insert_many([_bulky(n) for n in range(first, first + step)])
        if first == total // 5:
            early = _peak()
    seen = 0
    for _ in things.find({"state": "queued"}, order=("rank",)):
        seen += 1
    say([seen, early, _peak()])


def _bulky(n: int) -> Doc:
    return {"id": f"b{n}", "rank": n * 7919 % 1000, "state": "queued", "text": f"{n}" * 40}


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def fork(store: Store) -> None:
    """Use the store, fork in the middle of an answer, use it on both sides; what both counted."""
    things = store.collection("things")
    answer = things.find({}, order=("rank",))
    before = next(answer)["id"]
    child = os.fork()
    for _ in range(50):
        things.change({"id": "counter"}, inc={"n": 1})
    rest = [doc["id"] for doc in answer] if child else []
    if child == 0:
        os._exit(0)
    _, status = os.waitpid(child, 0)
    counter = things.get("counter")
    say([status, counter and counter["n"], len({before, *rest})])


JOBS: dict[str, Callable[..., None]] = {
    job.__name__: job for job in (claim, bump, sit, greet, pour, tick, scribble, stream, fork)
}


@contextmanager
def workers(
    job: Callable[..., None], url: str, *arguments: str, owners: Sequence[str] = ()
) -> Iterator[list[subprocess.Popen[str]]]:
    """One process per owner (or just one), let go together; whatever still runs is killed."""
    argv = [sys.executable, "-m", __name__, job.__name__, url]
    calls = [[*argv, owner, *arguments] for owner in owners] or [[*argv, *arguments]]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(call, cwd=ROOT, **pipes) for call in calls]
    try:
        for process in processes:
            assert line(process) == "ready"
        for process in processes:
            assert process.stdin
            process.stdin.close()
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()
            assert process.stdout
            process.stdout.close()


def line(process: subprocess.Popen[str]) -> Any:
    """The next answer of a worker; fails if it ended instead."""
    assert process.stdout
    text = process.stdout.readline()
    assert text, f"the worker ended with {process.wait()}"
    return json.loads(text)


def lines(process: subprocess.Popen[str]) -> list[Any]:
    """All that a worker still has to say, until it ends."""
    assert process.stdout
    return [json.loads(text) for text in process.stdout if text.endswith("\n")]


def main() -> None:
    job, url, *arguments = sys.argv[1:]
    store = open_store(url)
    store.collection("things").get("none")
    say("ready")
    sys.stdin.read()
    JOBS[job](store, *arguments)


if __name__ == "__main__":
    main()
