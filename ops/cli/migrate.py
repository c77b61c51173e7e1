"""Commands that move and prove: migrate users, verify, watch. Each ends with the report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NoReturn

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from common.errors import Denied, Missing, Refused
from common.model import Check
from common.settings import Settings
from ops import journey, subjects, wishes
from ops import report as reports
from ops.cli import exits, show, terminal
from ops.cli.options import Bandwidth, Consumers, DryRun, Id, Json, Requests, limits, settings
from ops.desk import Desk, addressed, desk, who
from ops.journey import Errand
from ops.local import Fleet
from ops.rehearsal import rehearse
from ops.verification import verification
from ops.watching import End, follow
from producer.intake import Accepted, Order

Url = partial(typer.Option, metavar="URL")
Source = Annotated[
    str,
    Url(
        "--source",
        help="Where users are: file:///srv/{user}, s3://bucket/prefix, manifest+https://...",
    ),
]
Target = Annotated[str, Url("--target", help="Where they go, written the same way.")]
Users = Annotated[
    str,
    typer.Option(
        "--users",
        metavar="FILE",
        help="User IDs, one per line; - is standard input. Else all the source shows.",
    ),
]
Column = Annotated[
    str, typer.Option("--column", metavar="NAME", help="The list is CSV; IDs are in this column.")
]
How = Annotated[
    Check,
    typer.Option(
        "--check",
        metavar="HOW",
        help="When an item on the target is right: same contents (md5), as proven before and "
        "unchanged since (manifest), same length and time (mtime), same length (size).",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", metavar="", help="Replace what somebody else wrote to the target."),
]
Hook = partial(typer.Option, metavar="CMD")
Freeze = Annotated[
    str, Hook("--hook-freeze", help="Run before a user's last pass; {user} is the user.")
]
Switch = Annotated[
    str, Hook("--hook-switch", help="Run once a user is verified after the last pass.")
]
Tenant = Annotated[
    str, typer.Option("--tenant", metavar="NAME", help="Tenants share a fleet in equal parts.")
]
Deep = Annotated[
    bool,
    typer.Option(
        "--deep",
        metavar="",
        help="Read files from their disks, not from memory that may hide what they hold.",
    ),
]
Detach = Annotated[
    bool,
    typer.Option(
        "--detach", metavar="", help="Hand it to the fleet and return; exit code 0 if accepted."
    ),
]


def users(
    source: Source,
    target: Target,
    users_: Users = "",
    column: Column = "",
    consumers: Consumers = 0,
    check: How = Check.MD5,
    overwrite: Overwrite = False,
    bandwidth: Bandwidth = "",
    requests: Requests = "",
    hook_freeze: Freeze = "",
    hook_switch: Switch = "",
    tenant: Tenant = "",
    dry_run: DryRun = False,
    detach: Detach = False,
    as_json: Json = False,
) -> None:
    """Move users' file trees, verify them, and report what arrived.

    Without CONVOY_BROKER_URL and CONVOY_STATE_URL everything runs on this machine and nothing is
    left running; with both, the fleet does the work. Run it again after anything at all: it goes
    on, and what is right already is skipped.
    """
    known = settings()
    given = limits({"bandwidth": bandwidth, "requests": requests})
    wishes.checked(given)
    options = journey.options(
        check=check,
        overwrite=overwrite,
        hook_freeze=journey.hook(hook_freeze, here=known.embedded),
        hook_switch=journey.hook(hook_switch, here=known.embedded),
    )
    order = Order(source, target, tenant=tenant, by=who(), options=options, limits=given)
    with _listed(users_, column) as listed:
        errand = Errand(order, listed, first=2 if column else 1)
        if dry_run:
            _rehearse(errand, known, as_json=as_json)
        journey.checked(errand, known)
        if detach:
            _submit(errand, known, as_json=as_json)
        _run(errand, known, consumers=consumers, as_json=as_json)


def verify(
    id: Id,
    deep: Deep = False,
    consumers: Consumers = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Read both sides again, every byte of every user, and compare. Writes nothing to either.

    It is the migration's next generation, over the users of the one before.
    """
    known = settings()
    with desk(known) as here:
        errand = verification(here.find(id), by=who(), deep=deep)
    if dry_run:
        _rehearse(errand, known, as_json=as_json)
    _run(errand, known, consumers=consumers, as_json=as_json)


def watch(id: Id, as_json: Json = False) -> None:
    """Follow a migration until it ends, then report. Ctrl-C ends the watching only."""
    known = settings()
    fleet = addressed(known).broker_url
    with desk(known) as here, terminal.progress() as display:
        migration = here.find(id)

        def gone() -> bool:
            return fleet is None or (known.embedded and addressed(known).broker_url != fleet)

        end = follow(here, migration.id, show=display.show, tend=lambda: None, gone=gone)
        found = reports.report(here, here.migrations.get(migration.id))
    if end is End.GONE:
        terminal.say("nothing runs here: `convoy up`, or the same `convoy migrate` again")
    _finish(found, as_json=as_json)


