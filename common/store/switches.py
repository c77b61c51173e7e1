"""Tenants, their callers and buckets, and where each bucket stands in its switch.

`advance` and `turn` are the only ways a switch ever changes; each raises its epoch, which gateways
confirm. No secret is kept here: callers name profiles, which are looked up where they are used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from common.clock import Clock
from common.errors import Conflict, Missing, Occupied
from common.lifecycle.buckets import BUCKETS, Event, Phase
from common.store.base import Doc, Store, differs


@dataclass(frozen=True, slots=True)
class Tenant:
    """Two stores, between which buckets move."""

    id: str
    old: str  # endpoint
    new: str
    old_profile: str  # of the migration principal
    new_profile: str
    fence: str = ""  # command that takes the right to write from its callers, and gives it back


@dataclass(frozen=True, slots=True)
class Caller:
    """Who comes to a gateway, and as whom it goes on to each store. All three name profiles."""

    id: str  # the access key that requests are signed with
    tenant: str
    profile: str  # holds that key and its secret
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Switch:
    """One bucket."""

    id: str  # its name, on both sides
    tenant: str
    phase: Phase
    holding: bool
    epoch: int
    version: int
    exclusive: bool  # new lets one of many conditional puts win
    matches: bool  # new heeds If-Match
    joins: bool  # new lets one of many conditional joins of parts win
    since: float
    why: str = ""  # it is held, and by what


class Switches:
    """The repository."""

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        self._tenants, self._callers = store.collection("tenants"), store.collection("callers")
        self._switches = store.collection("switches")
        self._clock = clock or Clock()

    def add_tenant(self, tenant: Tenant) -> None:
        """A new tenant; Occupied if there is another one of this name."""
        self._add(self._tenants, asdict(tenant), f"tenant {tenant.id}")

    def add_caller(self, caller: Caller) -> None:
        """A new caller; Occupied if its key is known with another meaning."""
        self._add(self._callers, asdict(caller), f"caller {caller.id}")

    def add_bucket(
        self, bucket: str, tenant: str, *, exclusive: bool = False, matches: bool = False
    ) -> Switch:
        """A bucket that is served, from its old store."""
        start = BUCKETS.start.value
        doc: Doc = {"id": bucket, "tenant": tenant, "phase": start, "holding": 0}
        doc |= {"epoch": 1, "version": 0, "exclusive": exclusive, "matches": matches}
        doc |= {"joins": False}
        doc |= {"since": self._clock.wall(), "why": "", "history": []}
        if not self._switches.insert(doc) and self.get(bucket).tenant != tenant:
            raise Occupied(f"bucket {bucket} belongs to another tenant", hint="choose another name")
        return self.get(bucket)

    def tenant(self, name: str) -> Tenant:
        doc = self._tenants.get(name)
        if doc is None:
            raise Missing(f"no tenant {name!r}", hint="add it first")
        return Tenant(**doc)

    def tenants(self) -> Iterator[Tenant]:
        return (Tenant(**doc) for doc in self._tenants.find({}, order=("id",)))

    def callers(self) -> Iterator[Caller]:
        return (Caller(**doc) for doc in self._callers.find({}, order=("id",)))

    def get(self, bucket: str) -> Switch:
        """One bucket; Missing if it is not served."""
        doc = self._switches.get(bucket)
        if doc is None:
            raise Missing(f"bucket {bucket!r} is not served", hint="add it first")
        return _load(doc)

    def known(self, bucket: str) -> Switch | None:
        """One bucket, if it is served."""
        doc = self._switches.get(bucket)
        return _load(doc) if doc else None

    def learn(self, bucket: str, *, exclusive: bool, matches: bool, joins: bool = False) -> None:
        """What its new store was found to do; only before the switch begins."""
        self._switches.change(
            {"id": bucket, "phase": BUCKETS.start.value},
            set={"exclusive": exclusive, "matches": matches, "joins": joins},
            inc={"version": 1},
        )

    def note(self, bucket: str, why: str) -> None:
        """Say what the switch waits for."""
        self._switches.change({"id": bucket, "why": differs(why)}, set={"why": why})

    def all(self) -> Iterator[Switch]:
        return (_load(doc) for doc in self._switches.find({}, order=("id",)))

    def history(self, bucket: str) -> list[Doc]:
        doc = self._switches.get(bucket)
        return list(doc["history"]) if doc else []

    def advance(
        self, seen: Switch, event: Event, *, by: str, why: str = "", holding: bool = False
    ) -> Switch:
        """Apply `event` to the switch exactly as `seen`; Conflict if it moved since."""
        after, now = BUCKETS.after(seen.phase, event), self._clock.wall()
        line = {"at": now, "from": seen.phase.value, "event": event.value, "by": by, "why": why}
        fields: Doc = {"phase": after.value, "holding": int(holding), "since": now, "why": ""}
        return self._write(seen, fields, line)

    def turn(self, seen: Switch, *, holding: bool, by: str) -> Switch:
        """Hold on to something in this phase, or let go of it: the next epoch."""
        line = {"at": self._clock.wall(), "event": "hold" if holding else "let go", "by": by}
        return self._write(seen, {"holding": int(holding)}, line)

    def _add(self, documents: Any, doc: Doc, what: str) -> None:
        if not documents.insert(doc) and documents.get(doc["id"]) != doc:
            raise Occupied(f"{what} is there already, and differs", hint="choose another name")

    def _write(self, seen: Switch, fields: Doc, line: Doc) -> Switch:
        doc = self._switches.change(
            {"id": seen.id, "phase": seen.phase.value, "version": seen.version},
            set=fields,
            inc={"version": 1, "epoch": 1},
            push={"history": line},
        )
        if doc is None:
            raise Conflict(f"bucket {seen.id} is no longer {seen.phase} at v{seen.version}")
        return _load(doc)


def _load(doc: Doc) -> Switch:
    fields = {name: doc[name] for name in Switch.__dataclass_fields__}
    return Switch(**fields | {"phase": Phase(doc["phase"]), "holding": bool(doc["holding"])})
