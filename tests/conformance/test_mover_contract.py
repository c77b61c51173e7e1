"""One suite for every mover. A new kind adds a lab, never a test.

A lab makes, damages and compares one kind's data; the suite drives the kind's real mover through
the real runner on a real store, and kills it for real.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, Protocol

import pytest

from common import failpoints
from common.lifecycle.units import State
from common.lifecycle.users import Event
from common.model import Draft, Kind, Migration
from common.queue.broker import Broker
from common.queue.messages import Message
from common.settings import Settings
from common.store.sqlite import SqliteStore
from consumer.registry import MOVERS
from consumer.runner import Crew, Outcome, run
from tests.factories import Ground, settings_for
from tests.trees import differences, plant

RUNNER = ["claimed", "moved", "reporting", "finished"]


class Lab(Protocol):
    """How a test makes, damages and compares one kind's data."""

    draft: ClassVar[Draft]
    verify: ClassVar[Draft]
    crashes: ClassVar[list[str]]
    source: str
    target: str

    def differences(self) -> list[str]: ...
    def damage(self) -> None: ...
    def residue(self) -> list[str]: ...
    def state(self) -> object: ...


class UsersLab:
    draft: ClassVar = Draft("user", "ann", group="ann")
    verify: ClassVar = Draft("verify", "ann", group="ann")
    crashes: ClassVar[list[str]] = [
        f"users.{place}" for place in ("staged", "settled", "intended", "publishing", "published")
    ]

    def __init__(self, root: Path) -> None:
        self.old, self.new = root / "old", root / "new"
        self.source, self.target = f"file://{self.old}", f"file://{self.new}"
        self.new.mkdir()
        plant(self.old / "ann")

    def differences(self) -> list[str]:
        return differences(self.old / "ann", self.new / "ann")

    def damage(self) -> None:
        victim = self.new / "ann" / "docs" / "ein Brief.txt"
        was = victim.stat()
        data = bytearray(victim.read_bytes())
        data[3] ^= 1
        victim.write_bytes(data)
        os.utime(victim, ns=(was.st_atime_ns, was.st_mtime_ns))

    def residue(self) -> list[str]:
        return [str(p) for p in self.new.rglob(".convoy*")]

    def state(self) -> object:
        items = (p for p in self.new.rglob("*") if p.is_symlink() or not p.is_dir())
        return sorted((str(p), p.lstat().st_ctime_ns) for p in items)


LABS: dict[Kind, Callable[[Path], Lab]] = {Kind.USERS: UsersLab}
PLACES = [
    (kind, place)
    for kind, lab in ((Kind.USERS, UsersLab),)
    for place in [*lab.crashes, *(f"runner.{name}" for name in RUNNER)]
]


@pytest.fixture(params=sorted(MOVERS))
def kind(request: pytest.FixtureRequest) -> Kind:
    return Kind(request.param)


@pytest.fixture
def lab(kind: Kind, tmp_path: Path) -> Lab:
    return LABS[kind](tmp_path)


@pytest.fixture
def settings(tmp_path: Path, broker_url: str) -> Settings:
    return settings_for(tmp_path / "home", broker_url=broker_url)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    store = SqliteStore(str(tmp_path / "state.db"))
    yield Ground(store)
    store.close()


@pytest.fixture(autouse=True)
def nothing_armed() -> Iterator[None]:
    yield
    failpoints.disarm()


def begin(ground: Ground, lab: Lab, draft: Draft, **options: object) -> Migration:
    migration = ground.migrations.create(Kind.USERS, lab.source, lab.target, options=options)
    ground.units.plan(migration, [draft])
    return ground.migrations.advance(migration, Event.PLANNED, by="test")


def again(ground: Ground, migration: Migration, draft: Draft, **options: object) -> Migration:
    seen = ground.migrations.get(migration.id)
    renewed = ground.migrations.renew(seen, Event.AGAIN, by="test", options=options)
    ground.units.plan(renewed, [draft])
    return ground.migrations.advance(renewed, Event.PLANNED, by="test")


def crew_of(ground: Ground, kind: Kind, settings: Settings) -> Crew:
    heartbeat = ground.heartbeat(settings, Broker(settings.broker()))
    return ground.crew_of(MOVERS, settings, heartbeat)


def deliver(ground: Ground, migration: Migration, kind: Kind, settings: Settings) -> Outcome:
    unit = ground.only(migration)
    return run(Message(migration.id, unit.id, unit.epoch), crew_of(ground, kind, settings))


def test_every_mover_has_a_lab() -> None:
    assert set(LABS) == set(MOVERS)


