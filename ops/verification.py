"""Orders that read both sides again: the next generation, over the same users, writing nothing.

The users are those of the latest generation whose list was planned to its end.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from common.errors import Refused
from common.lifecycle.users import Phase
from common.model import Migration
from ops import report as reports
from ops import watching
from ops.desk import Desk
from ops.journey import Errand
from producer.intake import Order


def verification(migration: Migration, *, by: str, deep: bool = False) -> Errand:
    """An errand that reads both sides of the same users again and writes nothing; `deep`: from
    the disks, not from the page cache."""
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
        options={"pass": reports.VERIFY} | ({"deep": True} if deep else {}),
        limits=migration.limits,
    )
    generation = _listed_in(migration)
    return Errand(order, lambda desk_: _users_of(desk_, migration, generation))


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


def _users_of(here: Desk | None, migration: Migration, generation: int) -> Iterator[str]:
    if here is None:
        return
    then = dataclasses.replace(migration, generation=generation)
    for doc in here.units.of(then, fields=("job", "key")):
        if doc["job"] in watching.USER_JOBS:
            yield str(doc["key"])
