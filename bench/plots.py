"""Draws ratios as bars, one group for each goal, with the goal as a mark across them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Figure_
from matplotlib.lines import Line2D

from bench.goals import GOALS, Goal
from bench.rounds import OURS, Figure, Ratio
from bench.tables import against

mpl.use("Agg")
COLOURS = ("#2f6f9f", "#8fbc5a")
GOAL, EVEN = "#c0392b", "#888888"
THICK = 0.36


def ratios(figures: Sequence[Figure], out: Path, *, note: str) -> None:
    """How many times as fast as each peer, command and fleet; whiskers are least and most."""
    shown = [(goal, found) for goal in GOALS if (found := against(figures, goal))]
    height = 0.62 * len(shown) + 1.9
    figure, axes = pyplot.subplots(figsize=(10, height), layout="constrained")
    for row, (goal, found) in enumerate(shown):
        _group(axes, row, goal, found)
    axes.set_yticks(range(len(shown)), [_label(goal) for goal, _ in shown])
    axes.invert_yaxis()
    axes.axvline(1, color=EVEN, linewidth=1, linestyle=":")
    axes.set_xlim(0, None)
    axes.set_xlabel("times as fast as the peer (median of rounds; lines: least and most)")
    _legend(axes)
    _finish(figure, axes, out, title="Convoy against its peers, in one run", note=note)


def _group(axes: Axes, row: int, goal: Goal, found: dict[str, Ratio]) -> None:
    for ours, at in zip(OURS, (-THICK / 2, THICK / 2), strict=True):
        if ours in found:
            seen = found[ours]
            axes.barh(row + at, seen.median, THICK, color=COLOURS[OURS.index(ours)])
            axes.plot([seen.least, seen.most], [row + at] * 2, color="black", linewidth=1)
            axes.text(
                max(seen.most, seen.median) + 0.04, row + at, f"{seen.median:.2f}",
                va="center", fontsize=8,
            )  # fmt: skip
    if goal.least:
        axes.plot([goal.least] * 2, [row - THICK, row + THICK], color=GOAL, linewidth=2.5)


def _label(goal: Goal) -> str:
    cpu = ", processor time" if goal.of == "cpu" else ""
    return f"{goal.path}\nagainst {goal.peer}{cpu}"


def _legend(axes: Axes) -> None:
    handles = [
        *(
            Line2D([], [], color=c, linewidth=7, label=o)
            for c, o in zip(COLOURS, OURS, strict=True)
        ),
        Line2D([], [], color=GOAL, linewidth=2.5, label="goal"),
        Line2D([], [], color=EVEN, linestyle=":", label="even"),
    ]
    axes.legend(handles=handles, loc="lower right", frameon=False)


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure with its least and most, and what it should at least be."""

    label: str
    value: float
    least: float
    most: float
    goal: float


def bars(shown: Sequence[Bar], out: Path, *, title: str, unit: str, note: str) -> None:
    """Figures beside their goals."""
    figure, axes = pyplot.subplots(figsize=(8, 0.7 * len(shown) + 1.6), layout="constrained")
    for row, bar in enumerate(shown):
        axes.barh(row, bar.value, 0.6, color=COLOURS[0])
        axes.plot([bar.least, bar.most], [row, row], color="black", linewidth=1)
        axes.text(bar.most * 1.02, row, f"{bar.value:,.0f}", va="center", fontsize=9)
        axes.plot([bar.goal] * 2, [row - 0.4, row + 0.4], color=GOAL, linewidth=2.5)
    axes.set_yticks(range(len(shown)), [bar.label for bar in shown])
    axes.invert_yaxis()
    axes.set_xlim(0, max(max(bar.most, bar.goal) for bar in shown) * 1.15)
    axes.set_xlabel(f"{unit} (red: goal; lines: least and most of rounds)")
    _finish(figure, axes, out, title=title, note=note)


def lines(
    series: Mapping[str, Sequence[tuple[float, float]]],
    out: Path,
    *,
    title: str,
    across: str,
    up: str,
    note: str,
) -> None:
    """Figures over a size that grows tenfold at a time."""
    figure, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
    for colour, (label, points) in zip(("#2f6f9f", "#8fbc5a", GOAL), series.items(), strict=False):
        axes.plot(*zip(*points, strict=True), marker="o", color=colour, label=label)
    axes.set_xscale("log")
    axes.set_ylim(0, None)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.legend(frameon=False)
    _finish(figure, axes, out, title=title, note=note)


def _finish(figure: Figure_, axes: Axes, out: Path, *, title: str, note: str) -> None:
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(note, fontsize=7, color=EVEN)
    figure.savefig(out, dpi=110)
    pyplot.close(figure)
