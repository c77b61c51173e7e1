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

from common.clock import Clock
from common.store.gateways import Gateways
from common.store.switches import Switch, Switches
from consumer.trans.buckets.faults import Fault, slow_down
from consumer.trans.buckets.routing import Route, route

SHARE = 0.75  # of a lease, after which it is not relied on any more


class Routes:
    """The gateway's view of the switches. Not safe from several threads but for `renew`."""

    def __init__(
        self, name: str, switches: Switches, gateways: Gateways, lease: timedelta, clock: Clock
    ) -> None:
        self.name = name
        self._switches, self._gateways, self._clock = switches, gateways, clock
        self._span, self._until = lease.total_seconds() * SHARE, float("-inf")
        self._known: dict[str, Switch] = {}
        self._in_hand: Counter[tuple[str, int]] = Counter()
        self._wrote: Counter[str] = Counter()

    def renew(self) -> None:
        """Look at every switch, and confirm what holds. Raises what the store raises.

        Who has no lease is known to the leader before he looks: else a switch could go on behind
        his back, between his look and his first word.
        """
        if not self.leased:
            self._gateways.beat(self.name, {}, {}, {})
        began = self._clock.tick()
        self._known = {switch.id: switch for switch in self._switches.all()}
        wrote = {name: self._wrote[name] for name in self._known}
        self._gateways.beat(self.name, self.confirmed(), self._counted(), wrote)
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
