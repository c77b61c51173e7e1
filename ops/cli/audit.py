"""The command that shows the audit trail: who did what, to what, why, and how it ended."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.cli import show, terminal
from ops.cli.options import Json, settings
from ops.desk import desk

To = Annotated[str, typer.Option("--to", metavar="ID", help="Only what was done to this.")]
Limit = Annotated[int, typer.Option(min=1, metavar="N", help="So many of the newest.")]


def audit(to: To = "", limit: Limit = 50, as_json: Json = False) -> None:
    """Every command that was given, from any terminal and from the control centre, newest first."""
    with desk(settings()) as here:
        found = list(here.audit.latest(to=to, limit=limit))
    if not found and not as_json:
        terminal.say("nothing was done yet")
        return
    terminal.result(found, show.trail(found), as_json=as_json)
