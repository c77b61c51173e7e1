"""What an operator wants of a migration, written on its record: hold, cancel, limit, release.

Each wish is one compare-and-set, repeated on what the record has become if somebody was faster,
with an event that says who and why, inside a line of the audit trail. Nothing here waits for the
fleet to obey; nothing is undone that units have done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from common import quantities, throttle
from common.errors import Conflict, Missing, Refused
from common.legible import legible
from common.lifecycle.registry import LIFECYCLES
from common.lifecycle.units import State
from common.lifecycle.users import Event
from common.model import Hold, Migration
from ops.desk import Desk

TRIES = 20  # races lost in a row before giving up; each means that somebody else won one
WORDS = {Hold.PAUSED: "paused", Hold.DRAINING: "draining", None: "resumed"}
ACTS = {Hold.PAUSED: "pause", Hold.DRAINING: "drain", None: "resume"}


def hold(desk: Desk, migration: Migration, wish: Hold | None, *, why: str = "") -> Migration:
    """Pause, drain, or (None) let it run again. Wishing the same twice is wishing it once."""
    why = legible(why)

    def act(seen: Migration) -> Migration:
        alive(seen)
        if seen.hold is wish:
            return seen
        word = WORDS[wish]
        held = desk.migrations.amend(
            seen, by=desk.who, what=word, why=why, hold=wish and wish.value
        )
        desk.events.add(seen.id, f"migration.{word}", by=desk.who, why=why)
        return held

    with desk.audit.act(ACTS[wish], by=desk.who, to=migration.id, why=why):
        return _told(desk, migration, act)


def cancel(desk: Desk, migration: Migration, *, why: str = "") -> Migration:
    """End the present generation where it stands; what was moved stays moved."""
    why = legible(why)

    def act(seen: Migration) -> Migration:
        alive(seen)
        now = desk.clock.wall()
        over = desk.migrations.advance(
            seen, Event.CANCEL, by=desk.who, why=why, ended=now, hold=None
        )
        desk.events.add(seen.id, "migration.cancelled", by=desk.who, why=why)
        return over

    with desk.audit.act("cancel", by=desk.who, to=migration.id, why=why):
        return _told(desk, migration, act)


def limit(
    desk: Desk, migration: Migration, limits: Mapping[str, str], *, why: str = ""
) -> Migration:
    """Set these limits, keep the others; "off" takes one away."""
    why = legible(why)

    def act(seen: Migration) -> Migration:
        checked(limits)
        merged = {k: v for k, v in {**seen.limits, **limits}.items() if v != "off"}
        if merged == dict(seen.limits):
            return seen
        changed = desk.migrations.amend(seen, by=desk.who, what="limits", why=why, limits=merged)
        desk.events.add(seen.id, "migration.limited", by=desk.who, why=why, limits=merged)
        return changed

    with desk.audit.act("limits", by=desk.who, to=migration.id, why=why, limits=dict(limits)):
        return _told(desk, migration, act)


def release(desk: Desk, migration: Migration, unit: str = "", *, why: str = "") -> int:
    """Queue quarantined units again: all, or the one named by its ID or by its user."""
    with desk.audit.act("requeue", by=desk.who, to=migration.id, why=why, unit=unit) as said:
        alive(migration)
        names = named(desk, migration, unit) if unit else []
        said["released"] = released = desk.units.release(migration, names, by=desk.who)
        if released:
            what = why or ", ".join(names) or "all in quarantine"
            desk.events.add(migration.id, "unit.released", by=desk.who, why=what, units=released)
            desk.tell(migration.id)
    return released


def named(desk: Desk, migration: Migration, unit: str) -> list[str]:
    """The IDs of the quarantined units meant by `unit`; Missing if there is none."""
    found = [
        doc["id"]
        for doc in desk.units.of(migration, State.QUARANTINED)
        if unit in (doc["id"], doc["key"])
    ]
    if not found:
        raise Missing(
            f"{unit!r} is not in quarantine in migration {migration.id}",
            hint=f"`convoy failures {migration.id}` shows what is",
        )
    return found


def alive(migration: Migration) -> None:
    """Refused if nothing can be wished of it any more."""
    if ended(migration):
        raise Refused(
            f"migration {migration.id} is {migration.phase}",
            hint="run `convoy migrate` again for its next generation",
        )


def ended(migration: Migration) -> bool:
    """Is its present generation over?"""
    table = LIFECYCLES[migration.kind]
    return table.state(migration.phase) in table.ends()


def checked(limits: Mapping[str, str]) -> None:
    """Refused unless every entry of every limit is a rate that the throttle understands."""
    for text in limits.values():
        for entry in text.split(","):
            hours, equals, rate = entry.strip().rpartition("=")
            if equals:
                _hours(hours)
            if rate != "off":
                quantities.size(rate)
        throttle.current(text, 0)


def _hours(text: str) -> None:
    first, _, last = text.partition("-")
    for clock in (first, last):
        hour, colon, minute = clock.partition(":")
        two = len(hour) == len(minute) == 2 and (hour + minute).isdecimal()
        if not (colon and two and int(hour) < 24 and int(minute) < 60):
            raise Refused(
                f"{text!r} are no hours of a timetable",
                hint="write it like 08:00-18:00=50MiB/s,200MiB/s (UTC, the first match wins)",
            )


def _told(desk: Desk, migration: Migration, act: Callable[[Migration], Migration]) -> Migration:
    changed = _won(desk, migration, act)
    desk.tell(migration.id)
    return changed


def _won(desk: Desk, migration: Migration, act: Callable[[Migration], Migration]) -> Migration:
    seen: Any = migration
    for _ in range(TRIES):
        try:
            return act(seen)
        except Conflict:
            seen = desk.migrations.get(migration.id)
    raise Conflict(
        f"migration {migration.id} changed {TRIES} times while we looked", hint="try again"
    )