def test_what_was_moved_is_the_same_and_leaves_nothing_else_behind(
    ground: Ground, lab: Lab, kind: Kind, settings: Settings
) -> None:
    migration = begin(ground, lab, lab.draft)
    assert deliver(ground, migration, kind, settings) is Outcome.MOVED
    assert lab.differences() == [] and lab.residue() == []


def test_moving_again_changes_nothing(
    ground: Ground, lab: Lab, kind: Kind, settings: Settings
) -> None:
    first = begin(ground, lab, lab.draft)
    deliver(ground, first, kind, settings)
    before, counted = lab.state(), ground.units.sums(first).counts
    second = again(ground, first, lab.draft)
    assert deliver(ground, second, kind, settings) is Outcome.MOVED
    counts = ground.units.sums(second).counts
    assert (counts.moved, counts.mended, counts.skipped) == (0, 0, counted.items)
    assert lab.state() == before
    assert list(ground.units.digests(first)) == list(ground.units.digests(second))


@pytest.mark.parametrize(("kind", "place"), PLACES)
def test_a_unit_survives_a_power_cut_anywhere(
    ground: Ground, lab: Lab, kind: Kind, settings: Settings, place: str
) -> None:
    migration = begin(ground, lab, lab.draft)

    def die() -> None:
        failpoints.arm(place, "kill")
        deliver(ground, migration, kind, settings)

    child = multiprocessing.get_context("fork").Process(target=die)
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL

    if ground.only(migration).state is not State.DONE:
        ground.units.lapse(ground.only(migration), attempts=8)
        assert deliver(ground, migration, kind, settings) is Outcome.MOVED
    assert lab.differences() == [] and lab.residue() == []
    counts = ground.units.sums(migration).counts
    assert (counts.moved, counts.failed) == (counts.items, 0)


def test_a_disowned_consumer_changes_nothing(
    ground: Ground, lab: Lab, kind: Kind, settings: Settings
) -> None:
    migration, before = begin(ground, lab, lab.draft), lab.state()

    def robbed() -> None:
        ground.units.lapse(ground.only(migration), attempts=8)

    failpoints.arm(lab.crashes[0], robbed)
    assert deliver(ground, migration, kind, settings) is Outcome.LOST
    assert lab.state() == before


def test_a_zombie_that_wakes_just_before_it_publishes_changes_nothing(
    ground: Ground, lab: Lab, kind: Kind, settings: Settings
) -> None:
    """The window that no lease can close: taken over after the last look, before the rename."""
    migration = begin(ground, lab, lab.draft)
    after: list[object] = []

    def overtaken() -> None:
        failpoints.disarm()
        ground.units.lapse(ground.only(migration), attempts=8)
        assert deliver(ground, migration, kind, settings) is Outcome.MOVED
        after.append(lab.state())

    failpoints.arm("users.publishing", overtaken)
    unit = ground.only(migration)
    crew = crew_of(ground, kind, settings)
    assert run(Message(migration.id, unit.id, unit.epoch), crew) is Outcome.LOST
    assert [lab.state()] == after
    assert lab.differences() == []


def test_verify_finds_a_single_wrong_bit(
    ground: Ground, lab: Lab, kind: Kind, settings: Settings
) -> None:
    first = begin(ground, lab, lab.draft)
    deliver(ground, first, kind, settings)
    second = again(ground, first, lab.verify)
    assert deliver(ground, second, kind, settings) is Outcome.MOVED
    lab.damage()
    third = again(ground, second, lab.verify)
    assert deliver(ground, third, kind, settings) is Outcome.QUARANTINED
    assert ground.units.sums(third).counts.failed == 1


def test_damage_is_mended_and_counted_as_such(
    ground: Ground, lab: Lab, kind: Kind, settings: Settings
) -> None:
    first = begin(ground, lab, lab.draft)
    deliver(ground, first, kind, settings)
    lab.damage()
    second = again(ground, first, lab.draft)
    assert deliver(ground, second, kind, settings) is Outcome.MOVED
    counts = ground.units.sums(second).counts
    assert (counts.mended, counts.moved) == (1, 0)
    assert lab.differences() == []


def test_nothing_is_written_to_the_source(
    ground: Ground, lab: Lab, kind: Kind, settings: Settings
) -> None:
    assert isinstance(lab, UsersLab)
    before = sorted((str(p), p.lstat().st_ctime_ns) for p in lab.old.rglob("*"))
    deliver(ground, begin(ground, lab, lab.draft), kind, settings)
    assert sorted((str(p), p.lstat().st_ctime_ns) for p in lab.old.rglob("*")) == before
