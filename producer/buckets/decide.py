"""What is due next for a bucket. A pure function of facts: no clock, no store, no network."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from common.lifecycle.buckets import Event, Phase


class Turn(StrEnum):
    """Within a phase: hold on to something, or let go of it."""

    HOLD = "hold"
    LET_GO = "let_go"


@dataclass(frozen=True, slots=True)
class Facts:
    """Gathered first, then frozen."""

    phase: Phase
    holding: bool = False
    confirmed: bool = False  # every living gateway has this epoch, and at least one lives
    quiet: bool = False  # no write for a while, or waited long enough for that
    overdue: bool = False  # writes have been held for as long as users can bear
    fenced: bool = False  # old takes no writes, which was proven
    opened: bool = False  # the operator, or the wave's rule, lets the copying begin
    copied: bool = False  # the listing is at its end and every page is done
    verified: bool | None = None  # None: not known
    settled: bool = False  # no copy of ours can be under way any more
    swept: bool = False  # the janitor has passed since the gateways confirmed
    replayed: bool = False  # one pass is over; while holding: nothing at all is left
    lifted: bool = False  # old takes writes again, which was proven


def decide(facts: Facts) -> Event | Turn | None:
    """The next event or turn; None to wait."""
    if facts.phase is Phase.VERIFYING:
        return None if facts.verified is None else _VERDICT[facts.verified]
    for phase, holding, due, what in _DUE:
        if (facts.phase, facts.holding) == (phase, holding) and all(
            getattr(facts, name) for name in due
        ):
            return what
    return None


_VERDICT = {True: Event.VERIFIED, False: Event.DIFFERED}
# in this phase, holding or not, when all of these are so: this. The first that fits.
_DUE: tuple[tuple[Phase, bool, tuple[str, ...], Event | Turn], ...] = (
    (Phase.TRACKING, True, ("lifted",), Turn.LET_GO),  # nothing was redirected: nobody to wait for
    (Phase.TRACKING, False, ("confirmed", "quiet"), Event.QUIET),
    (Phase.QUIESCING, False, ("confirmed", "fenced"), Event.DRAINED),
    (Phase.QUIESCING, False, ("overdue",), Event.BUSY),
    (Phase.REDIRECTED, False, ("confirmed", "opened"), Event.OPEN),
    (Phase.COPYING, False, ("confirmed", "copied"), Event.COPIED),
    (Phase.SEALING, False, ("confirmed", "settled"), Event.SEALED),
    (Phase.DONE, True, ("confirmed", "swept"), Turn.LET_GO),
    (Phase.ROLLING_BACK, False, ("confirmed", "replayed"), Turn.HOLD),
    (Phase.ROLLING_BACK, True, ("confirmed", "replayed"), Event.RETURNED),
    (Phase.ROLLED_BACK, True, ("confirmed", "lifted"), Turn.LET_GO),
)
HOLDING_FROM_THE_START = frozenset({Event.BUSY, Event.SEALED, Event.RETURNED})
