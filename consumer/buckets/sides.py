"""The two stores of a bucket as the migration itself reaches them, and the journal between them."""

from __future__ import annotations

from dataclasses import dataclass

from common.endpoints.s3.client import Client
from common.endpoints.s3.location import Location
from common.endpoints.wire import Timeouts
from common.store.base import Store
from common.store.journal import Journal
from common.store.switches import Switch, Tenant
from consumer.trans.buckets.routing import Found
from consumer.trans.buckets.side import MARK


@dataclass(frozen=True, slots=True)
class Sides:
    """What the jobs of one bucket may touch."""

    bucket: str
    old: Client
    new: Client
    journal: Journal
    epoch: int
    joins: bool = False  # new lets one of many conditional joins win

    @classmethod
    def of(cls, store: Store, tenant: Tenant, switch: Switch, limits: Timeouts) -> Sides:
        """As the tenant says."""
        old = Location(switch.id, endpoint=tenant.old, profile=tenant.old_profile)
        new = Location(switch.id, endpoint=tenant.new, profile=tenant.new_profile)
        journal = Journal(store)
        clients = Client(old, limits), Client(new, limits)
        return cls(switch.id, *clients, journal, switch.epoch, switch.joins)

    def found(self, key: str) -> Found | None:
        """What new holds under the key."""
        head = self.new.head(key)
        return None if head is None else Found(MARK in head)

    def close(self) -> None:
        self.old.channel.close()
        self.new.channel.close()
