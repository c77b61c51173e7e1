"""What an order would do, found out without making anything: the dry run.

It reads both endpoints and the whole list. It makes no home, no record and no target.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from common import ids
from common.endpoints import registry
from common.endpoints.template import Template
from common.legible import legible
from common.settings import Settings
from ops import report as reports
from ops.desk import Desk, desk
from ops.journey import Display, Errand, found, kept, spelled
from producer.intake import Order
from producer.planner import Preflight, Refusal
from producer.registry import PLANNERS

REFUSALS_SHOWN = 1_000


def rehearse(errand: Errand, settings: Settings, display: Display) -> dict[str, Any]:
    """What `run` would do, without making anything at all."""
    order = spelled(errand.order)
    flight = _foreseen(order, settings)
    with ExitStack() as stack:
        here = stack.enter_context(desk(settings)) if kept(settings) else None
        known = found(order, here) if here else None
        refusals, users, refused = _sifted(errand, order, here, settings, display)
    return {
        "dry_run": True,
        "id": ids.migration_id(order.kind, order.source, order.target),
        "generation": known.generation + 1 if known else 1,
        "source": order.source,
        "target": order.target,
        "options": dict(order.options),
        "limits": {**(known.limits if known else {}), **order.limits},
        "users": users,
        "refused": refused,
        "refusals": [[r.line, r.text, r.reason] for r in refusals],
        "notices": list(flight.notices),
        "errors": list(flight.errors),
    }


def _foreseen(order: Order, settings: Settings) -> Preflight:
    """The preflight of a verification: it makes nothing. A target may be wanting its last part."""
    place = Template.parse(order.target).fixed if order.target.startswith("file:") else ""
    if place and not os.path.lexists(place) and os.path.isdir(os.path.dirname(place)):
        registry.capabilities(order.source, settings)
        return Preflight(notices=(f"{place} would be made",))
    options = dict(order.options) | {"pass": reports.VERIFY}
    return PLANNERS[order.kind].preflight(order.source, order.target, options, settings)


def _sifted(
    errand: Errand, order: Order, here: Desk | None, settings: Settings, display: Display
) -> tuple[list[Refusal], int, int]:
    """The list read to its end: the first refusals, how many users, how many refused."""
    planner = PLANNERS[order.kind]
    listed: Iterable[str] = planner.subjects(order.source, settings)
    if errand.subjects is not None:
        listed = errand.subjects(here)
    refusals: list[Refusal] = []
    users = refused = 0
    for line, subject in enumerate(listed, errand.first):
        if reason := planner.refuse(subject):
            refused += 1
            if len(refusals) < REFUSALS_SHOWN:
                refusals.append(Refusal(line, legible(subject), reason))
        else:
            users += 1
        display.note(f"reading the list, {users:,} users so far")
    return refusals, users, refused
