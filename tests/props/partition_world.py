"""A partition, its hosts, its record and its tokens, as a value that can be compared.

What a copy may do, what becomes of the record and what is to be done next are asked of the real
functions; only wires, disks, processes and clients are played. Data is the set of writes it holds.
"""

from __future__ import annotations

from typing import NamedTuple

from common.lifecycle.partitions.record import Record
from consumer.trans.partitions.judge import Copy, Lead
from producer.partitions.facts import Act, Candidate, Seen, Tokens

DISK = "/data_1"  # the reference loses a token when a path holds an underscore
ID = "p"
Data = frozenset[int]


class Host(NamedTuple):
    """One data node with one disk."""

    copy: Copy | None = None
    data: Data = frozenset()
    rotten: bool = False  # lengths are right, contents are not
    up: bool = True
    intact: bool = True  # the disk
    lead: Lead | None = None
    open: tuple[int, tuple[str, ...]] | None = None  # a write, and who has it

    def said(self) -> Seen:
        """What its heartbeat says."""
        epoch = self.copy.config.epoch if self.copy else 0
        whole = bool(self.copy and self.copy.aligned)
        return Seen(self.up, self.intact, epoch, whole)


class Mail(NamedTuple):
    """An attestation on its way to the record."""

    epoch: int
    generation: int


class Left(NamedTuple):
    """What may still happen, at most so often."""

    writes: int = 1
    crash: int = 0  # of a data node
    lose: int = 0  # a disk
    rot: int = 0  # a copy arrives as something else
    timeout: int = 0  # a host is taken for dead by its primary
    zombie: int = 0  # an act is carried out late
    stale: int = 0  # a heartbeat is believed late
    blip: int = 0  # a heartbeat is missing
    overdue: int = 0
    busy: int = 0  # tokens are out
    mark: int = 1
    pause: int = 0
    cancel: int = 0
    reset: int = 0


class World(NamedTuple):
    """Everything that decides what may happen next."""

    hosts: tuple[Host, ...]
    record: Record
    left: Left
    tokens: tuple[tuple[str, Tokens], ...] = ()
    acked: Data = frozenset()
    next: int = 1
    acker: tuple[int, str] = (0, "")  # the last epoch in which something was acknowledged
    held: Act | None = None  # by a controller that has been replaced
    late: tuple[str, Seen] | None = None  # a heartbeat that somebody still believes
    mail: Mail | None = None


def candidates(names: tuple[str, ...]) -> tuple[Candidate, ...]:
    """Hosts with room."""
    return tuple(Candidate(name, DISK, "ns", free_bytes=1 << 40) for name in names)
