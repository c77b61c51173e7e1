"""Options and arguments that several commands share, spelled once; and the settings."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import ValidationError

from common.errors import Refused
from common.settings import Settings

Id = Annotated[
    str, typer.Argument(metavar="ID", help="The migration's ID, or an unmistakable beginning.")
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", metavar="", help="Print one JSON value on standard output, nothing else."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", metavar="", help="Show what would be done, and change nothing.")
]
Consumers = Annotated[
    int,
    typer.Option(
        "--consumers",
        min=0,
        metavar="N",
        help="Consumers to start on this machine; 0 is one per core. A fleet that runs is shared "
        "as it is.",
    ),
]
Bandwidth = Annotated[
    str,
    typer.Option(
        metavar="RATE",
        help="Bytes per second of the whole fleet: 200MiB/s, off, or a timetable (UTC) like "
        "08:00-18:00=50MiB/s,200MiB/s.",
    ),
]
Requests = Annotated[
    str, typer.Option(metavar="RATE", help="Requests per second of the whole fleet: 500/s or off.")
]


def settings() -> Settings:
    """The settings from the environment; Refused, naming the variable, if one is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        variable = f"CONVOY_{name}: " if name else ""
        raise Refused(
            f"{variable}{first['msg']}", hint="mend or unset it; `convoy doctor` shows settings"
        ) from error


def limits(given: dict[str, str]) -> dict[str, str]:
    """Those limits that were given."""
    return {name: text for name, text in given.items() if text}
