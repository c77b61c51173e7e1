"""Measures units a second, end to end: order, Celery, store, lease, report; nothing is moved.

    bash ops/bin/bench queue [--units 4000] [--rounds 3] [--consumers 2] [--dir DIR] [--keep]

On SQLite and, in turn, on the best MongoDB server at hand, which the results name. SQLite writes
to the disk and syncs every commit. The MongoDB keeps its data in memory: a mongod syncs many writes
at once, its substitute each one by itself, which would measure the disk and not us.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench import machine, plots, tables
from bench.fleets import Fleet, fleet
from bench.results import OUT, keep
from bench.rounds import say
from bench.spending import used
from common.errors import ConvoyError
from producer.intake import Order
from tests.servers import mongo
from tests.servers.ports import free_port

GOALS = {"SQLite": (400, 800), "Mongo": (200, 400)}  # units a second: goal and stretch
GLANCE = 0.02
MEMORY = Path("/dev/shm")
Row = dict[str, str | int | float]


def main() -> None:
    """Measure each store in turn; write CSV, table and plot; show the table."""
    asked = _asked()
    OUT.mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="work-", dir=asked.dir or OUT))
    before = machine.described(work)
    try:
        rows = list(_measured(work, asked))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    note = f"{before} before, {machine.loaded()} after; {asked.consumers} consumers"
    _write(rows, note, kept=asked.keep)


def _measured(work: Path, asked: argparse.Namespace) -> Iterator[Row]:
    with ExitStack() as stack:
        server = None
        try:
            memory = stack.enter_context(tempfile.TemporaryDirectory(dir=MEMORY))
            server = stack.enter_context(mongo.private(Path(memory), free_port()))
        except (ConvoyError, RuntimeError, OSError) as exc:
            say(f"without a MongoDB: {exc}")
        for number in range(asked.rounds):
            urls = {"SQLite": f"sqlite:///{work}/state-{number}.db"}
            if server:
                urls["Mongo"] = server.database(f"bench{number}")
            for name in list(urls)[:: -1 if number % 2 else 1]:
                seconds, cpu = _run(work / f"{name}-{number}", urls[name], asked)
                shown = f"Mongo ({server.name}, in memory)" if server and name == "Mongo" else name
                rate = asked.units / seconds
                say(f"{shown:20} {rate:8.0f} units/s {cpu / asked.units * 1e3:.2f} CPU ms/unit")
                yield {
                    "store": shown, "round": number, "units": asked.units,
                    "seconds": round(seconds, 3), "units_per_second": round(rate, 1),
                    "cpu_ms_per_unit": round(cpu / asked.units * 1e3, 3),
                }  # fmt: skip


def _run(home: Path, state_url: str, asked: argparse.Namespace) -> tuple[float, float]:
    """Wall and processor seconds from the order to the last unit done."""
    with fleet(home, state_url, app="bench.idle", consumers=asked.consumers) as up:
        assert up.producer
        pids = [up.redis, up.producer.pid, *(child.pid for child in up.consumers)]
        for name in ("old", "new"):
            (home / name).mkdir()
        before, began = used(pids), time.monotonic()
        subjects = (f"u{number:07}" for number in range(asked.units))
        order = Order(f"file://{home}/old", f"file://{home}/new")
        ordered = up.intake.accept(order, subjects).migration
        while up.migrations.get(ordered.id).phase != "done":
            time.sleep(GLANCE)
        seconds, cpu = time.monotonic() - began, used(pids) - before
        _check(up, ordered.id, asked.units)
    return seconds, cpu


def _check(up: Fleet, migration: str, units: int) -> None:
    sums = up.units.sums(up.migrations.get(migration))
    if (sums.done, sums.total) != (units, units):
        raise AssertionError(f"{sums.done} of {units} units are done: {sums}")


def _write(rows: list[Row], note: str, *, kept: bool) -> None:
    tables.write_csv(OUT / "queue.csv", rows)
    shown, bars = [], []
    for store in dict.fromkeys(str(row["store"]) for row in rows):
        rates = [float(row["units_per_second"]) for row in rows if row["store"] == store]
        cpu = median(float(row["cpu_ms_per_unit"]) for row in rows if row["store"] == store)
        goal, stretch = GOALS[store.split()[0]]
        met = "yes" if median(rates) >= goal else "no"
        met = "yes (stretch)" if median(rates) >= stretch else met
        span = f"{min(rates):.0f}-{max(rates):.0f}"
        shown.append(
            (store, f"{median(rates):.0f}", span, f"{goal} ({stretch})", f"{cpu:.2f}", met)
        )
        bars.append(plots.Bar(store, median(rates), min(rates), max(rates), goal))
    header = ("store", "units/s", "least-most", "goal (stretch)", "CPU ms/unit", "met")
    page = f"# Queue\n\n{note}\n\n{tables.markdown(header, shown)}"
    (OUT / "queue.md").write_text(page)
    title = "Units a second through order, queue, store, lease and report"
    plots.bars(bars, OUT / "queue.png", title=title, unit="units a second", note=note)
    sys.stdout.write(page)
    if kept:
        keep("queue")


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench queue")
    parser.add_argument("--units", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--consumers", type=int, default=2)
    parser.add_argument("--dir", type=Path, help="where to keep the stores (default: bench/out)")
    parser.add_argument("--keep", action="store_true", help="also into bench/results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
