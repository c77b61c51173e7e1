"""What can go wrong, sorted by what the caller should do about it.

Endpoints, store and queue translate foreign exceptions into these at the edge; nothing above
them ever catches an OS, socket, boto3, pymongo or redis error by name. Every error that an
operator may meet carries a `hint`: what to do next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta


class ConvoyError(Exception):
    """Root of every error this project raises on purpose."""

    hint: str = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        if hint:
            self.hint = hint


class Transient(ConvoyError):
    """Try the same thing again later; counts against the unit's attempts."""

    hint = "nothing to do: it is produced again after a pause"


class Changing(Transient):
    """The source changed while it was read, again and again."""

    hint = "it is read again later; freeze the user (--hook-freeze) if it never stands still"


class Unmounted(Transient):
    """The operator's part of an endpoint is not there on this host; another host may see it."""

    hint = "mount it on every host that runs consumers, or make it"


class Backpressure(ConvoyError):
    """Not now: a limit was met. Try later; does not count as an attempt."""

    hint = "nothing to do: the fleet slows down and tries again"

    def __init__(self, message: str, *, retry_in: timedelta, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_in = retry_in


class Held(Backpressure):
    """The operator paused, drained or cancelled the migration while the unit ran."""


class Permanent(ConvoyError):
    """Trying again cannot help; a person has to look."""

    hint = "mend the cause, then `convoy requeue`"


class Refused(Permanent):
    """Input that is not safe or not possible to carry: a name, a kind of file, a setting."""

    hint = "rename or remove it at the source, or leave it behind"


class Missing(Permanent):
    """What should be there is not. Never taken as an order to delete."""

    hint = "check that the source is mounted and the name is right"


class Denied(Permanent):
    """The other side does not let us: permissions or credentials."""

    hint = "check permissions and credentials, then `convoy requeue`"


class Corrupt(Permanent):
    """Two copies that must agree do not."""

    hint = "read both sides again with `convoy verify`; suspect memory, network or disks"


class Occupied(Permanent):
    """The target holds something that this migration did not publish; it is kept."""

    hint = "look at both; run again with --overwrite if the source is right"


class Conflict(ConvoyError):
    """Somebody else moved the record first; read it again and decide again."""


class Stale(ConvoyError):
    """This consumer no longer owns the unit; stop without writing anything."""


class IllegalTransition(ConvoyError):
    """A program error: the table has no such edge."""


@contextmanager
def translate(
    table: Mapping[type[BaseException], type[ConvoyError]], what: str = ""
) -> Iterator[None]:
    """Re-raise foreign exceptions as ours, keeping the original as the cause."""
    try:
        yield
    except tuple(table) as exc:
        ours = next(to for foreign, to in table.items() if isinstance(exc, foreign))
        raise ours(f"{what}: {exc}" if what else str(exc)) from exc
