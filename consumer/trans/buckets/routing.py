"""Where a request goes: pure answers to frozen facts. The models in tests/props run these very
functions; whoever changes one of them changes what the models prove.

The user's view of a key, while two stores hold parts of it: what the new store holds, unless it is
a background copy of something deleted since; else what the old store holds, unless deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from common.lifecycle.buckets import Phase


class Side(StrEnum):
    """The two stores of a switch."""

    OLD = "old"
    NEW = "new"


class Reads(StrEnum):
    """Where reads look."""

    OLD = "old"
    MERGED = "merged"  # new first, then old, tombstones heeded
    SEALED = "sealed"  # new alone, tombstones of background copies heeded
    NEW = "new"


class Writes(StrEnum):
    """What happens to writes."""

    OLD = "old"
    TRACKED = "tracked"  # to old, each recorded before and after
    HELD = "held"  # they wait, and are turned away after a while
    JOURNALLED = "journalled"  # to new, intent and tombstone first
    NEW = "new"


class Change(StrEnum):
    """What a user does to a key."""

    PUT = "put"  # whatever makes a whole object: put, copy, the end of a multipart upload
    DELETE = "delete"
    AMEND = "amend"  # tags and the like of an object that is there


class Act(StrEnum):
    """One step of carrying out a change; each is durable before the next begins."""

    TRACK = "track"  # note that a write to old is under way
    SETTLE = "settle"  # note that a change is over; may come late, and is missed after a death
    INTEND = "intend"  # journal: a change of this key begins; every claim on it is revoked
    BURY = "bury"  # the same, and a tombstone: what old holds of it is gone
    ABORT = "abort"  # end every background upload to this key, until the store knows it no more
    RAISE = "raise"  # copy it up from old, if new does not have it
    OLD = "old"  # the change itself, to the old store
    NEW = "new"  # the change itself, to the new store


@dataclass(frozen=True, slots=True)
class Route:
    """What a gateway does with the requests for a bucket."""

    reads: Reads
    writes: Writes


@dataclass(frozen=True, slots=True)
class Found:
    """What the new store holds under a key."""

    marked: bool  # a background copy, not a user's


_OLD = Route(Reads.OLD, Writes.OLD)
_BOTH = Route(Reads.MERGED, Writes.JOURNALLED)
_NEW = Route(Reads.NEW, Writes.NEW)
_ROUTES = {
    Phase.NORMAL: _OLD,
    Phase.TRACKING: Route(Reads.OLD, Writes.TRACKED),
    # new is still empty; but who learns late of the redirect must already look there
    Phase.QUIESCING: Route(Reads.MERGED, Writes.HELD),
    Phase.REDIRECTED: _BOTH,
    Phase.COPYING: _BOTH,
    Phase.VERIFYING: _BOTH,
    Phase.SEALING: Route(Reads.SEALED, Writes.JOURNALLED),
    Phase.DONE: _NEW,
    Phase.CLEANED: _NEW,
    Phase.ROLLING_BACK: _BOTH,
    Phase.ROLLED_BACK: _OLD,
}


_HOLDING = {
    Phase.TRACKING: Route(Reads.OLD, Writes.HELD),  # until old takes writes again
    Phase.ROLLING_BACK: Route(Reads.MERGED, Writes.HELD),
    Phase.ROLLED_BACK: Route(Reads.OLD, Writes.HELD),
    # a delete that died between its tombstone and its act must not come undone; and the janitor
    # looks before it removes, so nobody may write in between
    Phase.DONE: Route(Reads.SEALED, Writes.HELD),
}


def route(phase: Phase, *, holding: bool = False) -> Route:
    """What is done in `phase`. `holding`: its last step is still to be made, with writes held until
    every gateway knows: the janitor's at the end, the replay of the rest on the way back."""
    return _HOLDING[phase] if holding else _ROUTES[phase]


def acts(change: Change, writes: Writes, *, exclusive: bool) -> tuple[Act, ...]:
    """The steps of a change, in order; none while writes are held.

    `exclusive`: the new store lets one of many conditional puts win. Where it does not, background
    copies go through uploads that a change has to end before it acts.
    """
    if writes is Writes.OLD:
        return (Act.OLD,)
    if writes is Writes.TRACKED:
        return (Act.TRACK, Act.OLD, Act.SETTLE)
    if writes is Writes.NEW:
        return (Act.NEW,)
    if writes is Writes.HELD:
        return ()
    first = Act.BURY if change is Change.DELETE else Act.INTEND
    fence = () if exclusive else (Act.ABORT,)
    raised = (Act.RAISE,) if change is Change.AMEND else ()
    return (*raised, first, *fence, Act.NEW, Act.SETTLE)


def doubtful(new: Found | None, *, sealed: bool = False) -> bool:
    """Is the key's tombstone to be looked up before what new holds can be judged?"""
    return not sealed if new is None else new.marked


def shown(new: Found | None, *, buried: bool, sealed: bool = False) -> Side | None:
    """Whose object a reader sees (of old: if it has one); None: there is none. `sealed`: old is
    not asked any more."""
    if new is None:
        return None if buried or sealed else Side.OLD
    return None if new.marked and buried else Side.NEW


def worth(new: Found | None, *, buried: bool) -> bool:
    """Should a background copy of the key be tried? This spares work; it protects nothing."""
    return new is None and not buried


def leftover(new: Found | None, *, buried: bool) -> bool:
    """Is it a copy of something deleted since, for the janitor to remove?"""
    return new is not None and new.marked and buried
