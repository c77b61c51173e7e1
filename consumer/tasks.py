"""Celery's view of the consumer: one task, a few lines, no decisions."""

from __future__ import annotations

from collections.abc import Callable

from celery import Celery, Task

from common.errors import ConvoyError
from common.queue.messages import MOVE, Message
from consumer.runner import Crew, Outcome, run


def register(app: Celery, crew: Callable[[], Crew]) -> Task:
    """Give `app` the one task. `crew` is asked at each delivery: it is made after the fork."""

    def move(self: Task, migration: str, unit: str, epoch: int) -> str:  # noqa: ARG001
        try:
            return run(Message(migration, unit, epoch), crew()).value
        except ConvoyError:  # the store is away: the message is spent, the dispatcher repeats it
            return Outcome.LATER.value

    return app.task(name=MOVE, bind=True)(move)
