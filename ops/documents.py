"""Writes the pages of docs/ that are made from tables, so that no diagram can grow old.

`python -m ops.documents`, run in a checkout, writes them; a test compares them with what it would
write. Nothing is drawn by hand here: states, events and their words all come from the tables.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from inspect import getdoc
from pathlib import Path
from typing import Any

from common.lifecycle.buckets import BUCKETS
from common.lifecycle.registry import LIFECYCLES
from common.lifecycle.units import UNIT
from common.machine import Edge, Machine
from common.model import Hold

ROOT = Path(__file__).parents[1]
COMMAND = "python -m ops.documents"

_STATES = f"""\
# States

Generated from the tables in `common/lifecycle/` by `{COMMAND}`. Do not edit.

State changes only along an edge of a table, by compare-and-set, with its history line in the same
write. Where an arrow leads to the black dot, nothing is left to do by itself; only a person leads
out of there again.
"""


def states() -> str:
    """Every table as a diagram and as rows."""
    tables = [UNIT, *LIFECYCLES.values(), BUCKETS]  # buckets: a switch, no kind of the fleet yet
    return "\n".join([_STATES, *map(_machine, tables), *_holds()])


def _machine(machine: Machine[Any, Any]) -> str:
    home = importlib.import_module(type(machine.start).__module__)
    words = (getdoc(home), getdoc(type(machine.start)))
    ends = sorted(machine.ends())
    dots = [f"    {end} --> [*]" for end in ends]
    return "\n".join(
        [
            f"## {machine.name}",
            "",
            *(text for text in words if text),
            f"Starts as `{machine.start}`; at rest in {', '.join(f'`{end}`' for end in ends)}.",
            "",
            "```mermaid",
            machine.mermaid(),
            *dots,
            "```",
            "",
            "| in | event | leads to |",
            "|---|---|---|",
            *map(_row, machine.edges),
            "",
        ]
    )


def _row(edge: Edge[Any, Any]) -> str:
    return f"| `{edge.source}` | {edge.event} | `{edge.target}` |"


def _holds() -> Iterator[str]:
    yield "## Holds"
    yield ""
    yield f"{getdoc(Hold)}\nA migration has one of these, or none:"
    yield ""
    yield from (f"- `{hold}`" for hold in Hold)
    yield ""
    yield "What each does to units in hand is said in [architecture.md](architecture.md#holds)."
    yield ""


PAGES: Mapping[str, Callable[[], str]] = {"docs/states.md": states}


def main() -> None:
    """Write every page."""
    for path, page in PAGES.items():
        (ROOT / path).write_text(page())


if __name__ == "__main__":
    main()
