"""The mover of one disk: threads that copy a slice and check it, while nobody writes to it.

Read in four pieces ahead, each sent on as it comes; zeros are written as zeros. Then both sides
are read again and compared, as the check says. It tells the outcome only when nothing that it
sent can still arrive: the target answered all of it, or is told to be lost first.
"""

from __future__ import annotations

import hashlib
import queue
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import NamedTuple

import structlog

from common.endpoints.nbd import wire
from common.endpoints.nbd.client import Client
from common.endpoints.nbd.stream import Address
from common.endpoints.nbd.wire import error_of
from common.errors import ConvoyError
from common.failpoints import failpoint
from consumer.trans.disks.exclusion import Op
from consumer.trans.disks.loop import in_thread

log = structlog.get_logger(__name__)
PIECE = 256 << 10  # measured: better than one request for the whole slice
_ZEROS = bytes(PIECE)


class Proof(StrEnum):
    """What is compared after a slice was copied."""

    MD5 = "md5"  # all bytes of both sides, and the slice's digest is kept
    SHA256 = "sha256"
    BYTES = "bytes"
    NONE = "none"  # nothing; told as unverified


class Job(NamedTuple):
    """A slice that is held for us, and where the sides are."""

    op: Op
    source: Address
    target: Address


class Outcome(NamedTuple):
    """What became of it."""

    op: Op
    same: bool
    digest: str = ""
    differs: bool = False  # both sides were read, and are not the same
    target_lost: bool = False  # what was sent there may still arrive


class Mover:
    """Takes jobs; tells outcomes from its threads."""

    def __init__(self, threads: int, proof: Proof, tell: Callable[[Outcome], None]) -> None:
        self._proof, self._tell = proof, tell
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads = [in_thread(f"mover-{n}", self._run) for n in range(threads)]

    def copy(self, job: Job) -> None:
        self._jobs.put(job)

    def close(self) -> None:
        """Let the threads end after what they have in hand."""
        for _ in self._threads:
            self._jobs.put(None)

    def _run(self) -> None:
        hands = Hands(self._proof)
        while (job := self._jobs.get()) is not None:
            self._tell(hands.copy(job))
        hands.drop()


class Hands:
    """One thread's connections and buffers."""

    def __init__(self, proof: Proof) -> None:
        self._proof = proof
        self._source: tuple[Address, Client] | None = None
        self._target: tuple[Address, Client] | None = None
        self._ours, self._theirs = bytearray(), bytearray()

    def copy(self, job: Job) -> Outcome:
        op, length = job.op, job.op.end - job.op.start
        if len(self._ours) != length:
            self._ours, self._theirs = bytearray(length), bytearray(length)
        try:
            source, target = self._opened(job)
        except ConvoyError as error:
            log.warning("slice.waits", start=op.start, why=str(error))
            self.drop()
            return Outcome(op, same=False)
        carried = Carried(source, target, op.start, self._ours)
        try:
            carried.over()
            failpoint("trans.copied")
            return self._checked(op, source, target)
        except ConvoyError as error:
            log.warning("slice.not_copied", start=op.start, why=str(error))
            lost = not carried.settled()
            self.drop()
            return Outcome(op, same=False, target_lost=lost)

    def drop(self) -> None:
        """Begin with new connections next time."""
        for held in (self._source, self._target):
            if held:
                held[1].close()
        self._source = self._target = None

    def _opened(self, job: Job) -> tuple[Client, Client]:
        """Connections of the mounts that the job names."""
        if self._source is None or self._source[0] != job.source:
            if self._source:
                self._source[1].close()
                self._source = None
            self._source = job.source, Client.open(job.source)
        if self._target is None or self._target[0] != job.target:
            if self._target:
                self._target[1].close()
                self._target = None
            self._target = job.target, Client.open(job.target)
        return self._source[1], self._target[1]

    def _checked(self, op: Op, source: Client, target: Client) -> Outcome:
        if self._proof is Proof.NONE:
            return Outcome(op, same=True)
        for client, into in ((source, self._ours), (target, self._theirs)):
            client.read_into(op.start, memoryview(into))
        same = self._ours == self._theirs
        if not same:
            log.error("slice.differs", start=op.start)
            return Outcome(op, same=False, differs=True)
        return Outcome(op, same=True, digest=self._digest())

    def _digest(self) -> str:
        if self._proof is Proof.BYTES:
            return ""
        return hashlib.new(self._proof.value, self._ours, usedforsecurity=False).hexdigest()


class Carried:
    """One slice on its way: what was sent to the target, and what it answered."""

    def __init__(self, source: Client, target: Client, start: int, into: bytearray) -> None:
        self._source, self._target, self._start = source, target, start
        self._into = memoryview(into)
        self._owed = 0
        self._uncertain = False

    def over(self) -> None:
        """Read it, write it, and hear that all of it was written."""
        pieces = {}
        for at in range(0, len(self._into), PIECE):
            part = self._into[at : at + PIECE]
            pieces[self._source.send_read(self._start + at, part)] = at, part
        while pieces:
            reply = self._source.reply()
            at, part = pieces.pop(reply.cookie)
            if reply.error:
                raise error_of(reply.error, "reading the source")
            self._send(self._start + at, part)
        error = self._heard()
        if error:
            raise error_of(error, "writing to the target")

    def settled(self) -> bool:
        """After a failure: has the target answered all that it was sent?"""
        if self._uncertain:
            return False
        with suppress(ConvoyError):
            self._heard()
            return True
        return False

    def _send(self, at: int, part: memoryview) -> None:
        self._uncertain = True
        if self._target.offer.can(wire.CAN_ZERO) and bytes(part) == _ZEROS[: len(part)]:
            self._target.send(wire.CMD_ZERO, at, len(part))
        else:
            self._target.send(wire.CMD_WRITE, at, len(part), data=part)
        self._owed += 1
        self._uncertain = False

    def _heard(self) -> int:
        """All answers that are owed; the first error among them."""
        error = 0
        while self._owed:
            self._uncertain = True
            reply = self._target.reply()
            self._owed -= 1
            self._uncertain = False
            error = error or reply.error
        return error
