"""Commands that look: list, show, report, failures. They change nothing, and need no fleet."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

import typer
from rich.text import Text

from common.errors import Missing
from common.lifecycle.units import State
from common.model import Migration
from ops import report as reports
from ops.cli import exits, show, terminal
from ops.cli.options import Id, Json, settings
from ops.desk import Desk, desk

SHOWN = 100  # units, failures and lines of history shown to a person; --json has all

Units = Annotated[
    bool, typer.Option("--units", metavar="", help="List the units too, with their state.")
]
OfState = Annotated[
    State | None, typer.Option("--state", help="With --units: only those in this state.")
]
OfUser = Annotated[str, typer.Option("--user", metavar="USER", help="Only this user's units.")]


def list_(as_json: Json = False) -> None:
    """All migrations of this deployment, the newest first."""
    with desk(settings()) as here:
        rows = [_brief(here, migration) for migration in here.migrations.all()]
        if not rows and not as_json:
            terminal.say("no migrations yet: `convoy migrate users --help`")
            return
        terminal.result(rows, show.migrations(rows), as_json=as_json)


def show_(
    id: Id,
    units: Units = False,
    state: OfState = None,
    user: OfUser = "",
    as_json: Json = False,
) -> None:
    """One migration: what it is, how far, under which limits, and who did what to it."""
    with desk(settings()) as here:
        migration = here.find(id)
        found = _brief(here, migration) | _details(here, migration)
        rows = _units(here, migration, state, user) if units or state or user else iter(())
        if as_json:
            terminal.result(found | {"unit_list": list(rows)}, "", as_json=True)
            return
        terminal.out().print(show.pairs(_pairs(found)))
        if shown := list(islice(rows, SHOWN)):
            terminal.out().print(show.units(shown))
            if next(rows, None):
                terminal.out().print(Text("  and more: narrow with --state or --user, or --json"))
        terminal.out().print(show.history(found["history"][-SHOWN // 5 :]))


def report(id: Id, as_json: Json = False) -> None:
    """The report of the present generation. Exit code 0 only if everything arrived."""
    with desk(settings()) as here:
        found = reports.report(here, here.find(id))
    terminal.result(found, show.report(found), as_json=as_json)
    raise typer.Exit(exits.COMPLETE if found["complete"] else exits.INCOMPLETE)


def failures(id: Id, as_json: Json = False) -> None:
    """Everything that did not arrive, by name, with why and what to do."""
    with desk(settings()) as here:
        migration = here.find(id)
        rows = reports.failures(here, migration)
        if as_json:
            terminal.stream(rows)
            return
        shown = list(islice(rows, SHOWN))
        if not shown:
            terminal.say(f"nothing failed in generation {migration.generation} of {migration.id}")
            return
        terminal.out().print(show.failures(shown))
        if next(rows, None):
            terminal.out().print(Text("  and more: --json has all"))


def _brief(here: Desk, migration: Migration) -> dict[str, Any]:
    return {
        **reports.heading(migration),
        "started": migration.started,
        "ended": migration.ended,
        "units": reports.units_of(here.units.sums(migration)),
    }


def _details(here: Desk, migration: Migration) -> dict[str, Any]:
    counts = reports.overall(here.units.by_job(migration))
    return {
        "options": dict(migration.options),
        "limits": dict(migration.limits),
        "planned": migration.planned,
        "refused": migration.refused,
        "items": reports.items_of(counts),
        "bytes": {"total": counts.bytes, "moved": counts.bytes_moved},
        "notices": list(migration.notices),
        "past": [dict(generation) for generation in migration.past],
        "history": here.migrations.history(migration.id),
        "events": list(here.events.of(migration.id)),
    }


def _pairs(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "id", found["id"]
    yield "from", found["source"]
    yield "to", found["target"]
    if found["tenant"]:
        yield "tenant", found["tenant"]
    yield "generation", f"{found['generation']}, begun {show.moment(found['started'])}"
    hold = f", {found['hold']}" if found["hold"] and not found["ended"] else ""
    yield "phase", found["phase"] + hold
    yield "units", ", ".join(f"{count:,} {name}" for name, count in found["units"].items())
    yield "items", ", ".join(f"{count:,} {name}" for name, count in found["items"].items())
    for name in ("options", "limits"):
        yield name, show.options(found[name]) or "none"
    for text in found["notices"]:
        yield "notice", text


def _units(
    here: Desk, migration: Migration, state: State | None, user: str
) -> Iterator[dict[str, Any]]:
    found = False
    for doc in here.units.of(migration, state):
        if user in ("", doc["key"]):
            found = True
            yield {
                "id": doc["id"],
                "user": doc["key"],
                "job": doc["job"],
                "state": doc["state"],
                "attempts": doc["attempts"],
                "owner": doc["owner"],
                "reason": doc["reason"],
                "due_at": doc["due_at"],
                "history": doc["history"],
            }
    if user and not found:
        raise Missing(
            f"user {user!r} has no such unit in migration {migration.id}",
            hint=f"`convoy show {migration.id} --units` lists them",
        )
