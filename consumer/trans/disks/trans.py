"""Trans of one disk: takes its task, serves the guest, moves the disk, switches it. Or dies.

Everything that goes wrong in a way that is not foreseen ends this holder's epoch: the next one,
here or elsewhere, takes the task with a higher epoch and goes on from the write-intent log. So
there is one way to begin, also after a death at the worst moment; and a holder that does not know
that it is over is refused by the gates and by the catalogue.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import structlog

from common.endpoints.nbd.admission import mount
from common.endpoints.nbd.client import Client
from common.endpoints.nbd.listener import Listener, bound
from common.endpoints.nbd.passes import fencing, mounting
from common.endpoints.nbd.stream import Address
from common.errors import Conflict, ConvoyError, Transient
from common.failpoints import failpoint
from common.lifecycle import disks
from common.lifecycle.disks import TASK, Event, Status
from common.store.access import Access, DiskRecord
from consumer.trans.disks.disk import Disk, Plan, checked
from consumer.trans.disks.exclusion import BOTH
from consumer.trans.disks.guests import Door
from consumer.trans.disks.intents import Intents
from consumer.trans.disks.loop import Loop, in_thread, nothing
from consumer.trans.disks.mover import Proof
from consumer.trans.disks.slices import COPYING, DIRTY, HOT

log = structlog.get_logger(__name__)
GLANCE = 0.02  # seconds between two looks of the loop at the disk
SETTLE = 1.0  # seconds between two flushes that shorten the log
FEW = 256  # slices that may wait for the last flush when the guest is held
PAUSE = 1.0  # seconds that the guest may be held before it is let go on, to try again later
AGAIN = 0.2  # seconds between two tries to reach the catalogue
ORDERS = 10.0  # seconds that the fence and the commit may take, then the next epoch finds out


class End(StrEnum):
    """How a holder's epoch ended."""

    SWITCHED = "switched"
    OVER = "over"  # the task was aborted, or somebody else holds it
    FAILED = "failed"
    BROKEN = "broken"  # nobody knows: take it again


@dataclass(frozen=True, slots=True)
class Post:
    """Where a Trans works."""

    home: str  # of the write-intent logs: must outlive us, or everything is copied again
    socket: str  # where the guest's session comes in
    iodepth: int = 1
    proof: Proof = Proof.MD5
    durable: bool = True


