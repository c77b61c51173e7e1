"""Measures planning: units a second, durably, and memory; and what the queue holds meanwhile.

    bash ops/bin/bench planner [--most 1000000] [--users 1000000] [--dir DIR] [--keep]

Planning runs in a process of its own, so that its memory is its own. The feed is then watched:
a real producer hands out a million units to consumers that do nothing, and at no time may more
than the window be in Redis; how far it gets in the time given is not the point.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import machine, plots, tables
from bench.fleets import fleet
from bench.results import OUT, keep
from bench.rounds import say
from bench.spending import resident
from producer.intake import Order

GOAL = 20_000  # units a second
FLAT = 1.1  # memory at the most units over memory at the least
GLANCE = 0.02
PLAN = """
import json, sys, time
from common.clock import Clock
from common.settings import Settings
from common.store.connect import connect
from common.store.events import Events
from common.store.migrations import Migrations
from common.store.units import Units
from producer.intake import Intake, Order

def peak():  # of this program; getrusage would begin with that of our parent
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) << 10

work, count = sys.argv[1], int(sys.argv[2])
settings = Settings(broker_url="redis://127.0.0.1:1/0", state_url=f"sqlite:///{work}/state.db")
store = connect(settings.state(), durable=True)
units = Units(store)
intake = Intake(Migrations(store), units, Events(store, Clock()), settings)
order = Order(f"file://{work}/old", f"file://{work}/new")
before = peak()
began, used = time.monotonic(), time.process_time()
accepted = intake.accept(order, (f"user-{n:08}" for n in range(count)))
seconds, cpu, after = time.monotonic() - began, time.process_time() - used, peak()
counted = units.sums(accepted.migration).total
json.dump({"seconds": seconds, "cpu": cpu, "before": before, "after": after, "units": counted},
          sys.stdout)
"""
Row = dict[str, str | int | float]


def main() -> None:
    """Plan ever more, then feed; write CSV, table and plot; show the table."""
    asked = _asked()
    OUT.mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="work-", dir=asked.dir or OUT))
    before = machine.described(work)
    try:
        rows = [_planned(work / str(count), count) for count in sizes(asked.most)]
        depth = _fed(work / "feed", asked.users, asked.seconds)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    _write(rows, depth, f"{before} before, {machine.loaded()} after", kept=asked.keep)


def sizes(most: int) -> list[int]:
    """10^4, 10^5 and so on, up to `most`."""
    return [count for power in range(4, 10) if (count := 10**power) <= most]


def _planned(work: Path, count: int) -> Row:
    work.mkdir()
    for name in ("old", "new"):
        (work / name).mkdir()
    argv = [sys.executable, "-P", "-c", PLAN, str(work), str(count)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=Path.cwd())
    found = json.loads(done.stdout)
    if found["units"] != count:
        raise AssertionError(f"{found['units']} of {count} units were planned")
    shutil.rmtree(work)
    rate = count / found["seconds"]
    say(f"{count:>9,} units planned: {rate:,.0f}/s, {found['after'] / 2**20:.1f} MiB")
    return {
        "units": count,
        "seconds": round(found["seconds"], 3),
        "units_per_second": round(rate),
        "cpu_us_per_unit": round(found["cpu"] / count * 1e6, 1),
        "start_mib": round(found["before"] / 2**20, 1),
        "most_mib": round(found["after"] / 2**20, 1),
    }


def _fed(work: Path, users: int, seconds: float) -> dict[str, float]:
    """The deepest queue and the largest memory while the feed runs."""
    with fleet(work, f"sqlite:///{work}.db", app="bench.idle") as up:
        assert up.producer
        for name in ("old", "new"):
            (work / name).mkdir()
        order = Order(f"file://{work}/old", f"file://{work}/new")
        ordered = up.intake.accept(order, (f"user-{n:08}" for n in range(users))).migration
        say(f"{users:,} units planned; watching the feed for {seconds:.0f} s")
        deepest = memory = leader = 0
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            deepest = max(deepest, up.broker.waiting("users"))
            memory = max(memory, resident([up.redis]))
            leader = max(leader, resident([up.producer.pid]))
            time.sleep(GLANCE)
        done = up.units.sums(ordered).done
        window = max(up.settings.window * len(up.consumers), up.settings.window_least)
    found = {
        "units": users, "seconds": seconds, "done": done, "window": window, "deepest": deepest,
        "redis_mib": round(memory / 2**20, 1), "producer_mib": round(leader / 2**20, 1),
    }  # fmt: skip
    say(str(found))
    return found


def _write(rows: list[Row], feed: dict[str, float], note: str, *, kept: bool) -> None:
    tables.write_csv(OUT / "planner.csv", rows)
    tables.write_csv(OUT / "planner-feed.csv", [feed])
    header = ("units", "seconds", "units/s", "CPU µs/unit", "MiB at start", "MiB at most")
    slowest = min(float(row["units_per_second"]) for row in rows)
    grown = float(rows[-1]["most_mib"]) / float(rows[0]["most_mib"])
    page = (
        f"# Planner\n\n{note}\n\n{tables.markdown(header, [list(r.values()) for r in rows])}\n"
        f"At least {slowest:,.0f} units/s (goal {GOAL:,}): {_met(slowest >= GOAL)}. "
        f"Memory at {rows[-1]['units']:,} units {grown:.2f} times that at {rows[0]['units']:,} "
        f"(goal at most {FLAT}): {_met(grown <= FLAT)}.\n\n"
        f"Feed of {feed['units']:,} units, watched for {feed['seconds']:.0f} s: at most "
        f"{feed['deepest']:.0f} messages in Redis (window {feed['window']:.0f}): "
        f"{_met(feed['deepest'] <= feed['window'])}; Redis {feed['redis_mib']} MiB, "
        f"producer {feed['producer_mib']} MiB.\n"
    )
    (OUT / "planner.md").write_text(page)
    points = [(float(row["units"]), float(row["units_per_second"])) for row in rows]
    goal = [(float(row["units"]), float(GOAL)) for row in rows]
    plots.lines(
        {"planned durably": points, "goal": goal}, OUT / "planner.png",
        title="Planning", across="units", up="units a second", note=note,
    )  # fmt: skip
    sys.stdout.write(page)
    if kept:
        keep("planner")


def _met(is_so: bool) -> str:
    return "met" if is_so else "NOT met"


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench planner")
    parser.add_argument("--most", type=int, default=1_000_000, help="units planned at the most")
    parser.add_argument("--users", type=int, default=1_000_000, help="units of the feed")
    parser.add_argument("--seconds", type=float, default=20, help="how long the feed is watched")
    parser.add_argument("--dir", type=Path, help="where to keep the stores (default: bench/out)")
    parser.add_argument("--keep", action="store_true", help="also into bench/results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
