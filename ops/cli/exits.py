"""What exit codes mean, and which one an error leads to."""

from __future__ import annotations

from common.errors import (
    Backpressure,
    Conflict,
    ConvoyError,
    Corrupt,
    Denied,
    IllegalTransition,
    Missing,
    Occupied,
    Refused,
)

COMPLETE = 0  # everything arrived, or what was asked for was done
INCOMPLETE = 1  # it ended, and not everything is as it should be
USAGE = 2  # the request itself is refused; nothing was changed
UNREACHABLE = 3  # something that is needed does not answer, or does not let us in
FAULT = 70  # a fault of this program (EX_SOFTWARE)
INTERRUPTED = 130  # Ctrl-C

MEANING = (
    "Exit codes: 0 complete (or done as asked), 1 ended incomplete, 2 refused (usage, input, "
    "nothing changed), 3 something needed is not reachable, 70 a fault of convoy itself, "
    "130 interrupted."
)

_CODES: tuple[tuple[tuple[type[ConvoyError], ...], int], ...] = (
    ((IllegalTransition,), FAULT),
    ((Corrupt,), INCOMPLETE),
    ((Denied, Backpressure), UNREACHABLE),
    ((Refused, Missing, Occupied, Conflict), USAGE),
)


def code_of(error: ConvoyError) -> int:
    """The exit code for an error that ended a command."""
    for kinds, code in _CODES:
        if isinstance(error, kinds):
            return code
    return UNREACHABLE  # Transient, and whatever else did not do its part
