"""A partition's record: who holds it, who may write, and how far its decommission is.

All of it is one document, so that every switch is one compare-and-set on its version. A function
here says what the record becomes; whoever writes it names the version it saw. Membership has an
epoch of its own, which rises with every change of it and which every copy knows: it fences.

The learner's generation rises whenever a write may have missed the learner. The primary attests a
generation; only while it still stands does the learner become a host.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from common.errors import Refused, Stale
from common.lifecycle.partitions.partition import PARTITION, Event, Restore, Status, Step, Type

NEVER = -1


class Config(NamedTuple):
    """Who holds a partition, as every copy of it knows it."""

    epoch: int
    hosts: tuple[str, ...]
    primary: str
    learners: tuple[str, ...] = ()


class Record(NamedTuple):
    """One partition."""

    id: str
    replicas: int  # how many there should be
    hosts: tuple[str, ...]
    primary: str
    learners: tuple[str, ...] = ()
    epoch: int = 1
    version: int = 0
    generation: int = 0
    attested: int = NEVER
    status: Status = Status.INITIAL
    step: Step = Step.NONE
    type: Type = Type.MANUAL
    source: str = ""  # "": a replica is added and none removed
    source_disk: str = ""
    target: str = ""
    specified: str = ""  # the target that a person named
    excluded: tuple[str, ...] = ()  # targets that failed
    term: int = 0
    weight: int = 0
    retries: int = 0
    rollbacks: int = 0
    claims: tuple[str, ...] = ()  # keys of the tokens that it holds, may hold, or is about to take
    attempt: int = 0
    restore: Restore = Restore.STOP
    why: str = ""

    @property
    def config(self) -> Config:
        return Config(self.epoch, self.hosts, self.primary, self.learners)

    @property
    def floor(self) -> int:
        """Fewer good copies than this, and nothing is written."""
        return self.replicas // 2 + 1

    @property
    def complete(self) -> bool:
        """Does the learner hold all that was acknowledged?"""
        return bool(self.learners) and self.attested == self.generation

    @property
    def entitled(self) -> bool:
        """May it keep its tokens?"""
        running = self.status in (Status.PREPARE, Status.RUNNING)
        return running or (self.status is Status.MARKED and bool(self.target))


def amended(record: Record, **fields: Any) -> Record:
    """The record with other fields; the one place where its version rises."""
    return record._replace(version=record.version + 1, **fields)


def advanced(record: Record, event: Event, **fields: Any) -> Record:
    """The record after `event`; IllegalTransition if the table has no such edge."""
    return amended(record, status=PARTITION.after(record.status, event), **fields)


def membership(record: Record, **changes: Any) -> dict[str, Any]:
    """A change of who holds it, as fields: with a higher epoch, and nothing attested."""
    raised = {"epoch": record.epoch + 1, "generation": record.generation + 1, "attested": NEVER}
    return {**raised, **changes}


def dropped(record: Record, host: str, epoch: int) -> Record:
    """The primary of `epoch` could not write to `host` and asks to go on without it."""
    _current(record, epoch)
    left = tuple(other for other in record.hosts if other != host)
    if host == record.primary or host not in record.hosts:
        raise Stale(f"{record.id}: {host} cannot be dropped by the primary of epoch {epoch}")
    if len(left) < record.floor:
        raise Refused(
            f"{record.id}: without {host} there would be {len(left)} of {record.replicas} replicas",
            hint=f"writes go on when at least {record.floor} replicas can be reached",
        )
    return amended(record, **membership(record, hosts=left))


def missed(record: Record, epoch: int) -> Record:
    """The primary of `epoch` is about to acknowledge what the learner does not hold."""
    _current(record, epoch)
    return amended(record, generation=record.generation + 1)


def attested(record: Record, epoch: int, generation: int) -> Record:
    """The primary of `epoch` found that the learner holds everything, and knows of no miss since
    `generation`."""
    _current(record, epoch)
    if not record.learners or generation != record.generation:
        raise Stale(f"{record.id}: generation {generation} is over")
    return amended(record, attested=generation)


def _current(record: Record, epoch: int) -> None:
    if epoch != record.epoch:
        raise Stale(f"{record.id} is at epoch {record.epoch}, not {epoch}")
