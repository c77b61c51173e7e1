"""What Flower keeps in memory while very many units pass. A program of its own:

    python -m tests.faults.flood --units 100000

Tells Flower of units as consumers do (received, started, succeeded), no faster than it listens, and
measures its memory on the way. Ends with 1 if it grows by more than a tenth after it is full.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

from common.queue.app import make_app
from common.settings import Settings
from ops.embedded import Redis
from ops.flower import MOST_UNITS
from tests.e2e.test_celery_tools import flower_at
from tests.fleet import ROOT
from tests.waiting import eventually

BATCH = 2_000
EVENTS = ("task-received", "task-started", "task-succeeded")


def resident(pid: int) -> int:
    """Memory of a process in KiB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0


def told_of(port: int, what: str) -> int:
    """The sum of one of its own counters."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return round(sum(map(float, re.findall(rf"^{what}\{{.*\}} (\S+)$", text, re.MULTILINE))))


def heard(port: int) -> int:
    """How many events of units it has taken in."""
    return told_of(port, "flower_events_total")


def awake(port: int, speaker: Any) -> bool:
    """Does it hear us by now?"""
    speaker.send("worker-heartbeat", freq=2)
    return told_of(port, "flower_worker_online") == 1


def caught_up(port: int, wanted: int) -> bool:
    return heard(port) >= wanted


def flood(home: Path, units: int) -> list[tuple[int, int]]:
    """Units told of, and KiB in use then."""
    with Redis(home / "redis") as redis:
        env = {"CONVOY_BROKER_URL": redis.url, "CONVOY_HOME": str(home), "PYTHONPATH": str(ROOT)}
        env |= {"CONVOY_STATE_URL": f"sqlite:///{home}/state.db"}
        ours = {name: value for name, value in env.items() if name.startswith("CONVOY_")}
        fields = {name.removeprefix("CONVOY_").lower(): value for name, value in ours.items()}
        app = make_app(Settings.model_validate(fields))
        with flower_at(home, env) as shown, app.connection_for_write() as line:
            speaker = app.events.Dispatcher(line, hostname="c01@flood")
            eventually(partial(awake, shown.port, speaker))
            found = [(0, resident(shown.pid))]
            for first in range(0, units, BATCH):
                before = heard(shown.port)
                for number in range(first, first + BATCH):
                    tell(speaker, number)
                wanted = before + BATCH * len(EVENTS)
                eventually(partial(caught_up, shown.port, wanted), within=120)
                found.append((first + BATCH, resident(shown.pid)))
    return found


def tell(speaker: Any, number: int) -> None:
    """All events of one unit."""
    unit = f"users-1053471853.1.{number:016x}:1"
    said = {"uuid": unit, "name": "convoy.move", "args": f"['users-1053471853', '{unit}', 1]"}
    for event in EVENTS:
        speaker.send(event, **said, result="'moved'", runtime=0.25, retries=0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=100_000)
    units = parser.parse_args().units
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="convoy-flood-") as home:
        found = flood(Path(home), units)
    full = next(kib for told, kib in found if told >= 2 * MOST_UNITS)
    last = found[-1][1]
    report = {
        "units": found[-1][0],
        "seconds": round(time.monotonic() - began),
        "kib_empty": found[0][1],
        "kib_full": full,
        "kib_at_the_end": last,
    }
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    return 1 if last > full * 1.1 else 0


if __name__ == "__main__":
    sys.exit(main())
