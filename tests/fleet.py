"""A real fleet on this machine for tests: broker, producer and consumers as processes to kill.

Dead members are started again when somebody looks (`mind`), as the watchdog does on a host.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from common.model import Kind, Migration
from common.settings import Settings
from common.store.base import Store
from common.store.connect import connect
from common.store.events import Events
from common.store.migrations import Migrations
from common.store.units import Units
from ops.embedded import Redis
from ops.processes import Child, Family
from producer.intake import Intake, Order

ROOT = Path(__file__).resolve().parents[1]
LEADER = (
    "import signal;from producer.boot import producer;from common.settings import Settings;"
    "from common.telemetry import logs;logs.configure();p=producer(Settings());"
    "signal.signal(signal.SIGTERM,lambda *_:p.stop.set());p.run()"
)


@dataclass
class Fleet:
    """Everything between an order and its report."""

    home: Path
    redis: Redis
    family: Family
    env: dict[str, str]
    settings: Settings
    store: Store
    members: dict[str, Child] = field(default_factory=dict)
    started: int = 0

    def __post_init__(self) -> None:
        self.migrations, self.units = Migrations(self.store), Units(self.store)
        self.events = Events(self.store)

    def order(
        self,
        old: Path | str,
        new: Path | str,
        users: list[str] | None = None,
        *,
        limits: dict[str, str] | None = None,
        **options: object,
    ) -> Migration:
        """Accept a migration of users between two folders or URLs."""
        intake = Intake(self.migrations, self.units, self.events, self.settings)
        order = Order(str(old), str(new), Kind.USERS, options=options, limits=limits or {})
        return intake.accept(order, users).migration

    def start(self, name: str) -> Child:
        """Start a member: `producer`, or a consumer by any other name."""
        argv = [sys.executable, "-c", LEADER]
        if name != "producer":
            argv = [sys.executable, "-m", "celery", "-A", "consumer.app", "worker"]
            argv += ["-n", f"{name}@%h", "-Q", "users", "--without-gossip", "--without-mingle"]
            argv += ["--loglevel", "WARNING"]
        self.started += 1
        child = self.family.spawn(name, argv, env=self.env, log=self.home / f"{name}.log", cwd=ROOT)
        self.members[name] = child
        return child

    def mind(self) -> None:
        """Start again whoever is dead."""
        for name, child in list(self.members.items()):
            if not child.alive:
                self.family.forget(child)
                self.start(name)
        if not self.redis.alive:
            self.redis.restart()

    def ended(self, migration: Migration) -> bool:
        """Is it done, or can it not go on by itself? Minds the fleet while asking."""
        self.mind()
        seen = self.migrations.get(migration.id)
        return seen.phase in ("done", "cancelled") or self.units.stuck(seen)


def children(pid: int) -> list[int]:
    """The processes whose parent is `pid`."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, task.joinpath("children").read_text().split())
    return found


def kill(pid: int, signum: int = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signum)


@contextmanager
def fleet(
    home: Path, *, consumers: int = 2, state_url: str = "", lease: float = 2, **settings: str
) -> Iterator[Fleet]:
    """A running fleet with short leases; nothing of it is left when the block ends."""
    home.mkdir(parents=True, exist_ok=True)
    with Redis(home / "redis") as redis, Family(timedelta(seconds=15)) as family:
        env = {k: v for k, v in os.environ.items() if not k.startswith("CONVOY_")} | {
            "CONVOY_BROKER_URL": redis.url,
            "CONVOY_STATE_URL": state_url or f"sqlite:///{home / 'state.db'}",
            "CONVOY_HOME": str(home),
            "CONVOY_LEASE": f"{lease}s",
            "CONVOY_RESEND": "2s",
            "CONVOY_BACKOFF": "200ms",
            "CONVOY_BACKOFF_MOST": "2s",
            "CONVOY_SWEEP": "200ms",
            "CONVOY_ATTEMPTS": "50",
            "PYTHONPATH": str(ROOT),
            **{
                name.upper() if name == "remap_sigterm" else f"CONVOY_{name.upper()}": value
                for name, value in settings.items()
            },
        }
        fields = {k.removeprefix("CONVOY_").lower(): v for k, v in env.items() if "CONVOY_" in k}
        known = Settings.model_validate(fields)
        store = connect(known.state(), durable=True)
        running = Fleet(home, redis, family, env, known, store)
        running.start("producer")
        for number in range(1, consumers + 1):
            running.start(f"c{number:02}")
        try:
            yield running
        finally:
            store.close()
