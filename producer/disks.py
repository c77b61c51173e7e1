"""Trigger: orders the migrations of a site's disks, watches them, ends those that stand still.

A disk is moved by its Trans; what is decided here is whether it may begin, and when it has gone on
for too long without moving anything. Then the task has failed: the guest is back on the source,
nobody has lost anything, and a person is told.
"""

from __future__ import annotations

from datetime import timedelta

import structlog

from common.clock import Clock, Stillness
from common.errors import Conflict
from common.lifecycle.disks import TASK
from common.store.access import Access, Task

log = structlog.get_logger(__name__)
STILL = timedelta(minutes=2)  # without a slice moved, then a task has failed


class Trigger:
    """One per site; keeps nothing but how long each task has stood still."""

    def __init__(self, access: Access, clock: Clock, *, still: timedelta = STILL) -> None:
        self._access, self._limit = access, still
        self._still = Stillness(clock)

    def migrate(self, disk: str, target_set: str) -> Task:
        """Order it; refused before anything is there if it cannot be."""
        task = self._access.create(disk, target_set)
        log.info("disk.ordered", disk=disk, task=task.id, to=target_set)
        return task

    def abort(self, disk: str) -> Task:
        """The guest goes back to the source, and the target's space is given back. Any number of
        times; Conflict once the disk was switched."""
        task = self._access.let_go(disk)
        log.info("disk.aborted", disk=disk, task=task.id, status=task.status.value)
        return task

    def look(self) -> list[Task]:
        """Settle what has ended, end what stands still; the tasks that failed now."""
        failed, known = [], set()
        for task in self._access.tasks():
            task = self._access.settle(task.extern_id)
            if task.status in TASK.ends():
                continue
            known.add(task.id)
            sign = (task.status, task.finish_offset, task.moved)
            if self._still.of(task.id, sign) >= self._limit:
                failed += self._fail(task)
        self._still.keep(set(known))
        return failed

    def _fail(self, task: Task) -> list[Task]:
        minutes = self._limit.total_seconds() / 60
        try:
            ended = self._access.let_go(
                task.extern_id, error=f"no progress for {minutes:g} minutes"
            )
        except Conflict:  # it was switched just now
            return []
        log.error("disk.failed", disk=task.extern_id, task=task.id, why=ended.error)
        return [ended]
