"""Measures whether memory stays flat while a user grows from ten thousand to a million files.

    bash ops/bin/bench memory [--most 1000000] [--dir DIR] [--keep]

One user of many small files is moved by a fleet with one consumer, cut into units by the real
rules; the largest memory that the consumer's child, its parent and the producer ever had is what
the kernel noted for each of them. The planner's memory is measured by `bench planner`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from bench import machine, plots, tables
from bench.fleets import fleet
from bench.results import OUT, keep
from bench.rounds import say
from bench.spending import family
from producer.intake import Order

FLAT = 1.1  # memory at the most files over memory at the least
PER_DIRECTORY = 500
GLANCE = 0.2
SPARE = 200_000  # inodes to leave free
Row = dict[str, str | int | float]


def main() -> None:
    """Move ever larger users; write CSV, table and plot; show the table."""
    asked = _asked()
    OUT.mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="work-", dir=asked.dir or OUT))
    _require_inodes(work, asked.most)
    before = machine.described(work)
    try:
        rows = [_moved(work / str(count), count) for count in sizes(asked.most)]
    finally:
        shutil.rmtree(work, ignore_errors=True)
    _write(rows, f"{before} before, {machine.loaded()} after", kept=asked.keep)


def sizes(most: int) -> list[int]:
    """10^4, 10^5 and so on, up to `most`."""
    return [count for power in range(4, 8) if (count := 10**power) <= most]


def _require_inodes(work: Path, most: int) -> None:
    free = os.statvfs(work).f_favail
    if free < 2 * most + SPARE:
        raise SystemExit(f"{free:,} inodes are left in {work}; use --most or --dir")


def _moved(work: Path, count: int) -> Row:
    """One user of `count` files, moved; the peaks of all who took part."""
    with fleet(work, f"sqlite:///{work}.db", consumers=1) as up:
        assert up.producer
        (work / "new").mkdir()
        _plant(work / "old" / "user", count)
        say(f"{count:>9,} files made")
        began = time.monotonic()
        order = Order(f"file://{work}/old", f"file://{work}/new")
        ordered = up.intake.accept(order, ["user"]).migration
        child = parent = leader = 0
        while up.migrations.get(ordered.id).phase != "done":
            main_ = up.consumers[0].pid
            parent, leader = max(parent, peak(main_)), max(leader, peak(up.producer.pid))
            child = max([child, *map(peak, family([main_]) - {main_})])
            time.sleep(GLANCE)
        seconds = time.monotonic() - began
        sums = up.units.sums(ordered)
    if (sums.counts.moved, sums.quarantined) != (count, 0):
        raise AssertionError(f"{sums.counts.moved} of {count} files were moved: {sums}")
    found: Row = {
        "files": count,
        "units": sums.total,
        "seconds": round(seconds, 1),
        "files_per_second": round(count / seconds),
        "consumer_child_mib": round(child / 2**20, 1),
        "consumer_parent_mib": round(parent / 2**20, 1),
        "producer_mib": round(leader / 2**20, 1),
    }
    say(str(found))
    shutil.rmtree(work)
    return found


def peak(pid: int) -> int:
    """The most memory that a process has ever had, in bytes; 0 if it is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    return 0


def _plant(root: Path, count: int) -> None:
    """Empty files but for every tenth, which has a few bytes."""
    for number in range(count):
        folder = root / f"d{number // PER_DIRECTORY:05}"
        if number % PER_DIRECTORY == 0:
            folder.mkdir(parents=True)
        fd = os.open(folder / f"f{number:07}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        if number % 10 == 0:
            os.write(fd, b"%d" % number)
        os.close(fd)


def _write(rows: list[Row], note: str, *, kept: bool) -> None:
    tables.write_csv(OUT / "memory.csv", rows)
    header = ("files", "units", "seconds", "files/s", "child MiB", "parent MiB", "producer MiB")
    page = f"# Memory\n\n{note}\n\n{tables.markdown(header, [list(r.values()) for r in rows])}\n"
    series = {}
    for name, what in (
        ("consumer_child_mib", "consumer, child"),
        ("consumer_parent_mib", "consumer, parent"),
        ("producer_mib", "producer"),
    ):
        grown = float(rows[-1][name]) / float(rows[0][name])
        met = "met" if grown <= FLAT else "NOT met"
        page += (
            f"- {what}: at {rows[-1]['files']:,} files {grown:.2f} times that at "
            f"{rows[0]['files']:,} (goal at most {FLAT}): {met}\n"
        )
        series[what] = [(float(row["files"]), float(row[name])) for row in rows]
    (OUT / "memory.md").write_text(page)
    plots.lines(
        series, OUT / "memory.png",
        title="Memory at most, by the size of one user", across="files of one user", up="MiB",
        note=note,
    )  # fmt: skip
    sys.stdout.write(page)
    if kept:
        keep("memory")


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench memory")
    parser.add_argument("--most", type=int, default=1_000_000, help="files of the largest user")
    parser.add_argument("--dir", type=Path, help="where to make the trees (default: bench/out)")
    parser.add_argument("--keep", action="store_true", help="also into bench/results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
