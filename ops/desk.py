"""An operator's desk: the repositories of one deployment, opened for one command.

Which deployment, is said by the two addresses; without them it is the one of this machine, whose
records lie in the home whether anything runs or not. Nothing here starts a process.
"""

from __future__ import annotations

import getpass
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from common.clock import Clock
from common.errors import Denied, Missing, Refused, Transient
from common.model import Migration
from common.queue.broker import Broker
from common.settings import Settings
from common.store.audit import Audit
from common.store.base import Store
from common.store.connect import connect
from common.store.consumers import Consumers
from common.store.events import Events
from common.store.failures import Failures
from common.store.migrations import Migrations
from common.store.unit_looks import UnitLooks
from common.store.units import Units
from ops import embedded

REDIS = "redis"  # the embedded server's folder in the home
LEASE = timedelta(seconds=20)  # on one machine, unless set: what a crash costs the next start


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything a command may look at, and who sits here."""

    settings: Settings
    store: Store
    broker: Broker | None  # None: nothing of this machine's fleet runs
    clock: Clock
    who: str

    @property
    def migrations(self) -> Migrations:
        return Migrations(self.store, self.clock)

    @property
    def units(self) -> Units:
        return Units(self.store, self.clock)

    @property
    def unit_looks(self) -> UnitLooks:
        return UnitLooks(self.store)

    @property
    def failures(self) -> Failures:
        return Failures(self.store)

    @property
    def events(self) -> Events:
        return Events(self.store, self.clock)

    @property
    def audit(self) -> Audit:
        return Audit(self.store, self.clock)

    @property
    def consumers(self) -> Consumers:
        return Consumers(self.store, self.clock)

    def tell(self, subject: str) -> str:
        """Hurry everyone to look at a record; why it may take a beat longer, or ""."""
        if self.broker is None:
            return ""
        try:
            self.broker.tell(subject)
        except Transient as away:
            return (
                f"consumers will notice within {self.settings.beat.total_seconds():.0f} s ({away})"
            )
        return ""

    def find(self, name: str) -> Migration:
        """The migration of this ID, or of an ID that begins so (with or without its kind)."""
        try:
            return self.migrations.get(name)
        except Missing:
            found = [m for m in self.migrations.all() if name and _begins(m.id, name)]
        if len(found) > 1:
            ids = ", ".join(sorted(m.id for m in found)[:5])
            raise Refused(f"{name!r} is the beginning of {ids}", hint="give more of the ID")
        if not found:
            raise Missing(f"there is no migration {name!r}", hint="`convoy list` shows all")
        return found[0]


@contextmanager
def desk(settings: Settings) -> Iterator[Desk]:
    """Open the desk; its connections end with the block."""
    known = addressed(settings)
    store = connect(known.state())
    broker = Broker(known.broker()) if known.broker_url else None
    try:
        yield Desk(known, store, broker, Clock(), who())
    finally:
        store.close()
        if broker:
            broker.close()


def addressed(settings: Settings) -> Settings:
    """The settings with the addresses of this machine's own fleet if none are given.

    The broker stays unset while nothing runs. Refused if only one of the two is given.
    """
    if not settings.embedded:
        settings.state(), settings.broker()
        return settings
    with own(settings.home):
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        return here(settings, embedded.running(settings.home / REDIS))


def here(settings: Settings, broker: str | None) -> Settings:
    """The settings of the fleet of this machine, whose Redis is at `broker`."""
    state = f"sqlite:///{settings.home.absolute()}/state.db"
    update: dict[str, Any] = {"state_url": SecretStr(state)}
    update["broker_url"] = SecretStr(broker) if broker else None
    if "lease" not in settings.model_fields_set:
        update["lease"] = LEASE
    return settings.model_copy(update=update)


@contextmanager
def own(home: Path) -> Iterator[None]:
    """Say in our words that a home cannot be used."""
    try:
        yield
    except OSError as error:
        raise Denied(
            f"{home} cannot be used: {error.strerror}",
            hint="set CONVOY_HOME to a folder that you may write",
        ) from error


def who() -> str:
    """The person at this terminal, for the records."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # no such user in the password file
        name = str(os.getuid())
    return f"{name}@{platform.node()}"


def _begins(full: str, name: str) -> bool:
    return full.startswith(name) or full.partition("-")[2].startswith(name)
