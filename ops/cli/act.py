"""Commands that tell a migration what to do: pause, resume, drain, cancel, requeue, limits.

They change its record and hurry the fleet; they wait for nothing. They work while nothing runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from common.model import Hold, Migration
from ops import wishes
from ops.cli import show, terminal
from ops.cli.options import Bandwidth, DryRun, Id, Json, Requests, limits, settings
from ops.desk import Desk, desk

Unit = Annotated[
    str, typer.Argument(metavar="UNIT", help="One unit, by its ID or its user; all if not given.")
]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="A reason, for the records.")]


def pause(id: Id, why: Why = "", dry_run: DryRun = False, as_json: Json = False) -> None:
    """Stop at the next item. Units in hand are given back, nothing is lost."""
    _hold(id, Hold.PAUSED, why, dry_run=dry_run, as_json=as_json)


def resume(id: Id, why: Why = "", dry_run: DryRun = False, as_json: Json = False) -> None:
    """Go on after a pause or a drain."""
    _hold(id, None, why, dry_run=dry_run, as_json=as_json)


def drain(id: Id, why: Why = "", dry_run: DryRun = False, as_json: Json = False) -> None:
    """Finish the units in hand and start no others."""
    _hold(id, Hold.DRAINING, why, dry_run=dry_run, as_json=as_json)


def cancel(id: Id, why: Why = "", dry_run: DryRun = False, as_json: Json = False) -> None:
    """End the present generation where it stands. What was moved stays moved.

    Running the same `migrate` again begins the next generation, which skips what is right.
    """
    _wish(id, lambda d, m: wishes.cancel(d, m, why=why), dry_run=dry_run, as_json=as_json)


def requeue(
    id: Id, unit: Unit = "", why: Why = "", dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Release units from quarantine, after their cause was mended."""
    with desk(settings()) as here:
        migration = here.find(id)
        wishes.alive(migration)
        if dry_run:
            parked = here.units.sums(migration).quarantined
            released = len(wishes.named(here, migration, unit)) if unit else parked
        else:
            released = wishes.release(here, migration, unit, why=why)
        found = {"id": migration.id, "released": released, "dry_run": dry_run}
        text = f"{show.many(released, 'unit')} {'would be ' * dry_run}queued again"
        terminal.result(found, show.pairs([(migration.id, text)]), as_json=as_json)
        if released and not dry_run and here.broker is None:
            terminal.say(f"nothing runs here now: {_start(migration)}")


def limits_(
    id: Id,
    bandwidth: Bandwidth = "",
    requests: Requests = "",
    source_bandwidth: Bandwidth = "",
    source_requests: Requests = "",
    target_bandwidth: Bandwidth = "",
    target_requests: Requests = "",
    why: Why = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Change the budgets of a running migration, or show them if none is given.

    A budget is for the whole fleet together; source and target may have their own besides. It is
    obeyed within seconds.
    """
    given = limits(
        {
            "bandwidth": bandwidth,
            "requests": requests,
            "source.bandwidth": source_bandwidth,
            "source.requests": source_requests,
            "target.bandwidth": target_bandwidth,
            "target.requests": target_requests,
        }
    )
    wishes.checked(given)
    with desk(settings()) as here:
        migration = here.find(id)
        if given and not dry_run:
            migration = wishes.limit(here, migration, given, why=why)
        in_force = dict(migration.limits)
        if dry_run:
            in_force = {k: v for k, v in (in_force | given).items() if v != "off"}
        found = {"id": migration.id, "limits": in_force, "dry_run": dry_run}
        rows = sorted(in_force.items()) or [("limits", "none")]
        terminal.result(found, show.pairs([(k, str(v)) for k, v in rows]), as_json=as_json)


def _hold(id: str, wish: Hold | None, why: str, *, dry_run: bool, as_json: bool) -> None:
    _wish(id, lambda d, m: wishes.hold(d, m, wish, why=why), dry_run=dry_run, as_json=as_json)


def _wish(
    id: str, act: Callable[[Desk, Migration], Migration], *, dry_run: bool, as_json: bool
) -> None:
    with desk(settings()) as here:
        before = here.find(id)
        wishes.alive(before)
        after = before if dry_run else act(here, before)
        found: dict[str, Any] = {
            "id": after.id,
            "phase": after.phase,
            "hold": after.hold and after.hold.value,
            "changed": after.version != before.version,
            "dry_run": dry_run,
        }
        terminal.result(
            found, show.pairs([(after.id, _said(before, after, dry_run))]), as_json=as_json
        )


def _said(before: Migration, after: Migration, dry_run: bool) -> str:
    state = after.hold.value if after.hold else after.phase
    if dry_run:
        return f"is {state}, and nothing was changed"
    return f"is {state} now" if after.version != before.version else f"was {state} already"


def _start(migration: Migration) -> str:
    return f"`convoy up`, or the same `convoy migrate {migration.kind}` again, moves them"
