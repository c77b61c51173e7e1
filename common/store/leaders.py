"""Leadership: one record per office, taken over when its counter stands still for one lease.

A deposed leader that wakes up can only publish messages again and judge with stale beats; both
are refused or harmless by the units' own compare-and-sets.
"""

from __future__ import annotations

from datetime import timedelta

from common.clock import Clock, Stillness
from common.errors import Stale
from common.store.base import Filter, Store


class Leadership:
    """One candidate for one office."""

    def __init__(
        self, store: Store, office: str, name: str, lease: timedelta, clock: Clock | None = None
    ) -> None:
        self._documents = store.collection("leaders")
        self._office, self._name, self._lease = office, name, lease
        self._still = Stillness(clock or Clock())
        self.epoch = 0  # ours while we lead; 0 while we do not

    def campaign(self) -> bool:
        """Renew if we lead, take over if nobody does; True if we lead now."""
        if self.epoch:
            try:
                self._renew()
            except Stale:
                self.epoch = 0
        return bool(self.epoch) or self._take()

    def resign(self) -> None:
        """Let the next one in at once."""
        if self.epoch:
            self._documents.change({"id": self._office, "epoch": self.epoch}, set={"holder": ""})
            self.epoch = 0

    def _renew(self) -> None:
        mine: Filter = {"id": self._office, "epoch": self.epoch, "holder": self._name}
        if self._documents.change(mine, inc={"beat": 1}) is None:
            raise Stale(f"{self._name} is no longer {self._office}")

    def _take(self) -> bool:
        self._documents.insert({"id": self._office, "epoch": 0, "holder": "", "beat": 0})
        doc = self._documents.get(self._office)
        if doc is None:
            return False
        still = self._still.of(self._office, (doc["epoch"], doc["beat"]))
        if doc["holder"] and still < self._lease:
            return False
        seen: Filter = {"id": self._office, "epoch": doc["epoch"], "beat": doc["beat"]}
        won = self._documents.change(
            seen,
            set={"holder": self._name},
            inc={"epoch": 1, "beat": 1},
        )
        self.epoch = int(won["epoch"]) if won else 0
        return bool(won)
