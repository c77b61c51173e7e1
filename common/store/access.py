"""The access catalogue: which set holds which disk, who may write to it, and what moves it.

Collections and fields are the field's own. `t_lc_extern_info` is the truth of a disk: its set,
its task and its mount epoch change together or not at all (`common.lifecycle.disks`), and every
right to write comes from here. What else a switch or an abort must change (the records in the
sets, the task's status, its slot) is redo that anybody may complete, any number of times:
`settle`. A task holds one of its source set's slots from before it exists until it is settled.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from common.clock import Clock
from common.endpoints.nbd.passes import checked
from common.errors import Backpressure, Conflict, Missing, Occupied, Refused
from common.lifecycle import disks
from common.lifecycle.disks import CODES, TASK, Change, Event, Status
from common.store.base import Doc, Filter, Store

NEW, OLD = "_new", "_old"  # behind the name of a disk: its copy to be, and its copy that was
SLOTS = 3  # tasks of one source set at once
HEALTHY = "healthy"
_KEEP = 200


@dataclass(frozen=True, slots=True)
class Set:
    """A storage set: where its gate listens, and what its passes are signed with."""

    id: str
    site: str
    gate: str  # path of a socket, or host:port
    secret: str
    slots: int


@dataclass(frozen=True, slots=True)
class DiskRecord:
    """A disk as the catalogue has it."""

    id: str
    site: str
    set: str
    lc: str  # what the set calls its present copy, for ever
    size: int
    epoch: int
    task: str
    state: str
    switched: str  # the task that switched it last


@dataclass(frozen=True, slots=True)
class Task:
    """A migration of a disk."""

    id: str
    extern_id: str
    size: int
    status: Status
    finish_offset: int
    moved: int  # slices, each time that one was
    start_time: float
    end_time: float | None
    source_set: str
    target_set: str
    source_lc: str
    target_lc: str
    slot: str
    generation: int
    trans_ip: str
    trans_port: int
    trans_epoch: int
    error: str


class Access:
    """The catalogue of one site."""

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        self._sets = store.collection("storage_sets")
        self._slots = store.collection("set_slots")
        self._disks = store.collection("t_lc_extern_info")
        self._copies = store.collection("t_lc_info")
        self._tasks = store.collection("t_migrate_udisk_task")
        self._past = store.collection("t_migrate_udisk_past")
        self._clock = clock or Clock()

    # sets

    def add_set(self, id: str, gate: str, *, site: str = "", slots: int = SLOTS) -> Set:
        """Make a set known; Conflict if there is one of this name."""
        if slots < 1:
            raise Refused(f"a set with {slots} slots can give no disk away")
        doc: Doc = {"id": checked(id), "site": site, "gate": gate, "slots": slots}
        if not self._sets.insert(doc | {"secret": secrets.token_hex(16)}):
            raise Conflict(f"there is a set {id} already", hint="choose another name")
        return self.set(id)

    def set(self, id: str) -> Set:
        doc = self._sets.get(id)
        if doc is None:
            raise Missing(f"no set {id!r}", hint="make it known first")
        return Set(**{name: doc[name] for name in ("id", "site", "gate", "secret", "slots")})

    def sets(self) -> Iterator[Set]:
        for doc in self._sets.find({}, order=("id",)):
            yield self.set(doc["id"])

    # disks

    def add_disk(self, id: str, set: str, size: int) -> DiskRecord:
        """A new disk in a set; what it is called there is derived from its name."""
        self.set(set)
        lc = f"{checked(id)}.1"
        self._copies.insert(_copy(set, lc, id, id, size))
        fresh: Doc = {"id": id, "site": self.set(set).site, "set": set, "lc": lc, "size": size}
        if not self._disks.insert(
            fresh | {"epoch": 1, "task": "", "state": HEALTHY, "switched": "", "copies": 1}
        ):
            raise Conflict(f"there is a disk {id} already", hint="choose another name")
        return self.disk(id)

    def disk(self, id: str) -> DiskRecord:
        doc = self._disks.get(id)
        if doc is None:
            raise Missing(f"no disk {id!r}", hint="look at the catalogue of its site")
        return _disk(doc)

    def disks(self) -> Iterator[DiskRecord]:
        for doc in self._disks.find({}, order=("id",)):
            yield _disk(doc)

    def report_state(self, id: str, state: str) -> None:
        """What a set says of a disk's health."""
        self._disks.change({"id": id}, set={"state": state})

    def change(self, change: Change) -> DiskRecord:
        """One of the changes of a disk's record; Conflict if somebody else came first."""
        doc = self._disks.change(change.where, set=dict(change.set), inc={"epoch": 1})
        if doc is None:
            raise Conflict(
                f"disk {change.where['id']} is not as it was", hint="look at it, then again"
            )
        return _disk(doc)

    def to_make(self, set: str, lc: str) -> int | None:
        """How large the set is to make this copy, which is not there yet; None if it was made:
        then its absence is a fault, and no order to make it again."""
        doc = self._copies.get(f"{set}/{lc}")
        if doc is None:
            raise Missing(f"set {set} has no copy {lc}", hint="look at the catalogue")
        return None if doc["made"] else int(doc["size"])

    def made(self, set: str, lc: str) -> None:
        """The set has it."""
        self._copies.change({"id": f"{set}/{lc}"}, set={"made": True})

    def to_reclaim(self, set: str) -> list[str]:
        """Copies whose space the set is to give back: targets of tasks that did not switch."""
        return [str(doc["lc"]) for doc in self._copies.find({"set": set, "reclaim": True})]

    def reclaimed(self, set: str, lc: str) -> None:
        """The set has given it back; nothing of it is left."""
        self._copies.remove({"id": f"{set}/{lc}", "reclaim": True})

    def copies(self, extern_id: str) -> list[Doc]:
        """Every copy of a disk in any set, also those whose space is still to be given back."""
        return list(self._copies.find({"extern_id": extern_id}, order=("set", "id")))

    # tasks

    def task(self, extern_id: str) -> Task:
        doc = self._tasks.get(extern_id)
        if doc is None:
            raise Missing(f"disk {extern_id} has no task", hint="nothing moves it")
        return _task(doc)

    def tasks(self) -> list[Task]:
        return [_task(doc) for doc in self._tasks.find({}, order=("id",))]

    def create(self, extern_id: str, target_set: str) -> Task:
        """A task for a healthy disk that has none; Backpressure while its set has no slot free.

        From here on nobody mounts the disk but by its task. What an attempt leaves that dies on
        the way, `let_go` and `repair` take back.
        """
        disk, target = self.disk(extern_id), self.set(target_set)
        self._may_move(disk, target)
        self._archive(extern_id)
        number = self._tasks_so_far(extern_id) + 1
        name = f"{extern_id}.{number}"
        slot = self._slot(disk.set, name)
        fresh: Doc = {"extern_id": extern_id, "size": disk.size, "status": 0, "finish_offset": 0}
        fresh["moved"] = 0
        fresh |= {"start_time": self._clock.wall(), "end_time": None, "source_set": disk.set}
        fresh |= {"target_set": target_set, "source_lc": disk.lc, "slot": slot, "error": ""}
        fresh |= {"target_lc": f"{extern_id}.{number + 1}", "generation": number, "task": name}
        fresh |= {"trans_ip": "", "trans_port": 0, "trans_epoch": 0, "history": []}
        if not self._tasks.insert({"id": extern_id, **fresh}):
            self._slots.remove({"id": slot, "task": name})
            raise Conflict(f"disk {extern_id} has a task already", hint="look at it")
        lc = str(fresh["target_lc"])
        self._copies.insert(_copy(target_set, lc, extern_id, f"{extern_id}{NEW}", disk.size))
        self.change(disks.begun(extern_id, name))
        return self.task(extern_id)

    def advance(self, task: Task, event: Event, *, error: str = "") -> Task:
        """Along an edge of the table, from exactly the status that was seen."""
        status = TASK.after(task.status, event)
        fields: dict[str, Any] = {"status": CODES[status], "error": error}
        if status in TASK.ends():
            fields["end_time"] = self._clock.wall()
        if status is Status.MIGRATED:
            fields["finish_offset"] = task.size
        line = {"at": self._clock.wall(), "event": event.value, "to": status.value}
        where: Filter = {"id": task.extern_id, "task": task.id, "status": CODES[task.status]}
        doc = self._tasks.change(where, set=fields, push={"history": line}, keep=_KEEP)
        if doc is None:
            raise Conflict(f"task {task.id} is no longer {task.status}", hint="look at it again")
        return _task(doc)

    def progress(self, task: Task, finish_offset: int, *, moved: int = 0) -> None:
        """How far it is, only forward; and how many slices were moved since the last time, also
        those that were moved before."""
        mine: Filter = {"id": task.extern_id, "task": task.id, "status": CODES[Status.MIGRATING]}
        if moved:
            self._tasks.change(mine, inc={"moved": moved})
        before = self._tasks.get(task.extern_id)
        if before and before["finish_offset"] < finish_offset:
            seen = mine | {"finish_offset": before["finish_offset"]}
            self._tasks.change(seen, set={"finish_offset": finish_offset})

    def serve(self, task: Task, ip: str, port: int, *, epoch: int) -> None:
        """Where its Trans is, and in which epoch of the disk: nobody is sent to an earlier one."""
        self._tasks.change(
            {"id": task.extern_id, "task": task.id},
            set={"trans_ip": ip, "trans_port": port, "trans_epoch": epoch},
        )

    def switch(self, task: Task, epoch: int) -> DiskRecord:
        """The commit: one compare-and-set, after which the disk lives in the target set. Asked
        again it says what was done; Conflict if it was not and cannot be any more."""
        change = disks.switched(task.extern_id, task.id, epoch, task.target_set)
        try:
            return self.change(Change(change.where, {**change.set, "lc": task.target_lc}))
        except Conflict:
            disk = self.disk(task.extern_id)
            if disk.switched != task.id:
                raise
            return disk

    def settle(self, extern_id: str) -> Task:
        """Bring everything in line with the disk's record: after a switch, an abort, a failure,
        and any death in the middle of one. Does nothing while the task is active."""
        task, disk = self.task(extern_id), self.disk(extern_id)
        if disk.switched == task.id:
            return self._settle_switched(task)
        over = task.status in TASK.ends()
        if disk.task == task.id and not over:
            return task
        if disk.task == task.id:  # ended by somebody who then died
            self.change(disks.released(extern_id, task.id))
        elif task.status is Status.CREATED:
            return task  # whoever creates it is not done; `let_go` ends it
        if not over:
            task = self.advance(task, Event.ABORT)
        where: Filter = {"id": f"{task.target_set}/{task.target_lc}", "name": f"{extern_id}{NEW}"}
        self._copies.change(where, set={"reclaim": True})
        self._slots.remove({"id": task.slot, "task": task.id})
        return task

    def _settle_switched(self, task: Task) -> Task:
        if task.status is Status.MIGRATING:
            task = self.advance(task, Event.SWITCHED)
        self._rename(task.source_set, task.source_lc, f"{task.extern_id}{OLD}")
        self._rename(task.target_set, task.target_lc, task.extern_id)
        self._slots.remove({"id": task.slot, "task": task.id})
        return task

    def let_go(self, extern_id: str, *, error: str = "") -> Task:
        """Abort the task, or end it as failed if there is an `error`: the disk stays where it is,
        and whoever wrote for the task may write no more. Conflict if it was switched already."""
        task = self.task(extern_id)
        if self.disk(extern_id).task == task.id:
            self.change(disks.released(extern_id, task.id))
        if self.disk(extern_id).switched == task.id:
            raise Conflict(f"disk {extern_id} was switched", hint="move it back with a new task")
        if task.status not in TASK.ends():
            self.advance(task, Event.FAIL if error else Event.ABORT, error=error)
        return self.settle(extern_id)

    def repair(self) -> list[str]:
        """Settle every task, and free the slots of those that never came to be."""
        done = [self.settle(task.extern_id).id for task in self.tasks()]
        for slot in list(self._slots.find({})):
            extern_id = str(slot["task"]).rpartition(".")[0]
            task = self._tasks.get(extern_id)
            if task is None or task["task"] != slot["task"]:
                self._slots.remove({"id": slot["id"], "task": slot["task"]})
        return done

    # within

    def _may_move(self, disk: DiskRecord, target: Set) -> None:
        if disk.state != HEALTHY:
            raise Refused(f"disk {disk.id} is {disk.state}", hint="mend it first")
        if target.id == disk.set:
            raise Refused(f"disk {disk.id} is in set {disk.set}", hint="name another set")
        if target.site != disk.site:
            raise Refused(f"set {target.id} is of site {target.site!r}, and the disk of another")
        if disk.task:
            raise Conflict(
                f"disk {disk.id} has the task {disk.task}: {self.task(disk.id).status}",
                hint="watch it, or abort it",
            )
        left = [copy for copy in self.copies(disk.id) if copy["name"] == f"{disk.id}{OLD}"]
        if left:
            raise Occupied(
                f"{disk.id}{OLD} is in set {left[0]['set']} still",
                hint="delete it, or keep it under another name",
            )

    def _archive(self, extern_id: str) -> None:
        """What the disk's last task was stays to be read; there is one active at a time."""
        doc = self._tasks.get(extern_id)
        if doc is None:
            return
        task = self.settle(extern_id)
        if task.status not in TASK.ends():
            raise Conflict(f"disk {extern_id} has the task {task.id}", hint="abort it first")
        self._past.insert({**doc, "id": task.id, "status": CODES[task.status]})
        self._tasks.remove({"id": extern_id, "task": task.id})

    def _tasks_so_far(self, extern_id: str) -> int:
        return self._past.count({"extern_id": extern_id})

    def _slot(self, set: str, task: str) -> str:
        for held in self._slots.find({"set": set, "task": task}):  # of an attempt that died
            return str(held["id"])
        for n in range(self.set(set).slots):
            slot = f"{set}/{n}"
            if self._slots.insert({"id": slot, "set": set, "task": task}):
                return slot
        raise Backpressure(
            f"set {set} gives {self.set(set).slots} disks away already",
            retry_in=timedelta(minutes=1),
            hint="wait until one of its tasks has ended",
        )

    def _rename(self, set: str, lc: str, name: str) -> None:
        self._copies.change({"id": f"{set}/{lc}"}, set={"name": name})


def _copy(set: str, lc: str, extern_id: str, name: str, size: int) -> Doc:
    doc: Doc = {"id": f"{set}/{lc}", "set": set, "lc": lc, "extern_id": extern_id}
    return doc | {"name": name, "size": size, "made": False, "reclaim": False}


def _disk(doc: Doc) -> DiskRecord:
    fields = ("id", "site", "set", "lc", "size", "epoch", "task", "state", "switched")
    return DiskRecord(**{name: doc[name] for name in fields})


_STATUS = {code: status for status, code in CODES.items()}


def _task(doc: Doc) -> Task:
    fields = ("extern_id", "size", "finish_offset", "moved", "start_time", "end_time", "source_set")
    more = ("target_set", "source_lc", "target_lc", "slot", "generation", "trans_ip", "trans_port")
    known = {name: doc[name] for name in (*fields, *more, "error", "trans_epoch")}
    return Task(id=doc["task"], status=_STATUS[doc["status"]], **known)
