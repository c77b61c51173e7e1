"""The command that looks at everything Convoy needs, and says what to do about what is wrong."""

from __future__ import annotations

import typer
from rich.text import Text

from ops.cli import exits, show, terminal
from ops.cli.options import Json, settings
from ops.doctor import WRONG, as_json, findings


def doctor(as_json_: Json = False) -> None:
    """Look at software, addresses, home, disk, broker, store and consumers.

    Changes nothing. Exit code 1 if anything is wrong.
    """
    known = settings()
    found = list(findings(known))
    terminal.result(as_json(found, known), show.findings(found), as_json=as_json_)
    if any(finding.state == WRONG for finding in found):
        terminal.say("something is wrong, see above")
        raise typer.Exit(exits.INCOMPLETE)
    if not as_json_:
        terminal.out().print(Text("Nothing is wrong.", show.GOOD))
