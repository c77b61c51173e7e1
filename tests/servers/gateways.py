"""A gateway of ours between two real stores, in a thread of the test, and the two stores' keys.

The state store is a real SQLite file; the switch is moved by the test, phase by phase, and each
step is waited for until the gateway has confirmed it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from common.lifecycle.buckets import Event, Phase
from common.store.gateways import Gateways
from common.store.journal import Journal
from common.store.sqlite import SqliteStore
from common.store.switches import Caller, Switch, Switches, Tenant
from consumer.trans.buckets import boot
from consumer.trans.buckets.gateway import Gateway
from tests.servers import fences
from tests.servers.s3 import FIXTURES, GUESTS, Store
from tests.waiting import eventually

_NUMBERS = itertools.count(1)
ACCESS, SECRET, STRANGER = "AKIDUSER", "users-secret", "AKIDSTRANGER"
PROFILE = f"[user]\naws_access_key_id = {ACCESS}\naws_secret_access_key = {SECRET}\n"
LEASE = timedelta(seconds=2)
FORWARD = {
    Phase.TRACKING: Event.START,
    Phase.QUIESCING: Event.QUIET,
    Phase.REDIRECTED: Event.DRAINED,
    Phase.COPYING: Event.OPEN,
    Phase.VERIFYING: Event.COPIED,
    Phase.SEALING: Event.VERIFIED,
    Phase.DONE: Event.SEALED,
}


def with_profile() -> None:
    """Add the users' own key to the shared credentials of this run."""
    path = Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"])
    if "[user]" not in path.read_text():
        path.write_text(path.read_text() + PROFILE)


@dataclass
class World:
    """Two stores, the gateway between them, and one bucket."""

    old: Store
    new: Store
    bucket: str
    state: SqliteStore
    endpoint: str = ""
    gateways: dict[str, tuple[Gateway, asyncio.AbstractEventLoop]] = field(default_factory=dict)

    @property
    def switches(self) -> Switches:
        return Switches(self.state)

    @property
    def journal(self) -> Journal:
        return Journal(self.state)

    @property
    def switch(self) -> Switch:
        return self.switches.get(self.bucket)

    def user(self, access: str = ACCESS, secret: str = SECRET, **options: Any) -> Any:
        """A user's client of the gateway."""
        return client(self.endpoint, access, secret, **options)

    def to(self, phase: Phase) -> None:
        """Move the switch forward to this phase, each step confirmed by every gateway."""
        while self.switch.phase is not phase:
            following = list(FORWARD)
            here = self.switch.phase
            after = following[following.index(here) + 1] if here in following else following[0]
            self.switches.advance(self.switch, FORWARD[after], by="test")
            self.confirmed()

    def roll_back(self) -> None:
        self.switches.advance(self.switch, Event.ROLL_BACK, by="test")
        self.confirmed()

    def look(self) -> None:
        """Let every gateway look at once."""
        for gateway, loop in self.gateways.values():
            asyncio.run_coroutine_threadsafe(gateway.look(), loop).result(30)

    def confirmed(self) -> None:
        """Wait until every gateway serves by the present epoch."""
        wanted = self.switch.epoch
        self.look()

        def known() -> bool:
            seen = {g.id: g.seen.get(self.bucket, 0) for g in Gateways(self.state).all()}
            return bool(seen) and all(epoch >= wanted for epoch in seen.values())

        eventually(known)


def client(endpoint: str, access: str, secret: str, **options: Any) -> Any:
    """boto3 as it comes, checksums and all."""
    style = options.pop("addressing_style", "path")
    options.setdefault("signature_version", "s3v4")
    config = Config(s3={"addressing_style": style}, retries={"max_attempts": 0}, **options)
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=config,
    )


@contextmanager
def between(old: Store, new: Store, bucket: str, home: Path) -> Iterator[World]:
    """The bucket on both stores, served by one gateway, in its first phase."""
    with_profile()
    for store in (old, new):
        store.independent().create_bucket(Bucket=bucket)
    home.mkdir(parents=True, exist_ok=True)
    state = SqliteStore(str(home / "state.db"), durable=True)
    switches = Switches(state)
    stores = f"{old.name} {old.endpoint} {new.name} {new.endpoint}"
    fence = (
        f"{sys.executable} -W ignore -m tests.servers.fences {{act}} {{side}} {{bucket}} {stores}"
    )
    tenant = Tenant("acme", old.endpoint, new.endpoint, old.name, new.name, fence)
    switches.add_tenant(tenant)
    switches.add_caller(Caller(ACCESS, "acme", "user", _guest(old, bucket), _guest(new, bucket)))
    switches.add_bucket(bucket, "acme", exclusive=new.exclusive, matches=new.matches)
    world = World(old, new, bucket, state)
    try:
        with served(world, "g1") as endpoint:
            world.endpoint = endpoint
            yield world
    finally:
        state.close()


def _guest(store: Store, bucket: str) -> str:
    """The profile of a user without rights of his own, who is let into the bucket."""
    if store.name not in GUESTS:
        return store.name
    fences.SETS[store.name](store.endpoint, bucket, writes=True)
    return GUESTS[store.name].name


@contextmanager
def served(world: World, name: str, **options: Any) -> Iterator[str]:
    """One more gateway; its endpoint."""
    loop, begun, port = asyncio.new_event_loop(), threading.Event(), list[int]()
    stop = asyncio.Event()

    def ready(at: int) -> None:
        port.append(at)
        begun.set()

    async def main() -> None:
        options.setdefault("lease", LEASE)
        options.setdefault("hold", timedelta(seconds=1))
        options.setdefault("domains", ("gate.localhost",))
        gateway = Gateway(world.state, name, **options)
        world.gateways[name] = gateway, loop
        await boot.run(gateway, "127.0.0.1", 0, stop, ready)

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), name=name)
    thread.start()
    try:
        assert begun.wait(30), "the gateway does not come up"
        yield f"http://127.0.0.1:{port[0]}"
    finally:
        world.gateways.pop(name, None)
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()


@pytest.fixture
def gate_pair(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """Two stores by their names, "old-new"."""
    old, _, new = getattr(request, "param", "swift-moto").partition("-")
    return request.getfixturevalue(FIXTURES[old]), request.getfixturevalue(FIXTURES[new])


@pytest.fixture
def gate(gate_pair: tuple[Any, Any], tmp_path: Path) -> Iterator[World]:
    old, new = gate_pair
    name = f"gate-{old.bucket.removeprefix('bucket-')}-{next(_NUMBERS)}-{old.name}-{new.name}"
    with between(old, new, name, tmp_path / "gate") as made:
        yield made
