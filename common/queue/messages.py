"""The message catalogue: one message, which names a unit and nothing else.

Messages carry identity, never data, credentials or what to do: whoever receives one looks at the
store. So a lost, doubled, late or reordered message costs time only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from celery import Celery
from kombu.exceptions import KombuError, OperationalError
from redis.exceptions import RedisError

from common.errors import Transient, translate

MOVE = "convoy.move"  # the task's name; the producer never imports the consumer
_FOREIGN: dict[type[BaseException], type[Transient]] = {
    OperationalError: Transient,
    KombuError: Transient,
    RedisError: Transient,
    OSError: Transient,
}


class Message(NamedTuple):
    """Look at this unit, if it is still in this epoch."""

    migration: str
    unit: str
    epoch: int


class Outbox:
    """Publishes messages in batches. Transient if the broker is away; repeating is harmless."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def publish(self, queue: str, messages: Sequence[Message]) -> None:
        """Put `messages` on `queue`, in order."""
        with (
            translate(_FOREIGN, "broker"),
            self._app.producer_pool.acquire(block=True) as producer,
            producer.batch(),
        ):
            for message in messages:
                self._app.send_task(
                    MOVE,
                    args=list(message),
                    task_id=f"{message.unit}:{message.epoch}",
                    queue=queue,
                    producer=producer,
                    retry=False,
                )
