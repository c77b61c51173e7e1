"""One migration from order to report: accepted, followed while the fleet works, told how it ended.

The fleet is the one at the addresses, the one that runs in this home, or our own; if one that we
share goes away we put our own in its place. Interrupting this is harmless: the same order goes on.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from common import ids
from common.errors import Missing, Refused
from common.model import Check, Migration
from common.settings import Settings
from ops import report as reports
from ops import watching, wishes
from ops.desk import Desk, desk
from ops.local import Fleet, joined
from ops.watching import End, Progress
from producer.intake import Accepted, Intake, Order
from producer.planner import Preflight
from producer.registry import PLANNERS

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
    subjects: Callable[[Desk | None], Iterable[str]] | None = None
    first: int = 1  # line number of the first subject
    why: str = ""  # for the records


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
            if ended := finish(known.migration.id, here, fleet, display):
                return ended


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
    order = _as_known(errand.order, here)
    facts: dict[str, Any] = {"source": order.source, "target": order.target}
    facts["options"] = dict(order.options)
    with here.audit.act("migrate", by=order.by, to=named(order), why=errand.why, **facts) as said:
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
        said |= {"planned": accepted.planned, "refused": accepted.refused}
    if dict(accepted.migration.limits) != dict(order.limits):  # it goes on, with those it had
        accepted.migration = wishes.limit(here, accepted.migration, errand.order.limits)
    return accepted


def submit(errand: Errand, settings: Settings, *, display: Display) -> Accepted:
    """Accept only; whoever runs, or will run, does the work."""
    with desk(settings) as here:
        return accept(errand, here, display)


def checked(errand: Errand, settings: Settings) -> Preflight:
    """The preflight by itself, before anything is started; Refused if it finds an error."""
    order = spelled(errand.order)
    planner = PLANNERS[order.kind]
    flight = planner.preflight(order.source, order.target, order.options, settings)
    if flight.errors:
        raise Refused("; ".join(flight.errors), hint="mend this and run the command again")
    if kept(settings):
        with desk(settings) as here:
            _as_known(order, here)
    return flight


def spelled(order: Order) -> Order:
    """The order with both endpoints in their one spelling."""
    spelling = PLANNERS[order.kind].spelling
    source, target = spelling(order.source), spelling(order.target)
    return dataclasses.replace(order, source=source, target=target)


def options(*, check: Check, overwrite: bool, **hooks: str) -> dict[str, Any]:
    """The options of an order, as the record keeps them; hooks that are not set are left out."""
    given: dict[str, Any] = {"check": check.value, "overwrite": overwrite}
    return given | {name: command for name, command in hooks.items() if command}


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


def _as_known(order: Order, here: Desk) -> Order:
    """The order with the limits that were set before, where it brings none of its own.

    Refused while somebody holds the migration: an order is no way around a pause.
    """
    known = found(spelled(order), here)
    if known and known.hold and not wishes.ended(known):
        raise Refused(
            f"migration {known.id} is {known.hold.value}",
            hint=f"`convoy resume {known.id}`, then run this again",
        )
    limits = {**(known.limits if known else {}), **order.limits}
    return dataclasses.replace(order, limits={k: v for k, v in limits.items() if v != "off"})


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


def named(order: Order) -> str:
    """The ID of the migration that an order is about."""
    known = spelled(order)
    return ids.migration_id(known.kind, known.source, known.target)


def found(order: Order, here: Desk) -> Migration | None:
    """The migration that a spelled order is about, if there is one already."""
    try:
        return here.migrations.get(ids.migration_id(order.kind, order.source, order.target))
    except Missing:
        return None


def kept(settings: Settings) -> bool:
    """Are there records to look at? Looking must not make them."""
    return not settings.embedded or (settings.home / "state.db").exists()
