"""What may be done to a migration from here: the wishes of the command line, in the same words.

Each act is one call of `ops.wishes`; whatever they refuse is refused. Acts that cannot be taken
back want the migration's name repeated. What no kind of this version has (gates, a way back) fails
closed.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from common.errors import Refused
from common.model import Hold, Migration
from common.settings import Settings
from common.store import audit
from ops import wishes
from ops.centre.answers import Answer
from ops.desk import Desk, desk

LIMITS = (
    "bandwidth",
    "requests",
    "source.bandwidth",
    "source.requests",
    "target.bandwidth",
    "target.requests",
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for."""

    why: str = ""
    confirm: str = ""
    unit: str = ""
    limits: Mapping[str, str] | None = None


Done = tuple[Migration, dict[str, object]]
Act = Callable[[Desk, Migration, Wish], Done]


def pause(here: Desk, migration: Migration, wish: Wish) -> Done:
    return wishes.hold(here, migration, Hold.PAUSED, why=wish.why), {}


def resume(here: Desk, migration: Migration, wish: Wish) -> Done:
    return wishes.hold(here, migration, None, why=wish.why), {}


def drain(here: Desk, migration: Migration, wish: Wish) -> Done:
    return wishes.hold(here, migration, Hold.DRAINING, why=wish.why), {}


def cancel(here: Desk, migration: Migration, wish: Wish) -> Done:
    confirmed(migration, wish)
    return wishes.cancel(here, migration, why=wish.why), {}


def requeue(here: Desk, migration: Migration, wish: Wish) -> Done:
    """One unit out of quarantine, or (confirmed) all."""
    if not wish.unit:
        confirmed(migration, wish)
    return migration, {"released": wishes.release(here, migration, wish.unit, why=wish.why)}


def limits(here: Desk, migration: Migration, wish: Wish) -> Done:
    given = dict(wish.limits or {})
    if not given or set(given) - set(LIMITS):
        advice = f"one or more of: {', '.join(LIMITS)}"
        raise Answer(400, "refused", "there are no such limits", to=migration.id, advice=advice)
    return wishes.limit(here, migration, given, why=wish.why), {}


def gate(_: Desk, migration: Migration, __: Wish) -> Done:
    """Closed as long as no kind waits anywhere."""
    raise Answer(
        409,
        "no_gate",
        f"migrations of {migration.kind.value} have no gate: nothing waits for an approval",
        to=migration.id,
        advice="nothing to do",
    )


def rollback(_: Desk, migration: Migration, wish: Wish) -> Done:
    confirmed(migration, wish)
    raise Answer(
        409,
        "no_rollback",
        f"migrations of {migration.kind.value} cannot be rolled back: the source was never changed",
        to=migration.id,
        advice="cancel it; what is on the target stays there",
    )


ACTS: Mapping[str, Act] = {
    "pause": pause,
    "resume": resume,
    "drain": drain,
    "cancel": cancel,
    "requeue": requeue,
    "release": requeue,
    "limits": limits,
    "approve": gate,
    "advance": gate,
    "rollback": rollback,
}
APPROVALS = ("approve", "advance")


def act(name: str, id: str, wish: Wish, settings: Settings, who: str) -> dict[str, object]:
    """Do it, and say how the migration stands now. What was refused is in the trail, too."""
    with sitting(settings, who) as here:
        migration = here.migrations.get(id)
        with _noted(here, name, migration, wish):
            if name in APPROVALS:
                _four_eyes(here, migration)
            else:
                _alive(migration)
        after, said = _done(here, name, migration, wish)
        return {
            "id": after.id,
            "phase": after.phase,
            "hold": after.hold and after.hold.value,
            "limits": dict(after.limits),
            "version": after.version,
            "changed": after.version != migration.version or bool(said.get("released")),
            **said,
        }


@contextmanager
def sitting(settings: Settings, who: str) -> Iterator[Desk]:
    """A desk at which this person sits."""
    with desk(settings) as here:
        yield replace(here, who=who)


def confirmed(migration: Migration, wish: Wish) -> None:
    """Refused unless the migration's name was repeated."""
    if not hmac.compare_digest(wish.confirm.encode("utf-8", "replace"), migration.id.encode()):
        raise Answer(
            409,
            "unconfirmed",
            "this cannot be taken back, and was not confirmed",
            to=migration.id,
            advice=f'send "confirm": "{migration.id}"',
        )


def _done(here: Desk, name: str, migration: Migration, wish: Wish) -> Done:
    try:
        return ACTS[name](here, migration, wish)
    except Answer as refused:  # those of our own; wishes note theirs themselves
        note = here.audit.note
        note(name, audit.FAILED, by=here.who, to=migration.id, why=wish.why, error=refused.what)
        raise


@contextmanager
def _noted(here: Desk, name: str, migration: Migration, wish: Wish) -> Iterator[None]:
    try:
        yield
    except Answer as refused:
        note = here.audit.note
        note(name, audit.DENIED, by=here.who, to=migration.id, why=wish.why, error=refused.what)
        raise


def _alive(migration: Migration) -> None:
    try:
        wishes.alive(migration)
    except Refused as over:
        raise Answer(409, "over", str(over), to=migration.id, advice=over.hint) from None


def _four_eyes(here: Desk, migration: Migration) -> None:
    if asked_by(here, migration) == here.who:
        raise Answer(
            403,
            "four_eyes",
            f"{here.who} asked for this migration, and cannot approve it",
            to=migration.id,
            advice="somebody else who is approver can",
        )


def asked_by(here: Desk, migration: Migration) -> str:
    """Who asked for the present generation."""
    for line in reversed(here.migrations.history(migration.id)):
        if line["event"] in ("planned", "accept", "again"):
            return str(line["by"])
    return ""
