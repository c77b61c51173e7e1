"""The two streams of a command: results on standard output, everything else on standard error.

With --json standard output carries exactly one JSON value. Progress is a live bar on a terminal
and a line now and then elsewhere; nothing is drawn for what takes less than two seconds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ops.cli import show
from ops.watching import Progress

PATIENCE = 2.0  # seconds before the first sign of progress
EVERY = 5.0  # seconds between two lines where there is no terminal
REDRAWN = 0.1  # seconds between two pictures on a terminal
BAR = 40


def out() -> Console:
    """Standard output; asked each time, because it may be exchanged."""
    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def err() -> Console:
    """Standard error."""
    return Console(file=sys.stderr, highlight=False, markup=False, emoji=False)


def say(text: str, style: str = "") -> None:
    """Something for the person, never for a program."""
    err().print(_safe(text, style), soft_wrap=True)


def tell(text: str, style: str = "") -> None:
    """A part of what the command is for."""
    out().print(_safe(text, style), soft_wrap=True)


def _safe(text: str, style: str) -> Text:
    return Text("\n".join(map(show.plain, text.split("\n"))), style)


def result(found: Any, shown: RenderableType, *, as_json: bool) -> None:
    """The one result of a command, for a program or for a person."""
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        sys.stdout.flush()
    else:
        out().print(shown)


def stream(rows: Iterable[Any]) -> None:
    """A JSON array that may be longer than memory."""
    sys.stdout.write("[")
    for number, row in enumerate(rows):
        sys.stdout.write(("," if number else "") + "\n  " + json.dumps(row))
    sys.stdout.write("\n]\n")
    sys.stdout.flush()


class Display(Protocol):
    """Where progress goes, and what is said while it is there."""

    def show(self, seen: Progress) -> None: ...
    def note(self, text: str) -> None: ...
    def say(self, text: str) -> None: ...
    def tell(self, text: str) -> None: ...


class Lines:
    """Where there is no terminal: a line now and then."""

    def __init__(self) -> None:
        self._next = time.monotonic() + PATIENCE

    def show(self, seen: Progress) -> None:
        """One look."""
        self.note(f"{show.progress(seen)}; {show.outlook(seen)}")

    def note(self, text: str) -> None:
        """Something else that takes its time."""
        if (now := time.monotonic()) >= self._next:
            self._next = now + EVERY
            say(text)

    def say(self, text: str) -> None:
        """Something for the person."""
        say(text)

    def tell(self, text: str) -> None:
        """A part of the result."""
        tell(text)


class Bar:
    """On a terminal: a bar and a line below it, redrawn in place; what is said goes above."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._next = time.monotonic() + PATIENCE / 4

    def show(self, seen: Progress) -> None:
        """One look."""
        row = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=1.0, completed=seen.share, width=BAR)
        row.add_row(bar, Text(f"{seen.share:4.0%}"), Text(show.outlook(seen), show.DIM))
        self._draw(Group(row, Text(show.progress(seen))))

    def note(self, text: str) -> None:
        """Something else that takes its time."""
        self._draw(Text(text, show.DIM))

    def say(self, text: str) -> None:
        """Something for the person."""
        self._live.console.print(_safe(text, ""), soft_wrap=True)

    def tell(self, text: str) -> None:
        """A part of the result; where that goes elsewhere it must not be drawn here."""
        if sys.stdout.isatty():
            self.say(text)
        else:
            tell(text)

    def _draw(self, what: RenderableType) -> None:
        if (now := time.monotonic()) >= self._next:
            self._next = now + REDRAWN
            self._live.update(what)


@contextmanager
def progress() -> Iterator[Display]:
    """A place for progress, wiped when the block ends."""
    console = err()
    if not console.is_terminal:
        yield Lines()
        return
    with Live(
        console=console,
        transient=True,
        refresh_per_second=8,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as live:
        yield Bar(live)
