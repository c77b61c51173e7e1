"""Which epoch of each bucket this gateway serves by, and whether it may serve at all.

The lease is the gateway's own judgement: three quarters of it after the last beat that the store
took, by its own monotonic clock, it refuses. A request is counted under the epoch it began with;
only when the last one of an epoch is over is the next one confirmed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

from common.clock import Clock
from common.store.gateways import Gateways
from common.store.switches import Switch, Switches
from consumer.trans.buckets.faults import Fault, slow_down
from consumer.trans.buckets.routing import Route, route

SHARE = 0.75  # of a lease, after which it is not relied on any more


class Confirmed(NamedTuple):
    """What a gateway says of itself, by bucket."""

    seen: dict[str, int]  # the epoch before which nothing is in hand any more
    in_hand: dict[str, int]
    wrote: dict[str, int]


class Routes:
    """The gateway's view of the switches. `read` and `beat` wait for the store, and may run in
    another thread; everything else is for the thread that serves."""

    def __init__(
        self, name: str, switches: Switches, gateways: Gateways, lease: timedelta, clock: Clock
    ) -> None:
        self.name = name
        self._switches, self._gateways, self._clock = switches, gateways, clock
        self._span, self._until = lease.total_seconds() * SHARE, float("-inf")
        self._known: dict[str, Switch] = {}
        self._in_hand: Counter[tuple[str, int]] = Counter()
        self._wrote: Counter[str] = Counter()

    def read(self) -> tuple[float, list[Switch]]:
        """Look at every switch; may be called from another thread. Raises what the store raises.

        Who has no lease is known to the leader before he looks: else a switch could go on behind
        his back, between his look and his first word.
        """
        if not self.leased:
            self._gateways.beat(self.name, {}, {}, {})
        return self._clock.tick(), list(self._switches.all())

    def install(self, found: list[Switch]) -> Confirmed:
        """Serve by these from now on; what may be confirmed. In the thread that serves, so that no
        request can begin by an older epoch behind our back."""
        self._known = {switch.id: switch for switch in found}
        wrote = {name: self._wrote[name] for name in self._known}
        return Confirmed(self.confirmed(), self._counted(), wrote)

    def beat(self, confirmed: Confirmed, began: float) -> None:
        """Confirm it, and hold the lease from when the look began."""
        self._gateways.beat(self.name, *confirmed)
        self._until = began + self._span

    def leave(self) -> None:
        """An orderly end."""
        self._until = float("-inf")
        self._gateways.leave(self.name)

    @property
    def leased(self) -> bool:
        return self._clock.tick() < self._until

    def confirmed(self) -> dict[str, int]:
        """The epoch of each bucket before which nothing is in hand any more."""
        seen = {name: switch.epoch for name, switch in self._known.items()}
        for (name, epoch), many in list(self._in_hand.items()):
            if many and name in seen:
                seen[name] = min(seen[name], epoch)
        return seen

    def buckets(self, tenant: str) -> list[Switch]:
        """What a tenant has here."""
        self.must_hold()
        return [switch for switch in self._known.values() if switch.tenant == tenant]

    @contextmanager
    def serving(self, bucket: str, tenant: str) -> Iterator[tuple[Switch, Route]]:
        """The bucket and its route, for one request; counted until the block ends."""
        self.must_hold()
        switch = self._known.get(bucket)
        if switch is None or switch.tenant != tenant:
            raise Fault("AccessDenied", "Access denied.")
        turn = (bucket, switch.epoch)
        self._in_hand[turn] += 1
        try:
            yield switch, route(switch.phase, holding=switch.holding)
        finally:
            self._in_hand[turn] -= 1
            if not self._in_hand[turn]:
                del self._in_hand[turn]

    def writes(self, bucket: str) -> None:
        """A write begins: the leader sees by the count whether a bucket is quiet."""
        self._wrote[bucket] += 1

    def current(self, bucket: str) -> Switch | None:
        """The bucket as of the last look."""
        return self._known.get(bucket)

    def must_hold(self) -> None:
        """Fail closed where the lease may have run out."""
        if not self.leased:
            raise slow_down("The gateway has no lease at the moment; come again.")

    def _counted(self) -> dict[str, int]:
        found: Counter[str] = Counter()
        for (name, _), many in list(self._in_hand.items()):
            found[name] += many
        return dict(found)
