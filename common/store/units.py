"""Units at rest: claimed under a lease, written to only by the epoch that holds it.

`due_at` says when a unit is to be published (again); None while it is in somebody's hands or at
an end. `epoch` rises whenever a unit leaves hands without being finished, so that whatever the
earlier holder still does is refused here and, through the names it uses, at the target.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from operator import itemgetter
from typing import Any

from common import ids
from common.clock import Clock
from common.errors import Refused, Stale
from common.legible import legible
from common.lifecycle.units import UNIT, Act, State
from common.model import Counts, Draft, Migration, Receipt, Sums, Unit
from common.store.base import Doc, Filter, Scalar, Store, above, among, at_most, below, differs
from common.store.migrations import Brief
from common.store.unit_documents import fresh, loaded

BATCH = 2_000  # units planned in one write
HISTORY_KEPT = 20
COUNTED = tuple(field.name for field in dataclasses.fields(Counts))
LIVE = ("live_items", "live_bytes")
# in nobody's hands and at no end: queued, or left by a holder whose lease lapsed
_FREE: Filter = {"owner": "", "state": among(state.value for state in UNIT.sources(Act.CLAIM))}
Row = tuple[tuple[Scalar, ...], int, tuple[float, ...]]  # of a tally


class Units:
    """The repository of units."""

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        self._documents = store.collection("units")
        self._clock = clock or Clock()

    def plan(self, migration: Migration, drafts: Iterable[Draft]) -> int:
        """Make queued units of `drafts`, in batches; those that exist stay as they are."""
        added, stream, now = 0, iter(drafts), self._clock.wall()
        while batch := [fresh(migration, draft, now) for draft in islice(stream, BATCH)]:
            added += self._documents.insert_many(batch)
        return added

    def get(self, unit: str) -> Unit | None:
        doc = self._documents.get(unit)
        return loaded(doc) if doc else None

    def due(self, migration: Migration, limit: int) -> list[Unit]:
        """Units to be published now, the longest due first."""
        where: Filter = _of(migration) | {"due_at": at_most(self._clock.wall())}
        return list(map(loaded, self._documents.find(where, order=("due_at",), limit=limit)))

    def oldest_due(self, migration: Migration) -> float | None:
        """Since when the longest due unit has been due; None if none is. One look at an index."""
        where: Filter = _of(migration) | {"due_at": at_most(self._clock.wall())}
        found = self._documents.find(where, order=("due_at",), limit=1, fields=("due_at",))
        return next((float(doc["due_at"]) for doc in found), None)

    def postpone(self, units: Sequence[Unit], by: timedelta) -> None:
        """Note before publishing that these are out: due again, unless claimed by then."""
        due_at = self._clock.wall() + by.total_seconds()
        self._documents.change_many(
            {"id": among([unit.id for unit in units]), "due_at": at_most(due_at)},
            set={"due_at": due_at},
        )

    def hasten(self, migration: Migration, most: timedelta) -> int:
        """Pull in due times that no back-off explains: a wall clock was set back meanwhile."""
        now = self._clock.wall()
        where: Filter = _of(migration) | {"due_at": above(now + most.total_seconds())}
        return self._documents.change_many(where, set={"due_at": now})

    def claim(self, migration: Migration, unit: str, epoch: int, *, owner: str) -> Unit | None:
        """Take a unit that nobody holds; None if it is in other hands, at an end or moved on."""
        if not owner:
            raise Refused("a consumer without a name", hint="start it with a name: -n c01")
        free: Filter = {"id": unit, "epoch": epoch, "generation": migration.generation}
        doc = self._documents.change(
            free | _FREE,
            set={
                "state": State.RUNNING.value,
                "owner": owner,
                "due_at": None,
                "claimed_at": self._clock.wall(),
            },
            inc={"attempts": 1, "beat": 1},
        )
        return loaded(doc) if doc else None

    def beat(self, unit: Unit, **live: int) -> None:
        """Renew the lease and show what was done so far; Stale if the unit is in other hands."""
        self._held(unit, inc={"beat": 1}, set=live)

    def sleep(self, unit: Unit) -> None:
        """Not due before somebody wakes it: units it comes after are not done."""
        self._documents.change(
            {"id": unit.id, "epoch": unit.epoch, "owner": ""}, set={"due_at": None}
        )

    def asleep(self, migration: Migration, *, behind: str, limit: int) -> list[Unit]:
        """Units in nobody's hands that wait to be woken, in the order of their ids."""
        where, found = _of(migration) | {"owner": "", "due_at": None}, list[Doc]()
        after = [behind] if behind else None
        for state in sorted(UNIT.sources(Act.CLAIM)):  # each by itself: what is done is not met
            free = where | {"state": state.value}
            found += self._documents.find(free, order=("id",), limit=limit, after=after)
        return [loaded(doc) for doc in sorted(found, key=itemgetter("id"))[:limit]]

    def wake(self, unit: Unit) -> int:
        """Let the dispatcher look again at what may have waited for this unit's group."""
        where: Filter = {"migration": unit.migration, "generation": unit.generation}
        where |= {"key": unit.key, "due_at": None} | _FREE
        return self._documents.change_many(where, set={"due_at": self._clock.wall()})

    def stuck(self, migration: Migration) -> bool:
        """Nothing runs, and whatever is queued comes after something that is not done."""
        sums = self.sums(migration)
        if sums.running or not sums.quarantined:
            return False
        queued = (loaded(doc) for doc in self.of(migration, State.QUEUED))
        return all(unit.after and self.open(migration, unit.after) for unit in queued)

    def finish(self, unit: Unit, receipt: Receipt, *, seconds: float) -> None:
        """Report a unit done, with its receipt, once."""
        fields = (
            dataclasses.asdict(receipt.counts)
            | _told(receipt)
            | {
                "digest": receipt.digest,
                "seconds": seconds,
                "minute": int(self._clock.wall() // 60),
                "reason": "",
            }
        )
        self._act(unit, Act.FINISH, fields)

    def requeue(self, unit: Unit, *, after: timedelta, why: str, counts: bool = True) -> None:
        """Give a unit back, to be produced again; `counts=False` refunds the attempt."""
        fields = {"due_at": self._clock.wall() + after.total_seconds(), "reason": why}
        self._act(unit, Act.REQUEUE, fields, epoch=1, attempts=0 if counts else -1)

    def quarantine(self, unit: Unit, *, why: str, receipt: Receipt | None = None) -> None:
        """Park a unit until a person releases it; what it did before is kept."""
        fields: Doc = {"reason": why}
        if receipt is not None:
            fields |= dataclasses.asdict(receipt.counts) | _told(receipt) | {"digest": ""}
        self._act(unit, Act.QUARANTINE, fields, epoch=1)

    def lapse(self, unit: Unit, *, attempts: int) -> None:
        """The leader's judgement: the lease ran out. Next epoch, due at once, or quarantine.

        Stale if the holder gave a sign of life meanwhile.
        """
        why = f"the lease of {unit.owner} ran out"
        where = {"beat": unit.beat}
        if unit.attempts >= attempts:
            why = f"{why}, attempt {unit.attempts} of {attempts}"
            self._act(unit, Act.QUARANTINE, {"reason": why}, where=where, epoch=1)
            return
        due = {"due_at": self._clock.wall(), "reason": why}
        self._act(unit, Act.LAPSE, due, where=where, epoch=1)

    def release(self, migration: Migration, units: Sequence[str] = (), *, by: str) -> int:
        """Queue quarantined units again (all of the generation, or the named ones)."""
        released = 0
        where: Filter = _of(migration) | {"state": State.QUARANTINED.value}
        if units:
            where["id"] = among(list(units))
        for doc in list(self._documents.find(where, fields=("epoch",))):
            after = UNIT.after(State.QUARANTINED, Act.RELEASE)
            freed = self._documents.change(
                {"id": doc["id"], "state": State.QUARANTINED.value, "epoch": doc["epoch"]},
                set={"state": after.value, "attempts": 0, "due_at": self._clock.wall()},
                inc={"epoch": 1},
                push={"history": self._line(Act.RELEASE, f"released by {by}")},
                keep=HISTORY_KEPT,
            )
            released += freed is not None
        return released

    def prune(self, migration: str, *, before: int, limit: int) -> int:
        """Remove some units of generations before this one; how many."""
        old: Filter = {"migration": migration, "generation": below(before)}
        some = [doc["id"] for doc in self._documents.find(old, limit=limit, fields=("id",))]
        return self._documents.remove({"id": among(some)}) if some else 0

    def running(self) -> Iterator[Unit]:
        """All units in somebody's hands, of all migrations."""
        where: Filter = {"state": State.RUNNING.value, "owner": differs("")}
        return map(loaded, self._documents.find(where))

    def of(
        self, migration: Migration, state: State | None = None, *, fields: Sequence[str] = ()
    ) -> Iterator[Doc]:
        """The documents of a generation's units, in the order of their ids, streamed."""
        if state in (State.RUNNING, State.QUARANTINED):  # few, as a rule: sorted when found
            where = _of(migration) | {"state": state.value}
            return self._documents.find(where, order=("id",), fields=fields)
        prefix = ids.units_of(migration.id, migration.generation)
        known = (*fields, "state") if fields else ()
        where = {"id": below(f"{prefix}~")}  # a walk along the index of ids, which sorts nothing
        found = self._documents.find(where, order=("id",), after=[prefix], fields=known)
        return (doc for doc in found if state in (None, doc["state"]))

    def open(self, migration: Migration, groups: Sequence[str] = ()) -> int:
        """How many units are not done (of these groups)."""
        where: Filter = _of(migration) | {"state": differs(State.DONE.value)}
        if groups:
            where["group"] = among(groups)
        return self._documents.count(where)

    def some(self, migration: Migration, state: State) -> bool:
        """Is any unit of the generation in this state? Costs one look at an index."""
        where = _of(migration) | {"state": state.value}
        return any(True for _ in self._documents.find(where, limit=1, fields=("id",)))

    def sums(self, migration: Migration | Brief) -> Sums:
        """How many units are in which state, and what they counted."""
        return _summed(self._tally(migration, "state"))

    def by_job(self, migration: Migration | Brief) -> dict[str, Sums]:
        """The sums of each job by itself."""
        rows = self._tally(migration, "state", "job")
        jobs = sorted({str(row[0][1]) for row in rows})
        return {job: _summed([row for row in rows if row[0][1] == job]) for job in jobs}

    def _tally(self, migration: Migration | Brief, *by: str) -> list[Row]:
        return self._documents.tally(_of(migration), by=by, sums=(*COUNTED, *LIVE))

    def digests(self, migration: Migration) -> Iterator[str]:
        """The digests of all done units that moved items, streamed."""
        done = self.of(migration, State.DONE, fields=("items", "digest"))
        return (doc["digest"] for doc in done if doc.get("items"))

    def _act(
        self,
        unit: Unit,
        act: Act,
        fields: Doc,
        *,
        where: Mapping[str, Any] | None = None,
        epoch: int = 0,
        attempts: int = 0,
    ) -> None:
        state = UNIT.after(unit.state, act)
        fields = fields | {"reason": legible(fields["reason"])}
        line = self._line(act, fields["reason"])
        self._held(
            unit,
            where=where,
            set={"state": state.value, "owner": "", "due_at": None, **fields},
            inc={"epoch": epoch, "attempts": attempts},
            push={"history": line | {"epoch": unit.epoch, "by": unit.owner}},
        )

    def _held(self, unit: Unit, *, where: Mapping[str, Any] | None = None, **change: Any) -> None:
        held: Filter = {"id": unit.id, "epoch": unit.epoch, "owner": unit.owner}
        held |= {"state": unit.state.value, **(where or {})}
        if self._documents.change(held, keep=HISTORY_KEPT, **change) is None:
            raise Stale(f"unit {unit.id} is no longer held by {unit.owner} at epoch {unit.epoch}")

    def _line(self, act: Act, why: str) -> Doc:
        return {"at": self._clock.wall(), "event": act.value, "why": why}


def _told(receipt: Receipt) -> Doc:
    return {
        "notices": [legible(notice) for notice in receipt.notices],
        "remarks": [[text, many] for text, many in sorted(receipt.remarks.items())],
    }


def _summed(rows: Sequence[Row]) -> Sums:
    many, counts, items, size = dict.fromkeys(State, 0), Counts(), 0, 0
    for key, count, sums in rows:
        many[State(str(key[0]))] += count
        counts += Counts(*map(int, sums[: len(COUNTED)]))
        if key[0] == State.RUNNING.value:
            items, size = items + int(sums[-2]), size + int(sums[-1])
    return Sums(**many, counts=counts, live_items=items, live_bytes=size)


def _of(migration: Migration | Brief) -> Filter:
    return {"migration": migration.id, "generation": migration.generation}
