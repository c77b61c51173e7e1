"""Races convoy against cp, rsync, rclone and s5cmd on every path of the goals table.

bash ops/bin/bench users [--rounds 5] [--only small,large] [--scale 0.1] [--dir DIR] [--keep]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from bench import machine, plots, tables
from bench.lab import Lab
from bench.paths import FULL, RACES
from bench.results import OUT, keep
from bench.rounds import Figure, race, say
from bench.stores import store, swept

TERMS = """\
A ratio is the peer's time over ours within one round: median, least and most. `sync`: the peer's
time includes a sync of the file system it wrote to, because we end only when all is on the disk.
`two cp -a, md5sum, sync` is the same work done by C tools on two cores, without checks, names of
its own, or a way back: what can be reached at most. `convoy` includes the start of its fleet."""


def main() -> None:
    """Run the races asked for; write CSV, table and plot; show the table."""
    asked = _asked()
    OUT.mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="work-", dir=asked.dir or OUT))
    before = machine.described(work)
    try:
        for figures, served in _races(work, asked):  # a run that is cut short keeps what it has
            note = f"{before} before, {machine.loaded()} after; {asked.rounds} rounds; S3: {served}"
            page = _write(figures, note, kept=asked.keep)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    sys.stdout.write(page)
    say(f"written to {OUT}")


def _races(work: Path, asked: argparse.Namespace) -> Iterator[tuple[list[Figure], str]]:
    names = [name for name in asked.only.split(",") if name] or list(RACES)
    scale, figures = FULL.times(asked.scale), list[Figure]()
    with ExitStack() as stack:
        lab = Lab(work)
        if any(RACES[name][1] for name in names):
            lab.store = stack.enter_context(store(work / "store"))
            lab.fresh = _sweeping(work / "store", lab)
        for name in names:
            path, contestants = RACES[name][0](lab, scale)
            figures += race(path, contestants, asked.rounds)
            yield figures, lab.store.name if lab.store else "none"


def _sweeping(home: Path, lab: Lab) -> Callable[[], None]:
    def sweep() -> None:
        if lab.store:
            swept(home, lab.store)

    return sweep


def _write(figures: list[Figure], note: str, *, kept: bool) -> str:
    tables.write_csv(OUT / "users.csv", tables.of_figures(figures))
    goals = tables.goals(figures)
    page = f"# Users\n\n{note}\n\n{goals}\n{TERMS}\n\n{tables.medians(figures)}"
    (OUT / "users.md").write_text(page)
    plots.ratios(figures, OUT / "users.png", note=note)
    if kept:
        keep("users")
    return page


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench users", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help=f"some of: {', '.join(RACES)}")
    parser.add_argument("--scale", type=float, default=1.0, help="times as many users")
    parser.add_argument("--dir", type=Path, help="where to make the trees (default: bench/out)")
    parser.add_argument("--keep", action="store_true", help="also into bench/results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