def _run(errand: Errand, known: Settings, *, consumers: int, as_json: bool) -> NoReturn:
    accepted: list[str] = []
    try:
        with terminal.progress() as display:

            def note(found: Accepted, fleet: Fleet) -> None:
                accepted.append(found.migration.id)
                for text in _introduction(found, wasted=bool(consumers and not fleet.ours)):
                    display.say(text)

            found = journey.run(errand, known, consumers=consumers, display=display, accepted=note)
        _finish(found, as_json=as_json)
    except KeyboardInterrupt:  # at the very end, too: it never ends without a word
        _interrupted(accepted, known)


def _introduction(found: Accepted, *, wasted: bool) -> Iterator[str]:
    migration = found.migration
    begun = "" if migration.generation == 1 else f", generation {migration.generation}"
    yield f"{migration.id}{begun}: {show.many(found.planned, 'unit')} planned"
    if found.refused:
        first = found.refusals[0]
        lines = show.many(found.refused, "line")
        yield f"{lines} refused, first line {first.line}: {first.text}: {first.reason}"
    for text in migration.notices:
        yield f"note: {text}"
    if wasted:
        yield "note: --consumers is for a fleet of our own; this one is shared as it is"


def _finish(found: reports.Report, *, as_json: bool) -> NoReturn:
    terminal.result(found, show.report(found), as_json=as_json)
    raise typer.Exit(exits.COMPLETE if found["complete"] else exits.INCOMPLETE)


def _interrupted(accepted: list[str], known: Settings) -> NoReturn:
    if not accepted:
        terminal.say("interrupted before the list was taken over; the same command goes on")
    elif known.embedded:
        terminal.say("interrupted, nothing is left running; the same command goes on")
    else:
        terminal.say(f"no longer watched; the fleet goes on: `convoy watch {accepted[0]}`")
    raise typer.Exit(exits.INTERRUPTED)


def _submit(errand: Errand, known: Settings, *, as_json: bool) -> NoReturn:
    with terminal.progress() as display:
        found = journey.submit(errand, known, display=display)
    migration = found.migration
    told = {
        "id": migration.id,
        "generation": migration.generation,
        "planned": found.planned,
        "refused": found.refused,
        "refusals": [[r.line, r.text, r.reason] for r in found.refusals],
        "notices": list(migration.notices),
    }
    rows = [(migration.id, f"{show.many(found.planned, 'unit')} planned, {found.refused} refused")]
    terminal.result(told, show.pairs(rows), as_json=as_json)
    if addressed(known).broker_url is None:
        terminal.say("nothing moves until `convoy up` runs here")
    raise typer.Exit(exits.COMPLETE)


def _rehearse(errand: Errand, known: Settings, *, as_json: bool) -> NoReturn:
    with terminal.progress() as display:
        found = rehearse(errand, known, display)
    terminal.result(found, _rehearsed(found), as_json=as_json)
    if found["errors"]:
        raise Refused("; ".join(found["errors"]), hint="mend this and run the command again")
    raise typer.Exit(exits.INCOMPLETE if found["refused"] else exits.COMPLETE)


def _rehearsed(found: dict[str, Any]) -> RenderableType:
    rows = [
        ("would be", f"{found['id']}, generation {found['generation']}"),
        ("from", found["source"]),
        ("to", found["target"]),
        ("users", f"{found['users']:,}"),
        ("options", show.options(found["options"])),
    ]
    rows += [("note", text) for text in found["notices"]]
    rows += [("refused", f"line {n}: {text}: {why}") for n, text, why in found["refusals"][:20]]
    if (more := found["refused"] - 20) > 0:
        rows.append(("", f"and {more:,} more lines"))
    return Group(Text("Nothing was changed.", "bold"), show.pairs(rows))


@contextmanager
def _listed(path: str, column: str) -> Iterator[Callable[[Desk | None], Iterable[str]] | None]:
    """The list as it is to be read, its file open as long as the block."""
    if not path:
        if column:
            raise Refused("--column wants a list", hint="give the CSV file with --users")
        yield None
        return
    with _opened(path) as stream:
        read = partial(subjects.column, name=column) if column else subjects.lines
        yield lambda _: read(stream)


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        yield sys.stdin.buffer
        return
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(Path(path).open("rb"))
        except FileNotFoundError as error:
            raise Missing(f"there is no list {path}", hint="give a file with --users") from error
        except OSError as error:
            why = f"the list {path} was not read: {error.strerror}"
            raise Denied(why, hint="give a file that you may read") from error
        yield stream
