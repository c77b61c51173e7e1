"""Accepts a migration: preflight, record, units. Idempotent and resumable at any point.

The same kind, source and target is the same migration. Accepting it while its planning was cut
short goes on with that generation; accepting it later begins its next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, NoReturn

from common.errors import Conflict, Refused
from common.legible import legible
from common.lifecycle.users import Event, Phase
from common.model import Kind, Migration
from common.settings import Settings
from common.store.events import Events
from common.store.migrations import Migrations
from common.store.units import Units
from producer.planner import Preflight, Refusal
from producer.registry import PLANNERS

BATCH = 10_000  # units between two notes of how far planning got
REFUSALS_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator asks for."""

    source: str
    target: str
    kind: Kind = Kind.USERS
    tenant: str = ""
    by: str = "operator"
    options: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Accepted:
    """What became of the work list."""

    migration: Migration
    planned: int = 0
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list)  # the first thousand


class Intake:
    """The way into the fleet."""

    def __init__(
        self, migrations: Migrations, units: Units, events: Events, settings: Settings
    ) -> None:
        self._migrations, self._units, self._events = migrations, units, events
        self._settings = settings

    def preflight(self, order: Order) -> Preflight:
        """Look at both sides; changes nothing but a missing last directory of the target."""
        planner = PLANNERS[order.kind]
        return planner.preflight(order.source, order.target, order.options, self._settings)

    def accept(
        self,
        order: Order,
        subjects: Iterable[str] | None = None,
        *,
        first: int = 1,
        shown: Callable[[int], object] = int,
    ) -> Accepted:
        """Record the migration and plan its units; Refused if the preflight finds an error.

        `first` is the line number of the first subject, for those that are refused by line.
        """
        spelling = PLANNERS[order.kind].spelling
        order = replace(order, source=spelling(order.source), target=spelling(order.target))
        checked = self.preflight(order)
        if checked.errors:
            raise Refused("; ".join(checked.errors), hint="mend this and run the command again")
        migration = self._begin(order, checked)
        listed = subjects
        if listed is None:
            listed = PLANNERS[order.kind].subjects(order.source, self._settings)
        accepted = Accepted(migration)
        stream = self._sound(order, enumerate(listed, first), accepted)
        drafts = PLANNERS[order.kind].drafts(stream, order.options)
        while batch := list(islice(drafts, BATCH)):
            self._units.plan(migration, batch)
            accepted.planned += len(batch)
            last = batch[-1].key
            self._migrations.progress(
                migration.id, migration.generation, planned=accepted.planned, cursor=last
            )
            shown(accepted.planned)
        accepted.migration = self._planned(migration, accepted, order.by)
        return accepted

    def _begin(self, order: Order, checked: Preflight) -> Migration:
        """A new record; or the one there is, to go on with or to begin its next generation."""
        found = self._migrations.create(
            order.kind,
            order.source,
            order.target,
            tenant=order.tenant,
            options=order.options,
            limits=order.limits,
        )
        wishes: dict[str, Any] = {"options": dict(order.options), "notices": list(checked.notices)}
        sums = self._units.sums(found)
        if found.phase == Phase.PLANNING and not sums.total:
            return self._migrations.amend(found, by=order.by, what="accept", **wishes)
        if found.phase == Phase.PLANNING or (found.phase == Phase.MOVING and sums.open):
            return _going_on(found, order)
        return self._migrations.renew(
            found, Event.AGAIN, by=order.by, limits=dict(order.limits), **wishes
        )

    def _sound(self, order: Order, lines: Iterable[tuple[int, str]], to: Accepted) -> Iterator[str]:
        planner = PLANNERS[order.kind]
        for line, subject in lines:
            reason = planner.refuse(subject)
            if reason is None:
                yield subject
                continue
            to.refused += 1
            if len(to.refusals) < REFUSALS_KEPT:
                to.refusals.append(Refusal(line, legible(subject), reason))

    def _planned(self, migration: Migration, accepted: Accepted, by: str) -> Migration:
        seen = self._migrations.get(migration.id)
        if seen.generation != migration.generation or seen.phase == Phase.DONE:
            raise Conflict(
                f"migration {seen.id}: generation {seen.generation} is {seen.phase}, which others "
                "brought about while this list was read",
                hint="run the same command again",
            )
        if not accepted.planned:
            self._nothing(seen, accepted, by)
        self._events.add(migration.id, "migration.planned", by=by, units=accepted.planned)
        refused: dict[str, Any] = {
            "refused": accepted.refused,
            "refusals": [[r.line, r.text, r.reason] for r in accepted.refusals],
        }
        if seen.phase == Phase.PLANNING:
            return self._migrations.advance(seen, Event.PLANNED, by=by, **refused)
        return self._migrations.amend(seen, by=by, what="accept", **refused)

    def _nothing(self, seen: Migration, accepted: Accepted, by: str) -> NoReturn:
        """An empty list ends what it began, and nothing that had begun before."""
        why = "every line was refused" if accepted.refused else "the work list is empty"
        if seen.phase == Phase.PLANNING and not self._units.sums(seen).total:
            self._migrations.advance(seen, Event.CANCEL, by=by, why=why)
        raise Refused(why, hint="give user IDs with --users, or check the source")


def _going_on(found: Migration, order: Order) -> Migration:
    """Cut short, or asked for twice: the same generation, which has one set of options."""
    if dict(found.options) == dict(order.options):
        return found
    doing = "being planned" if found.phase == Phase.PLANNING else "moving"
    raise Refused(
        f"migration {found.id} is {doing} with other options",
        hint=f"`convoy watch {found.id}`, or `convoy cancel {found.id}` first",
    )
