"""A new migration asked for in the page: previewed and accepted on the way of the command line.

Lists come inline, never as a path on this machine. Hooks are commands that run on every consumer:
they are given on the command line only, and refused here. At most two orders are taken at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from common.errors import ConvoyError, Refused
from common.settings import Settings
from common.store import audit
from ops import journey
from ops.centre.acts import sitting
from ops.centre.answers import Answer
from ops.desk import Desk, addressed
from ops.journey import Errand
from ops.rehearsal import rehearse
from ops.watching import Progress
from producer.intake import Order

AT_ONCE = 2
REFUSALS = 100  # shown
_TURN = threading.BoundedSemaphore(AT_ONCE)


class Silent:
    """Progress that nobody watches here."""

    def show(self, seen: Progress) -> None:
        """Nobody looks."""

    def note(self, text: str) -> None:
        """Nobody listens."""


def preview(
    order: Order, users: list[str] | None, settings: Settings, *, why: str = ""
) -> dict[str, Any]:
    """`convoy migrate users --dry-run`."""
    with _turn():
        found = rehearse(_errand(order, users, why), settings, Silent())
    return found | {"refusals": found["refusals"][:REFUSALS]}


def accept(
    order: Order, users: list[str] | None, settings: Settings, *, why: str = ""
) -> dict[str, Any]:
    """`convoy migrate users --detach`."""
    errand = _errand(order, users, why)
    with _turn():
        try:
            journey.checked(errand, settings)
        except ConvoyError as error:
            _note(order, settings, str(error), why)
            raise
        found = journey.submit(errand, settings, display=Silent())
    migration, notices = found.migration, list(found.migration.notices)
    if addressed(settings).broker_url is None:
        notices.append("nothing moves until `convoy up` runs on this machine")
    return {
        "id": migration.id,
        "generation": migration.generation,
        "planned": found.planned,
        "refused": found.refused,
        "refusals": [[r.line, r.text, r.reason] for r in found.refusals[:REFUSALS]],
        "notices": notices,
    }


def _errand(order: Order, users: list[str] | None, why: str) -> Errand:
    if users is None:
        return Errand(order, why=why)

    def listed(_: Desk | None) -> Iterable[str]:
        return users

    return Errand(order, listed, why=why)


def _note(order: Order, settings: Settings, error: str, why: str) -> None:
    """What never came as far as the intake is in the trail, too."""
    to = ""
    with suppress(Refused):  # its addresses cannot be read
        to = journey.named(order)
    with sitting(settings, order.by) as here:
        here.audit.note("migrate", audit.FAILED, by=order.by, to=to, why=why, error=error)


@contextmanager
def _turn() -> Iterator[None]:
    if not _TURN.acquire(blocking=False):
        raise Answer(429, "busy", "other orders are being taken", advice="try again", wait=5)
    try:
        yield
    finally:
        _TURN.release()
