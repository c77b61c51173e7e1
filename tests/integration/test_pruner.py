"""What generations that are over for good leave in the store goes; what later ones need stays."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from common import failpoints
from common.clock import Clock
from common.errors import Held
from common.lifecycle.users import Event, Phase
from common.model import Draft, Failure, Migration, Receipt, fences_of
from common.queue.broker import Broker
from common.store.base import Doc
from common.store.sqlite import SqliteStore
from ops.verification import verification
from producer.boot import Producer
from producer.conductor import Conductor
from producer.pruner import Pruner
from tests.factories import Ground, settings_for
from tests.trees import differences
from tests.waiting import eventually
from tests.world import World


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    store = SqliteStore(str(tmp_path / "state.db"))
    yield Ground(store)
    store.close()


@pytest.fixture
def small(tmp_path: Path, broker: Broker) -> Iterator[World]:
    """A world in which users of more than 20 items are huge."""
    world = World(tmp_path, broker, unit_items=20)
    yield world
    failpoints.disarm()
    world.store.close()


def pruner(ground: Ground, **settings: object) -> Pruner:
    known = settings_for(Path("/nowhere"), **settings)
    return Pruner(ground.migrations, ground.units, ground.failures, ground.marks, known)


def conductor(ground: Ground) -> Conductor:
    return Conductor(ground.migrations, ground.units, ground.events)


def generation(ground: Ground, *, users: int = 3, parks: bool = False) -> Migration:
    """One more generation over these users, ended; `parks`: with one of them in quarantine."""
    found = [m for m in ground.migrations.all() if m.source == "file:///old"]
    drafts = [Draft("user", f"u{number}") for number in range(users)]
    if not found:
        migration = ground.moving(drafts)
    else:
        planning = ground.migrations.renew(found[0], Event.AGAIN, by="test")
        ground.units.plan(planning, drafts)
        migration = ground.migrations.advance(planning, Event.PLANNED, by="test")
    for number, due in enumerate(ground.units.due(migration, users)):
        unit = ground.units.claim(migration, due.id, due.epoch, owner="c01")
        assert unit is not None
        ground.failures.replace(unit, [Failure("a", "why")])
        if parks and number == 0:
            ground.units.quarantine(unit, why="so")
        else:
            ground.units.finish(unit, Receipt(), seconds=1)
    return conductor(ground).look(migration)


def documents(ground: Ground, name: str) -> list[Doc]:
    return list(ground.store.collection(name).find({}))


def generations(ground: Ground) -> list[int]:
    """Of whose units and failures anything is left."""
    found = {doc["generation"] for doc in documents(ground, "units")}
    assert found == {doc["generation"] for doc in documents(ground, "failures")}
    return sorted(found)


def test_a_generation_that_ends_complete_makes_those_before_the_previous_one_superfluous(
    ground: Ground,
) -> None:
    for _ in range(4):
        assert generation(ground).phase == Phase.DONE
    assert generations(ground) == [1, 2, 3, 4]
    prune = pruner(ground)
    assert prune.round() == 12  # three units and their failures, twice
    assert generations(ground) == [3, 4]
    assert prune.round() == 0
    assert ground.migrations.prunable(limit=9) == []
    [migration] = ground.migrations.all()
    assert [brief["generation"] for brief in migration.past] == [1, 2, 3]


def test_work_lists_of_users_that_later_lists_leave_out_go_and_their_manifests_stay(
    ground: Ground,
) -> None:
    first = generation(ground)
    fence = fences_of(first.generation) + 1
    ground.marks.put(first.id, "gone", "manifest.0.1", b"ours", fence=fence)
    for name in ("list.1-1.0", "cut.1"):
        ground.marks.append(first.id, "gone", name, b"work", fence=fence, passing=True)
    for _ in range(2):
        generation(ground)
    while pruner(ground).round():
        pass
    assert ground.marks.names(first.id, "gone") == ["manifest.0.1"]
    assert ground.marks.read(first.id, "gone", "manifest.0.1") == [b"ours"]


def test_the_leader_prunes_while_it_leads(ground: Ground, broker_url: str) -> None:
    for _ in range(3):
        generation(ground)
    settings = settings_for(Path("/nowhere"), broker_url=broker_url)
    leader = Producer(settings, ground.store, Clock())
    leading = threading.Thread(target=leader.run)
    leading.start()
    try:
        assert eventually(lambda: generations(ground) == [2, 3])
    finally:
        leader.stop.set()
        leading.join()


def test_a_generation_that_did_not_end_complete_makes_nothing_superfluous(ground: Ground) -> None:
    for parks in (False, False, True):
        last = generation(ground, parks=parks)
    assert last.phase == Phase.MOVING
    assert pruner(ground).round() == 0
    assert generations(ground) == [1, 2, 3]


def test_a_round_is_bounded_and_whoever_leads_next_goes_on(ground: Ground) -> None:
    for _ in range(3):
        generation(ground, users=10)
    rounds = [pruner(ground, prune=4).round() for _ in range(4)]
    assert rounds == [8, 8, 4, 0]
    assert generations(ground) == [2, 3]


def test_a_generation_that_begins_meanwhile_keeps_the_two_before_it(ground: Ground) -> None:
    for _ in range(3):
        generation(ground, users=10)
    pruner(ground, prune=4).round()
    generation(ground, parks=True)
    while pruner(ground, prune=4).round():
        pass
    assert generations(ground) == [2, 3, 4]
    [migration] = ground.migrations.all()
    order = verification(migration, by="test")
    assert order.subjects is not None


def test_more_generations_are_kept_for_whoever_wants_them(ground: Ground) -> None:
    for _ in range(5):
        generation(ground)
    pruner(ground, generations=4).round()
    assert generations(ground) == [2, 3, 4, 5]


def test_other_migrations_are_left_alone(ground: Ground) -> None:
    other = ground.moving([Draft("user", "ann")], source="file:///elsewhere")
    ground.migrations.advance(other, Event.CANCEL, by="test")
    ground.turned.now += 1
    for _ in range(3):
        generation(ground)
    pruner(ground).round()
    assert ground.units.sums(other).total == 1


def test_a_migration_that_runs_every_day_does_not_grow(small: World) -> None:
    """Of a huge user, with a day on which it was cut short in the middle and cancelled."""
    home = small.old / "ann"
    home.mkdir()
    for number in range(50):
        (home / f"f{number}").write_bytes(b"%d" % number)
    sizes, prune = [], pruner(small.ground)

    def interrupted() -> None:
        raise Held("the host is going down", retry_in=small.settings.backoff)

    for day in range(8):
        if day == 3:
            (home / "new").write_bytes(b"since")
            failpoints.arm("users.staged", interrupted)
            with pytest.raises(AssertionError, match="always something due"):
                small.migrate("ann")
            failpoints.disarm()
            [stuck] = small.ground.migrations.all()
            small.ground.migrations.advance(stuck, Event.CANCEL, by="test")
            assert any(doc["passing"] for doc in documents(small.ground, "marks"))
            continue
        migration = small.migrate("ann")
        assert conductor(small.ground).look(migration).phase == Phase.DONE
        while prune.round():
            pass
        sizes.append(
            tuple(len(documents(small.ground, name)) for name in ("units", "failures", "marks"))
        )
    assert sizes[-1] == sizes[-2] == sizes[1]
    assert small.counts(migration).skipped == small.counts(migration).items == 51
    assert differences(home, small.new / "ann") == []
