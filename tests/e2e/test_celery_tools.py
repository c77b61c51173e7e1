"""The tools that Celery's users know work on our fleet: its commands, and Flower.

The long form of what Flower keeps in memory is the program `tests/faults/flood.py`.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import platform
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from common.model import Migration
from tests.fleet import ROOT, Fleet, fleet
from tests.servers.ports import free_port
from tests.servers.processes import server
from tests.terminal import argv
from tests.trees import plant
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("celery")
HOST = platform.node()
CONSUMERS = {f"c01@{HOST}", f"c02@{HOST}"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("tools"), consumers=2) as found:
        eventually(lambda: celery(found, "inspect", "ping").out.count("pong") == 2, within=60)
        yield found


@dataclass(frozen=True)
class Done:
    code: int
    out: str


def celery(found: Fleet, *words: str) -> Done:
    """A plain Celery command, with our addresses in the environment."""
    command = [sys.executable, "-m", "celery", "-A", "consumer.app", *words]
    done = subprocess.run(
        command, env=found.env, cwd=ROOT, capture_output=True, text=True, check=False
    )
    return Done(done.returncode, done.stdout)


def move(found: Fleet, folder: Path, number: int) -> Migration:
    """Move some users to the end."""
    for user in ("ann", "bob", "eve"):
        place = folder / "old" / user
        if not place.exists():
            place.mkdir(parents=True)
            plant(place)
    target = folder / f"new{number}"
    target.mkdir()
    migration = found.order(folder / "old", target)
    eventually(lambda: found.ended(migration), within=60)
    return migration


@dataclass
class Flower:
    """Its HTTP interface."""

    port: int
    auth: str
    pid: int

    def get(self, path: str, auth: str | None = None, *, method: str = "GET") -> tuple[int, Any]:
        """Status and answer; with the right password unless another one is given."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        word = base64.b64encode((self.auth if auth is None else auth).encode()).decode()
        if word:
            request.add_header("Authorization", f"Basic {word}")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                text = answer.read().decode()
                return answer.status, json.loads(text) if path.startswith("/api") else text
        except HTTPError as error:
            return error.code, error.read().decode()

    def units(self, migration: Migration) -> dict[str, Any]:
        """What it shows of the units of a migration, by their IDs."""
        found = self.get("/api/tasks?limit=1000")[1].values()
        return {each["uuid"]: each for each in found if f"'{migration.id}'" in str(each["args"])}

    def units_like(self, units: dict[str, Any]) -> list[Any]:
        """The same units, as they are shown now."""
        return [self.get(f"/api/task/info/{name}")[1] for name in units]


@contextmanager
def flower_at(home: Path, env: Mapping[str, str]) -> Iterator[Flower]:
    """Flower as `convoy flower` starts it."""
    port = free_port()

    def ready() -> None:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/healthcheck", timeout=2).close()

    words = argv("flower", "--port", str(port))
    with server("flower", words, ready=ready, home=home, env=env) as child:
        yield Flower(port, (home / "flower.auth").read_text().strip(), child.pid)


def test_flower_shows_every_consumer_and_the_outcome_of_units_to_who_knows_the_password(
    running: Fleet, tmp_path: Path
) -> None:
    with flower_at(Path(running.env["CONVOY_HOME"]), running.env) as shown:
        for path in ("/", "/workers", "/tasks", "/api/workers", "/api/tasks", "/broker"):
            assert [shown.get(path, auth)[0] for auth in ("", "convoy:x")] == [401, 401], path
        assert shown.get("/")[0] == 200
        secret = shown.auth.partition(":")[2]
        assert secret not in Path(f"/proc/{shown.pid}/cmdline").read_text()

        assert eventually(lambda: shown.get("/api/workers?refresh=1")[1].keys() == CONSUMERS)
        numbers = itertools.count()

        def shown_whole() -> dict[str, Any]:
            """It has consumers tell of their units, once it knows them; those before are not told
            of."""
            units = shown.units(move(running, tmp_path, next(numbers)))
            return units if len(units) == 3 else {}

        units = eventually(shown_whole, within=60)
        eventually(lambda: {unit["state"] for unit in shown.units_like(units)} == {"SUCCESS"})
        assert {unit["result"] for unit in shown.units_like(units)} == {"'moved'"}
        assert {unit["worker"] for unit in units.values()} <= CONSUMERS
        assert shown.get("/api/queues/length")[1]["active_queues"][0]["name"] == "users"
        refused, why = shown.get(f"/api/worker/shutdown/c01@{HOST}", method="POST")
        assert (refused, "Read only" in why) == (403, True)

        running.redis.restart()
        assert eventually(shown_whole, within=90)


def test_the_commands_of_celery_look_inside_and_end_consumers(running: Fleet) -> None:
    eventually(lambda: celery(running, "inspect", "ping").out.count("pong") == 2, within=60)
    active = celery(running, "inspect", "active", "--json")
    assert (active.code, json.loads(active.out)) == (0, {name: [] for name in CONSUMERS})
    stats = json.loads(celery(running, "inspect", "stats", "--json").out)
    pids = {found["pid"] for found in stats.values()}
    assert pids == {running.members[name].pid for name in ("c01", "c02")}
    assert {found["pool"]["max-concurrency"] for found in stats.values()} == {1}
    celery(running, "control", "shutdown")  # nobody answers to that, which it calls an error
    members = [running.members[name] for name in ("c01", "c02")]
    assert eventually(lambda: not any(member.alive for member in members))
    assert [member.code for member in members] == [0, 0]
    running.mind()


def test_flower_starts_as_a_plain_celery_command_too(running: Fleet, tmp_path: Path) -> None:
    port = free_port()
    words = [sys.executable, "-m", "celery", "-A", "consumer.app", "flower"]

    def ready() -> None:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/healthcheck", timeout=2).close()

    env = {"FLOWER_BASIC_AUTH": "ann:x", "FLOWER_ADDRESS": "127.0.0.1", "FLOWER_PORT": str(port)}
    with server("plain", words, ready=ready, home=tmp_path, env=running.env | env):
        shown = Flower(port, "ann:x", os.getpid())
        assert shown.get("/api/workers", "")[0] == 401
        assert shown.get("/api/workers")[0] == 200