class Trans:
    """One holder of one task, for one epoch."""

    def __init__(self, access: Access, extern_id: str, post: Post) -> None:
        self._access, self._extern_id, self._post = access, extern_id, post
        self._loop = Loop()
        self._lock = threading.Lock()
        self._end: End | None = None
        self.why = ""
        self._finish = ""
        self._since = self._settled = 0.0
        self._offset = self._told = 0
        self._over = threading.Event()

    def run(self) -> End:
        """From the taking of the task to the end of our epoch. Conflict if there is none."""
        task = self._access.task(self._extern_id)
        self._task = task
        if task.status in TASK.ends():
            raise Conflict(f"task {task.id} is {task.status}", hint="nothing is to be moved")
        os.makedirs(self._post.home, exist_ok=True)
        notes = Intents(f"{self._post.home}/{task.id}.intents", durable=self._post.durable)
        try:
            record = self._access.change(disks.taken(self._extern_id, task.id))
            return self._hold(record, notes)
        finally:
            self._loop.close()
            if self._end in (End.SWITCHED, End.OVER, End.FAILED):
                notes.remove()
            else:
                notes.close()

    def stop(self) -> None:
        """End the epoch in good order; from any thread."""
        self._ended(End.BROKEN, "told to stop")

    @property
    def progress(self) -> tuple[int, int, int]:
        """Slices that are the same on both sides and durable; those to be copied; all."""
        slices = self._disk.judge.slices
        return slices.many(3), slices.many(DIRTY) + slices.many(COPYING), len(slices.states)

    # one epoch

    def _hold(self, record: DiskRecord, notes: Intents) -> End:
        task, post = self._task, self._post
        plan = checked(Plan(task.size, post.iodepth, post.proof))
        states = notes.begin(task.id, record.epoch, plan.size, plan.slice_bytes)
        self._epoch = record.epoch
        failpoint("trans.took")
        self._disk = Disk(
            self._loop,
            plan,
            states,
            notes,
            self._login(task.source_set, task.source_lc),
            self._login(task.target_set, task.target_lc),
            failed=lambda why: self._ended(End.FAILED, why),
        )
        self._loop.every(GLANCE, self._glance)
        door = Door(self._loop, self._disk)
        listener = Listener(bound(post.socket), door.serve)
        self._access.serve(task, post.socket, 0, epoch=self._epoch)
        watcher = in_thread("catalogue", self._watch)
        self._disk.open()
        try:
            self._loop.run()
        finally:
            self._over.set()
            door.close()
            self._disk.close()
            listener.close()
            watcher.join()
        return self._end or End.BROKEN

    def _login(self, set: str, lc: str) -> Callable[[int], Address]:
        known, epoch = self._access.set(set), self._epoch
        return lambda returns: place(known.gate, mounting(known.secret, lc, mount(epoch, returns)))

    def _ended(self, end: End, why: str = "") -> None:
        with self._lock:
            if self._end is None:
                self._end, self.why = end, why
                log.info("trans.ended", disk=self._extern_id, how=end.value, why=why)
        self._loop.stop()

    # in the loop

    def _glance(self) -> None:
        disk, now = self._disk, time.monotonic()
        disk.look()
        if disk.judge.up == BOTH and not disk.moving and self._task.status is Status.MIGRATING:
            disk.moving = True
        self._offset = disk.judge.slices.floor * disk.plan.slice_bytes
        if not self._finish and now - self._settled > SETTLE:
            self._settled = now
            disk.settle()
        self._forward()

    def _forward(self) -> None:
        """One step towards the switch, if it is time; after every turn while the guest waits."""
        disk, now = self._disk, time.monotonic()
        self._loop.each = self._forward if self._finish == "frozen" else nothing
        slices = disk.judge.slices
        rest = slices.many(DIRTY) + slices.many(COPYING)
        if not self._finish:
            if disk.moving and not rest and now - self._since > PAUSE:
                disk.settle(everything=True)
                if slices.many(HOT) <= FEW:
                    self._finish, self._since = "frozen", now
                    self._loop.each = self._forward
                    disk.freeze()
        elif self._finish == "frozen":
            if disk.judge.switchable:
                self._finish = "ordered"
                disk.finalise()
                in_thread("finish", self._order)
            elif now - self._since > PAUSE:
                self._finish, self._since = "", now
                disk.thaw()
            elif disk.judge.drained:
                disk.settle(everything=True)

    # in threads of their own

    def _watch(self) -> None:
        """Tell the catalogue how far we are, and hear from it when we are over."""
        while not self._over.wait(0.2):
            try:
                self._attend()
            except Conflict as error:
                self._ended(End.OVER, str(error))
            except ConvoyError as error:  # away; the gates still know who may write
                log.warning("catalogue.away", why=str(error))

    def _attend(self) -> None:
        record, task = self._access.disk(self._extern_id), self._access.task(self._extern_id)
        if (record.task, record.epoch) != (self._task.id, self._epoch):
            if record.switched != self._task.id:
                raise Conflict(f"task {self._task.id} is over, or somebody else's")
            return
        if task.status in TASK.ends():
            raise Conflict(f"task {task.id} is {task.status}")
        if task.status is Status.CREATED and self._disk.judge.up == BOTH:
            task = self._access.advance(task, Event.ATTACHED)
        self._task = task
        moved, self._told = self._disk.moved - self._told, self._disk.moved
        self._access.progress(task, min(self._offset, task.size), moved=moved)

    def _order(self) -> None:
        """Fence the source, then commit. The outcome is known, or this epoch ends."""
        failpoint("trans.fencing")
        try:
            self._fence()
            failpoint("trans.fenced")
            self._access.switch(self._task, self._epoch)
            failpoint("trans.switched")
        except Conflict as error:
            self._ended(End.OVER, str(error))
        except ConvoyError as error:
            self._ended(End.BROKEN, str(error))
        else:
            self._ended(End.SWITCHED)

    def _fence(self) -> None:
        known, lc = self._access.set(self._task.source_set), self._task.source_lc
        name = fencing(known.secret, lc, self._epoch)
        deadline = time.monotonic() + ORDERS
        while True:
            try:
                Client.open(place(known.gate, name)).close()
            except Transient:
                if time.monotonic() > deadline:
                    raise
                self._over.wait(0.1)
            else:
                return


def place(gate: str, export: str) -> Address:
    """A gate's export: the gate is the path of a socket, or host:port."""
    if gate.startswith("/"):
        return Address(export, path=gate)
    host, _, port = gate.rpartition(":")
    return Address(export, host=host, port=int(port))


def serve(access: Access, extern_id: str, post: Post, stop: threading.Event) -> End:
    """Hold the task, epoch after epoch, until it is over and the catalogue is in line with it.

    Conflict if there is nothing to be moved. A catalogue that is away is waited for.
    """
    while not stop.is_set():
        try:
            end = _epoch(access, extern_id, post)
        except Transient as error:
            log.warning("catalogue.away", why=str(error))
            stop.wait(AGAIN)
            continue
        if end is not End.BROKEN:
            return end
    return End.BROKEN


def _epoch(access: Access, extern_id: str, post: Post) -> End:
    """One holder, from whatever the last one left."""
    task = access.settle(extern_id)
    if task.status is Status.MIGRATED:
        return End.SWITCHED
    trans = Trans(access, extern_id, post)
    end = trans.run()
    if end is End.FAILED:
        access.let_go(extern_id, error=trans.why)
    elif end is not End.BROKEN:
        access.settle(extern_id)
    return end
