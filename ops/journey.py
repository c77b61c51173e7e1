"""One migration from order to report: accepted, followed while the fleet works, told how it ended.

The fleet is the one at the addresses, the one that runs in this home, or our own; if one that we
share goes away we put our own in its place. Interrupting this is harmless: the same order goes on.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from common import ids
from common.errors import Refused
from common.lifecycle.users import Phase
from common.model import Migration
from common.settings import Settings
from ops import report as reports
from ops import watching
from ops.desk import Desk, addressed, desk
from ops.local import Fleet, joined
from ops.watching import End, Progress
from producer.intake import Accepted, Intake, Order
from producer.planner import Preflight, Refusal
from producer.registry import PLANNERS

REFUSALS_SHOWN = 1_000
ENOUGH = 0.2  # seconds between two looks after the fleet while a list is read
T = TypeVar("T")


class Display(Protocol):
    """Where progress goes."""

    def show(self, seen: Progress) -> None: ...
    def note(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Errand:
    """An order, and the list of its subjects as it is to be read (None: as the source shows)."""

    order: Order
    subjects: Callable[[Desk], Iterable[str]] | None = None
    first: int = 1  # line number of the first subject


def intake(here: Desk) -> Intake:
    """The way into the fleet from this desk."""
    return Intake(here.migrations, here.units, here.events, here.settings)


def run(
    errand: Errand,
    settings: Settings,
    *,
    consumers: int,
    display: Display,
    accepted: Callable[[Accepted, Fleet], object],
) -> reports.Report:
    """Accept and follow to the end; the report."""
    known: Accepted | None = None
    while True:
        with joined(settings, consumers=consumers) as fleet, desk(fleet.settings) as here:
            if known is None:
                known = accept(errand, here, display, tend=fleet.tend)
                accepted(known, fleet)
            if found := finish(known.migration.id, here, fleet, display):
                if not any(True for _ in here.units.running()):
                    fleet.dismiss()
                return found


def finish(id: str, here: Desk, fleet: Fleet, display: Display) -> reports.Report | None:
    """Follow an accepted migration to its end; its report, or None if the fleet went away."""
    end = watching.follow(here, id, show=display.show, tend=fleet.tend, gone=fleet.gone)
    if end is End.GONE:
        return None
    display.note("adding up")
    return reports.report(here, here.migrations.get(id))


def accept(
    errand: Errand, here: Desk, display: Display, *, tend: Callable[[], object] = lambda: None
) -> Accepted:
    """Take over the list, looking after the fleet meanwhile. Refused if the migration is held."""
    order = _with_limits(errand.order, here)
    listed = errand.subjects(here) if errand.subjects else None
    if listed is None:
        listed = PLANNERS[order.kind].subjects(spelled(order).source, here.settings)
    stream = _meanwhile(listed, tend, here.clock.tick)
    accepted = intake(here).accept(
        order,
        stream,
        first=errand.first,
        shown=lambda many: display.note(f"planned {many:,} units"),
    )
    if accepted.migration.hold:
        raise Refused(
            f"migration {accepted.migration.id} is {accepted.migration.hold.value}",
            hint=f"`convoy resume {accepted.migration.id}`, then run this again",
        )
    return accepted


def submit(errand: Errand, settings: Settings, *, display: Display) -> Accepted:
    """Accept only; whoever runs, or will run, does the work."""
    with desk(addressed(settings)) as here:
        return accept(errand, here, display)


def checked(errand: Errand, settings: Settings) -> Preflight:
    """The preflight by itself, before anything is started; Refused if it finds an error."""
    planner = PLANNERS[errand.order.kind]
    order = spelled(errand.order)
    found = planner.preflight(order.source, order.target, order.options, settings)
    if found.errors:
        raise Refused("; ".join(found.errors), hint="mend this and run the command again")
    return found


def spelled(order: Order) -> Order:
    """The order with both endpoints in their one spelling."""
    spelling = PLANNERS[order.kind].spelling
    source, target = spelling(order.source), spelling(order.target)
    return dataclasses.replace(order, source=source, target=target)


def rehearse(errand: Errand, settings: Settings, display: Display) -> dict[str, Any]:
    """What `run` would do, without making anything at all."""
    order = spelled(errand.order)
    planner = PLANNERS[order.kind]
    options = dict(order.options) | {"pass": reports.VERIFY}  # writes nothing, so it makes nothing
    found = planner.preflight(order.source, order.target, options, settings)
    known = _known(order, settings)
    subjects, refused = 0, 0
    refusals: list[Refusal] = []
    for line, subject in enumerate(_listed(errand, order, settings), errand.first):
        reason = planner.refuse(subject)
        subjects, refused = subjects + (reason is None), refused + (reason is not None)
        if reason and len(refusals) < REFUSALS_SHOWN:
            refusals.append(Refusal(line, subject, reason))
        display.note(f"reading the list, {subjects:,} so far")
    return {
        "dry_run": True,
        "id": ids.migration_id(order.kind, order.source, order.target),
        "generation": known.generation + 1 if known else 1,
        "source": order.source,
        "target": order.target,
        "options": dict(order.options),
        "limits": dict(order.limits),
        "users": subjects,
        "refused": refused,
        "refusals": [[r.line, r.text, r.reason] for r in refusals],
        "notices": list(found.notices),
        "errors": list(found.errors),
    }


def verification(migration: Migration, *, by: str) -> Errand:
    """An errand that reads both sides of the same users again and writes nothing."""
    if migration.phase == Phase.PLANNING and migration.options.get("pass") != reports.VERIFY:
        raise Refused(
            f"migration {migration.id} is still being planned",
            hint="run the same `convoy migrate` again; verify when it has ended",
        )
    order = Order(
        migration.source,
        migration.target,
        kind=migration.kind,
        tenant=migration.tenant,
        by=by,
        options={"pass": reports.VERIFY},
        limits=migration.limits,
    )
    generation = _listed_in(migration)
    return Errand(order, lambda desk_: _users_of(desk_, migration, generation))


def hook(command: str, *, here: bool) -> str:
    """The operator's command with its program as an absolute path, for workers run elsewhere.

    Refused if it is no command, or if it is to run `here` and there is no such program.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise Refused(f"hook {command!r}: {error}", hint="quote it like a shell command") from error
    if not words:
        return ""
    if here and shutil.which(words[0]) is None:
        raise Refused(f"hook {command!r}: there is no program {words[0]!r}", hint="name its path")
    if "/" in words[0]:
        words[0] = os.path.abspath(words[0])
    return shlex.join(words)


