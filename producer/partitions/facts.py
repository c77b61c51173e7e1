"""What is known when one partition is judged: frozen values, nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from common.lifecycle.partitions.partition import RETRIES, ROLLBACKS
from common.lifecycle.partitions.record import Config, Record


class Seen(NamedTuple):
    """What a host last said of its copy of this partition."""

    alive: bool = True  # its heartbeats come
    sound: bool = True  # the disk of the copy does not err; True where there is none
    epoch: int = 0  # of its copy; 0: it has none
    whole: bool = True  # a primary once found that it holds everything

    @property
    def well(self) -> bool:
        return self.alive and self.sound


class Tokens(NamedTuple):
    """One token document: who holds it. An entry is a partition and its attempt."""

    held: tuple[tuple[str, int], ...] = ()
    limit: int = 0  # 0: no limit

    def has(self, entry: tuple[str, int]) -> bool:
        return entry in self.held

    @property
    def free(self) -> bool:
        return not self.limit or len(self.held) < self.limit


class Candidate(NamedTuple):
    """A host that a replica might be put on, and what is known of it."""

    host: str
    disk: str
    nodeset: str
    zone: str = ""
    alive: bool = True
    writable: bool = True
    draining: bool = False  # it, or the disk, is being decommissioned
    free_bytes: int = 0


class Knobs(NamedTuple):
    """What people set; the reference's names in the API."""

    retries: int = RETRIES
    rollbacks: int = ROLLBACKS
    auto: bool = True  # EnableAutoDecommission
    least_free_bytes: int = 10 << 30


class View(NamedTuple):
    """Everything that a judgement about one partition may look at."""

    seen: Mapping[str, Seen]
    tokens: Mapping[str, Tokens]
    candidates: tuple[Candidate, ...] = ()
    overdue: bool = False  # no progress for longer than DpRepairTimeout
    exists: bool = True  # its volume was not deleted

    def of(self, host: str) -> Seen:
        return self.seen.get(host, Seen(alive=False))

    def good(self, record: Record) -> tuple[str, ...]:
        """The hosts that say, at the present epoch, that all is well. No word is no evidence."""
        said = ((host, self.of(host)) for host in record.hosts)
        return tuple(h for h, s in said if s.well and s.epoch == record.epoch and s.whole)


class Write(NamedTuple):
    """Make the record this, if it is still at the version that was seen."""

    record: Record


class Take(NamedTuple):
    """Add an entry to a token document, if it is free; doing it twice is doing it once."""

    key: str
    entry: tuple[str, int]


class Release(NamedTuple):
    """Remove an entry from a token document, if it is there."""

    key: str
    entry: tuple[str, int]


class Adopt(NamedTuple):
    """Tell a host the configuration; one that has no copy makes an empty one to learn into."""

    host: str
    config: Config
    make: bool


class Retire(NamedTuple):
    """Have a host put aside its copy, if that is of an earlier epoch."""

    host: str
    epoch: int


class Wait(NamedTuple):
    """Nothing can be done now, and why."""

    why: str


Act = Write | Take | Release | Adopt | Retire | Wait
