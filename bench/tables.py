"""Figures as a file for programs (CSV) and as a page for people (Markdown)."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from bench.goals import GOALS, Goal
from bench.rounds import OURS, Figure, Ratio, ratio

Rows = Sequence[Sequence[object]]


def write_csv(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Every figure, one line each."""
    rows = list(rows)
    with path.open("w", newline="") as out:
        writer = csv.DictWriter(out, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def of_figures(figures: Iterable[Figure]) -> list[dict[str, Any]]:
    """Figures as rows, times rounded to what they can mean."""
    return [asdict(f) | {"seconds": round(f.seconds, 3), "cpu": round(f.cpu, 2)} for f in figures]


def markdown(header: Sequence[str], rows: Rows) -> str:
    """A table that reads well as text, too."""
    cells = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(header))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
             for row in cells]  # fmt: skip
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def medians(figures: Sequence[Figure]) -> str:
    """Each path and tool: median seconds, items and bytes a second, processor time an item."""
    rows = []
    for path in dict.fromkeys(f.path for f in figures):
        of_path = [f for f in figures if f.path == path]
        for tool in dict.fromkeys(sorted((f.tool for f in of_path), key=_place)):
            mine = [f for f in of_path if f.tool == tool]
            seconds, cpu = median(f.seconds for f in mine), median(f.cpu for f in mine)
            items, size = mine[0].items, mine[0].bytes
            rows.append((
                path, tool, f"{seconds:.2f}", f"{items / seconds:,.0f}",
                f"{size / seconds / 2**20:,.0f}", f"{cpu:.1f}", f"{cpu / items * 1e6:,.0f}",
            ))  # fmt: skip
    header = ("path", "tool", "seconds", "items/s", "MiB/s", "CPU s", "CPU µs/item")
    return markdown(header, rows)


def _place(tool: str) -> tuple[int, str]:
    return (OURS.index(tool) if tool in OURS else len(OURS), tool)


def against(figures: Sequence[Figure], goal: Goal) -> dict[str, Ratio]:
    """The ratios of one goal, for each of our two ways; empty if it was not measured."""
    mine = [f for f in figures if f.path == goal.path]
    if not any(f.tool == goal.peer for f in mine):
        return {}
    return {
        ours: ratio(mine, ours, goal.peer, of=goal.of)
        for ours in OURS
        if any(f.tool == ours for f in mine)
    }


def goals(figures: Sequence[Figure]) -> str:
    """Goals and what became of them."""
    rows = []
    for goal in GOALS:
        found = against(figures, goal)
        if found:
            shown = [f"{r.median:.2f} ({r.least:.2f}-{r.most:.2f})" for r in found.values()]
            peer = goal.peer + (" (CPU)" if goal.of == "cpu" else "")
            best = max(r.median for r in found.values())
            rows.append((goal.path, peer, _wanted(goal), *shown, _met(goal, found, best)))
    header = ("path", "against", "goal", *OURS, "met")
    return markdown(header, rows)


def _wanted(goal: Goal) -> str:
    least = f"{goal.least:.2f}" if goal.least else "-"
    return least + (f" ({goal.stretch:.2f})" if goal.stretch else "")


def _met(goal: Goal, found: dict[str, Ratio], best: float) -> str:
    if not goal.least:
        return "stretch" if goal.stretch and best >= goal.stretch else "-"
    if all(r.median >= goal.least for r in found.values()):
        return "yes" + (" (stretch)" if goal.stretch and best >= goal.stretch else "")
    return "fleet up" if best >= goal.least else "no"