def _with_limits(order: Order, here: Desk) -> Order:
    """Limits that were set before stay in force unless the order brings its own."""
    if order.limits:
        return order
    known = _found(spelled(order), here)
    return dataclasses.replace(order, limits=known.limits if known else {})


def _meanwhile(
    stream: Iterable[T], tend: Callable[[], object], tick: Callable[[], float]
) -> Iterator[T]:
    """`stream`, with `tend` called now and then while it is read."""
    due = tick() + ENOUGH
    for each in stream:
        if tick() >= due:
            tend()
            due = tick() + ENOUGH
        yield each


def _listed(errand: Errand, order: Order, settings: Settings) -> Iterable[str]:
    if errand.subjects is None:
        return PLANNERS[order.kind].subjects(order.source, settings)
    with desk(settings) as here:
        return errand.subjects(here)


def _known(order: Order, settings: Settings) -> Migration | None:
    if settings.embedded and not Path(settings.home / "state.db").exists():
        return None
    with desk(settings) as here:
        return _found(order, here)


def _found(order: Order, here: Desk) -> Migration | None:
    wanted = ids.migration_id(order.kind, order.source, order.target)
    return next((m for m in here.migrations.all() if m.id == wanted), None)


def _listed_in(migration: Migration) -> int:
    """The latest generation whose list was planned to its end, an unfinished verification aside."""
    past: list[Mapping[str, Any]] = [
        *migration.past,
        {
            "generation": migration.generation,
            "phase": migration.phase,
            "options": migration.options,
        },
    ]
    going_on = past[-1]["options"].get("pass") == reports.VERIFY and past[-1]["phase"] != Phase.DONE
    if going_on and len(past) > 1:
        past.pop()
    whole = [g for g in past if g["phase"] in (Phase.DONE, Phase.MOVING)]
    return int((whole or past)[-1]["generation"])


def _users_of(here: Desk, migration: Migration, generation: int) -> Iterator[str]:
    then = dataclasses.replace(migration, generation=generation)
    for doc in here.units.of(then, fields=("job", "key")):
        if doc["job"] in watching.USER_JOBS:
            yield str(doc["key"])
