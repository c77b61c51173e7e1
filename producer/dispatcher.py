"""Publishes what is due, a little at a time: the queue holds a window, the store holds the rest.

Before a message is sent, the unit's next due time is noted; whatever happens to the message, the
unit is published again then unless somebody claimed it. So nothing has to be known about the fate
of messages, and pause, limits and fairness take effect within one window.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from common.model import Migration, Unit
from common.queue.broker import Broker
from common.queue.messages import Message, Outbox
from common.settings import Settings
from common.store.units import Units
from producer.registry import PLANNERS

log = structlog.get_logger(__name__)
LOOK = 200  # sleeping units looked at in one round


@dataclass(slots=True)
class Dispatcher:
    """One round at a time; keeps nothing that could not be thrown away."""

    units: Units
    outbox: Outbox
    broker: Broker
    settings: Settings
    _turn: int = 0
    _looked: dict[str, str] = field(default_factory=dict)

    def round(self, migrations: Sequence[Migration], *, consumers: int) -> int:
        """Fill the window of every queue fairly; how many messages were published."""
        queues: dict[str, list[Migration]] = defaultdict(list)
        for migration in migrations:
            queues[PLANNERS[migration.kind].queue].append(migration)
        self._turn += 1
        return sum(self._fill(name, those, consumers) for name, those in queues.items())

    def _fill(self, queue: str, migrations: list[Migration], consumers: int) -> int:
        window = max(self.settings.window * consumers, self.settings.window_least)
        # what consumers hold does not count: of the dead ones it would fill the window for long
        free = window - self.broker.waiting(queue)
        if free < max(1, window // 2):  # a few big helpings cost less than many small ones
            return 0
        due = {m.id: deque(self._due(m, free)) for m in migrations}
        chosen = share(migrations, due, free, self._turn)
        if chosen:
            self.units.postpone(chosen, self.settings.resend)
            self.outbox.publish(queue, [Message(u.migration, u.id, u.epoch) for u in chosen])
        return len(chosen)

    def _due(self, migration: Migration, limit: int) -> list[Unit]:
        ready = []
        for unit in self.units.due(migration, limit):
            if unit.after and self.units.open(migration, unit.after):
                self.units.sleep(unit)
            else:
                ready.append(unit)
        return ready

    def wake(self, migration: Migration) -> None:
        """Look at some sleeping units, in turn: a wake-up call may have been lost."""
        behind = self._looked.get(migration.id, "")
        asleep = self.units.asleep(migration, behind=behind, limit=LOOK)
        self._looked[migration.id] = asleep[-1].id if len(asleep) == LOOK else ""
        for unit in asleep:
            if not self.units.open(migration, unit.after):
                self.units.wake(unit)


def share(
    migrations: Sequence[Migration], due: dict[str, deque[Unit]], free: int, turn: int
) -> list[Unit]:
    """At most `free` units: tenants in turn, within a tenant its migrations in turn.

    `turn` moves the start: the tenants' each time, their migrations' once every tenant was first,
    so that even with a single place in each round everybody is first in the end.
    """
    tenants: dict[str, deque[str]] = defaultdict(deque)
    for migration in migrations:
        if due.get(migration.id):
            tenants[migration.tenant].append(migration.id)
    order = deque(sorted(tenants))
    rounds, first = divmod(turn, len(order) or 1)
    order.rotate(-first)
    for line in tenants.values():
        line.rotate(-rounds)
    chosen: list[Unit] = []
    while order and len(chosen) < free:
        tenant = order.popleft()
        line = tenants[tenant]
        migration_id = line.popleft()
        chosen.append(due[migration_id].popleft())
        if due[migration_id]:
            line.append(migration_id)
        if line:
            order.append(tenant)
    return chosen
