"""One copy at work: it takes writes from its primary, or leads and sees to it that all have them.

What it may do is asked of `consumer.trans.partitions.judge`; what it knows of itself is durable
before it acts on it. One lock per copy orders everything that changes it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from common.digest import md5
from common.errors import (
    Backpressure,
    ConvoyError,
    Corrupt,
    Permanent,
    Refused,
    Stale,
    Transient,
)
from common.lifecycle.partitions import record as records
from common.lifecycle.partitions.record import Config, Record
from common.store.partitions import Partitions
from consumer.trans.partitions import judge
from consumer.trans.partitions.disk import Disk
from consumer.trans.partitions.extents import Chunk, Extents
from consumer.trans.partitions.judge import Answer, Copy, Lead
from consumer.trans.partitions.peer import LATER, Peer

T = TypeVar("T")
LAST = 1 << 20  # bytes that may be copied while nobody writes to an extent
TRIES = 3


class Replica:
    """One copy on one disk."""

    def __init__(self, id: str, disk: Disk, extents: Extents, copy: Copy, at: Partitions) -> None:
        self.id, self.disk, self.extents = id, disk, extents
        self.copy, self.lead = copy, Lead(0)
        self.live: set[str] = set()  # extents of which every write goes to the learner
        self.lock = threading.RLock()
        self._partitions = at

    # what anybody may ask

    @property
    def serves(self) -> bool:
        return judge.serves(self.copy, self.lead)

    def read(self, extent: str, offset: int, length: int) -> bytes:
        """Verified bytes; fewer at the end of the extent."""
        return self.on_disk(lambda: self.extents.read(extent, offset, length), write=False)

    def lengths(self) -> dict[str, int]:
        return {extent: self.extents.length(extent) for extent in list(self.extents.chunks)}

    # from the record

    def follow(self, config: Config) -> None:
        """Adopt a later configuration; whatever was known of others is over."""
        with self.lock:
            self._become(judge.adopted(self.copy, config))
            self.lead, self.live = Lead(config.epoch), set()

    # from the primary

    def take(self, extent: str, offset: int, data: bytes, epoch: int, sender: str) -> None:
        """A write that the primary has."""
        with self.lock:
            if not judge.takes(self.copy, epoch, sender):
                raise Stale(f"{self.copy.me} takes no write of {sender} at epoch {epoch}")
            self._append(extent, offset, data)

    def like(self, config: Config, lists: dict[str, list[Chunk]]) -> dict[str, int]:
        """Cut whatever the primary does not have; how far each extent is the same."""
        with self.lock:
            if self.copy.config.epoch < config.epoch:
                self.follow(config)
            self._from_primary(config.epoch, config.primary)
            for extent in {*self.extents.chunks, *lists}:
                end = self.extents.common(extent, lists.get(extent, []))
                self.on_disk(lambda e=extent, to=end: self.extents.cut(e, to), write=True)  # type: ignore[misc]
            return self.lengths()

    def filled(self, extent: str, offset: int, data: bytes, epoch: int, sender: str) -> None:
        """A chunk that was missing here."""
        with self.lock:
            self._from_primary(epoch, sender)
            self._append(extent, offset, data)

    def proven(self, extent: str, chunks: list[Chunk], epoch: int, sender: str) -> int:
        """Read it from the disk again; what is not as it should be is cut off. How far it is."""
        with self.lock:
            self._from_primary(epoch, sender)
        end = self.on_disk(lambda: self.extents.sound(extent, chunks), write=False)
        with self.lock:
            self._from_primary(epoch, sender)
            if end < min(chunks[-1].end if chunks else 0, self.extents.length(extent)):
                self.on_disk(lambda: self.extents.cut(extent, end), write=True)
        return end

    def whole(self, epoch: int, sender: str) -> None:
        """The primary found that nothing is missing here."""
        with self.lock:
            self._from_primary(epoch, sender)
            self._become(self.copy._replace(aligned=epoch))

    # as the primary

    def write(self, extent: str, offset: int, data: bytes) -> int:
        """A client's write; when this returns every host has it, durably."""
        with self.lock:
            self.align()
            fresh = not self.extents.chunks.get(extent)
            self._append(extent, offset, data)
            have, lost = {self.copy.me}, list[str]()
            for host in self.copy.config.hosts:
                if host != self.copy.me:
                    (have.add if self._sent(host, extent, offset, data) else lost.append)(host)
            for learner in self.copy.config.learners:
                if (extent in self.live or fresh) and self._sent(learner, extent, offset, data):
                    have.add(learner)
                    self.live.add(extent)
                else:
                    self.live.discard(extent)
            for host in lost:
                self._drop(host)
            self._answer(have)
            return self.extents.length(extent)

    def align(self) -> None:
        """Make every host like this one, if that was not done in this epoch."""
        with self.lock:
            if not self.copy.leads:
                why = f"{self.copy.me} does not lead partition {self.id}"
                raise Stale(why, hint=f"ask {self.copy.config.primary}")
            if self.lead.epoch != self.copy.config.epoch:
                self.lead = Lead(self.copy.config.epoch)
            for host in self.copy.config.hosts:
                if host not in (self.copy.me, *self.lead.aligned):
                    self._aligned(host)
            if self.copy.aligned != self.copy.config.epoch:
                self._become(self.copy._replace(aligned=self.copy.config.epoch))

    def _aligned(self, host: str) -> None:
        try:
            self._match(host)
            self._tell(host, "whole")
        except (Transient, Backpressure, Permanent) as error:
            self._drop(host, error)
            return
        aligned = tuple(sorted({*self.lead.aligned, host}))
        self.lead = self.lead._replace(aligned=aligned)

    def _match(self, host: str) -> None:
        """Cut and fill a host's extents until they are ours."""
        there = self._tell(host, "like", self._lists())
        for extent, chunks in self.extents.chunks.items():
            self.fill(host, extent, chunks, int(there.get(extent, 0)))

    def _lists(self) -> bytes:
        told = {"config": self.copy.config, "lists": self.extents.chunks}
        return json.dumps(told).encode()

    def fill(self, host: str, extent: str, chunks: list[Chunk], end: int) -> None:
        """Send the chunks behind `end`."""
        for chunk in chunks:
            if chunk.offset >= end:
                data = self.on_disk(lambda c=chunk: self.extents.chunk(extent, c), write=False)  # type: ignore[misc]
                self._tell(host, "filled", data, extent=extent, off=chunk.offset)

    def prove(self, host: str, extent: str, chunks: list[Chunk]) -> int:
        """Have a host read an extent from its disk again; how far it is as ours."""
        body = json.dumps({"lists": {extent: chunks}}).encode()
        return int(self._tell(host, "proven", body, extent=extent)["end"])

    def teach(self) -> bool:
        """Bring the learner to hold everything, while clients write; True once the record knows."""
        with self.lock:
            learners, epoch = self.copy.config.learners, self.copy.config.epoch
            if not learners or not self.copy.leads:
                return False
            if self.lead.epoch != epoch:
                self.lead = Lead(epoch)
            if not self.live:
                self._tell(learners[0], "like", self._lists())
            extents = [e for e in self.extents.chunks if e not in self.live]
        if all(self._taught(learners[0], extent, epoch) for extent in extents):
            return self.attest() is not None
        return False

    def _taught(self, learner: str, extent: str, epoch: int) -> bool:
        """One extent: most of it while it grows, the last of it while it may not."""
        for _ in range(TRIES):
            with self.lock:
                chunks = list(self.extents.chunks[extent])
            end = self.prove(learner, extent, chunks)
            if chunks[-1].end - end <= LAST:
                with self.lock:
                    if self.copy.config.epoch != epoch:
                        return False
                    self.fill(learner, extent, self.extents.chunks[extent], end)
                    self.live.add(extent)
            else:
                self.fill(learner, extent, chunks, end)
                continue
            if self.prove(learner, extent, chunks) == chunks[-1].end:
                return True
            with self.lock:
                self.live.discard(extent)
        return False

    def attest(self) -> Record | None:
        """Tell the record that the learner has everything; None if it has not.

        What is known of misses is withdrawn first: from here on the next one is noted, and an
        attestation that arrives behind that is refused.
        """
        with self.lock:
            learners = self.copy.config.learners
            if not learners or not self.copy.leads or set(self.extents.chunks) - self.live:
                return None
            self._tell(learners[0], "whole")
            self.lead = self.lead._replace(missed=False, live=True)
            epoch = self.copy.config.epoch
            generation = self._partitions.get(self.id).generation
        return self._change(lambda record: records.attested(record, epoch, generation))

    def _answer(self, have: set[str]) -> None:
        """Nothing is acknowledged before it may be."""
        answer = judge.answer(self.copy, self.lead, have)
        if answer is Answer.NOTE:
            epoch = self.copy.config.epoch
            self._change(lambda record: records.missed(record, epoch))
            self.lead = self.lead._replace(missed=True, live=False)
            answer = judge.answer(self.copy, self.lead, have)
        if answer is not Answer.YES:
            self.lead = Lead(self.copy.config.epoch)
            raise Backpressure(
                f"partition {self.id}: not every host has it",
                retry_in=LATER,
                hint="what became of the write is open; write it again, it is done once",
            )

    def _drop(self, host: str, why: Exception | None = None) -> None:
        """Go on without a host, if the record allows it."""
        epoch, aligned = self.copy.config.epoch, self.lead.aligned
        try:
            record = self._change(lambda record: records.dropped(record, host, epoch))
        except Refused as error:
            self.lead = Lead(epoch)
            raise Backpressure(f"{error} ({why or host})", retry_in=LATER) from error
        self._become(judge.adopted(self.copy, record.config))
        # the rest are aligned anew in the new epoch; nothing was written meanwhile
        self.lead, self.live = Lead(record.epoch), set()
        for other in aligned:
            if other in record.hosts:
                self._aligned(other)

    def _change(self, act: Callable[[Record], Record]) -> Record:
        return self._partitions.change(self.id, act, by=self.copy.me)

    def _sent(self, host: str, extent: str, offset: int, data: bytes) -> bool:
        try:
            self._tell(host, "take", data, extent=extent, off=offset)
        except ConvoyError:
            return False
        return True

    def _tell(self, host: str, what: str, body: bytes = b"", **query: object) -> Any:
        asked = {"epoch": self.copy.config.epoch, "sender": self.copy.me, **query}
        if body:
            asked["md5"] = md5(body).hexdigest()
        return Peer(host).tell(f"/dp/{self.id}/{what}", body, **asked)

    # its own disk

    def _append(self, extent: str, offset: int, data: bytes) -> None:
        self.on_disk(lambda: self.extents.append(extent, offset, data), write=True)

    def _from_primary(self, epoch: int, sender: str) -> None:
        if not judge.aligns(self.copy, epoch, sender):
            raise Stale(f"{sender} is not the primary of {self.copy.me} at epoch {epoch}")

    def _become(self, copy: Copy) -> None:
        self.on_disk(lambda: self.extents.keep(copy), write=True)
        self.copy = copy

    def on_disk(self, act: Callable[[], T], *, write: bool) -> T:
        try:
            return self.disk.run(act, copy=self.id, write=write)
        except Corrupt:
            if self.copy.leads:
                self.lead = Lead(0)
            raise
