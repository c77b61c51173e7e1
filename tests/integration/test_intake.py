"""How a work list is taken over: begun, cut short, gone on with, or asked for in other words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from common.errors import Conflict, Refused, Transient
from common.lifecycle.users import Event, Phase
from common.model import Migration
from common.store.sqlite import SqliteStore
from ops.verification import verification
from producer import intake
from producer.intake import Accepted, Intake, Order
from tests.factories import Ground, settings_for


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    store = SqliteStore(str(tmp_path / "state.db"))
    yield Ground(store)
    store.close()


@pytest.fixture
def order(tmp_path: Path) -> Order:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    return Order(f"file://{tmp_path}/old", f"file://{tmp_path}/new", options={"check": "md5"})


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "BATCH", 5)


def accept(ground: Ground, order: Order, subjects: Iterable[str]) -> Accepted:
    settings = settings_for(Path("/nowhere"))
    way_in = Intake(ground.migrations, ground.units, ground.events, settings)
    return way_in.accept(order, subjects)


def cut_short(*subjects: str) -> Iterator[str]:
    """A list that breaks off after more subjects than are planned in one go."""
    yield from subjects
    yield from (f"more{number}" for number in range(10))
    raise Transient("the list broke off")


def broken_off(ground: Ground, order: Order) -> Migration:
    with pytest.raises(Transient, match="broke off"):
        accept(ground, order, cut_short("ann", "bob"))
    [migration] = ground.migrations.all()
    assert migration.phase == Phase.PLANNING
    return migration


def other(order: Order) -> Order:
    return Order(order.source, order.target, options={"check": "size"})


def test_planning_that_was_cut_short_goes_on_with_the_same_order(
    ground: Ground, order: Order
) -> None:
    begun = broken_off(ground, order)
    accepted = accept(ground, order, ["ann", "bob", "eve"])
    assert (accepted.migration.generation, accepted.migration.phase) == (1, Phase.MOVING)
    assert ground.units.sums(accepted.migration).total == begun.planned + 1


def test_planning_that_was_cut_short_is_never_finished_with_other_options(
    ground: Ground, order: Order
) -> None:
    """Else a generation would hold units of two kinds: half of the users moved, half verified."""
    begun = broken_off(ground, order)
    with pytest.raises(Refused, match="is being planned with other options") as refused:
        accept(ground, other(order), ["ann"])
    assert f"convoy cancel {begun.id}" in refused.value.hint
    assert ground.migrations.get(begun.id).options == {"check": "md5"}
    with pytest.raises(Refused, match="still being planned"):
        verification(begun, by="test")


def test_an_order_of_which_nothing_was_planned_yet_may_still_be_put_in_other_words(
    ground: Ground, order: Order
) -> None:
    ground.migrations.create(order.kind, order.source, order.target, options={"check": "md5"})
    accepted = accept(ground, other(order), ["ann"])
    assert accepted.migration.options == {"check": "size"}
    assert accepted.migration.generation == 1


def test_a_list_that_was_overtaken_by_a_later_generation_ends_nothing(
    ground: Ground, order: Order
) -> None:
    """Who still reads his list when others have cancelled and begun anew, must not say planned."""

    def overtaken() -> Iterator[str]:
        yield "ann"
        [begun] = ground.migrations.all()
        ended = ground.migrations.advance(begun, Event.CANCEL, by="somebody")
        ground.migrations.renew(ended, Event.AGAIN, by="somebody", options=dict(order.options))

    with pytest.raises(Conflict, match="generation 2"):
        accept(ground, order, overtaken())
    [migration] = ground.migrations.all()
    assert (migration.generation, migration.phase) == (2, Phase.PLANNING)


def test_a_list_that_others_planned_and_moved_to_the_end_meanwhile_is_not_called_done(
    ground: Ground, order: Order
) -> None:
    """Units that were added after the end are moved by nobody: whoever added them is told."""

    def meanwhile() -> Iterator[str]:
        [begun] = ground.migrations.all()
        moving = ground.migrations.advance(begun, Event.PLANNED, by="somebody")
        ground.migrations.advance(moving, Event.MOVED, by="somebody")
        yield "ann"

    with pytest.raises(Conflict, match="is done"):
        accept(ground, order, meanwhile())


def test_an_empty_list_ends_nothing_that_moves(ground: Ground, order: Order) -> None:
    moving = accept(ground, order, ["ann"]).migration
    with pytest.raises(Refused, match="the work list is empty"):
        accept(ground, order, [])
    assert ground.migrations.get(moving.id).phase == Phase.MOVING


def test_an_empty_list_ends_what_it_began(ground: Ground, order: Order) -> None:
    with pytest.raises(Refused, match="every line was refused"):
        accept(ground, order, ["../etc"])
    [migration] = ground.migrations.all()
    assert migration.phase == Phase.CANCELLED


def test_before_a_deep_verification_it_is_told_where_no_disk_can_be_asked(
    ground: Ground, order: Order
) -> None:
    settings = settings_for(Path("/nowhere"))
    way_in = Intake(ground.migrations, ground.units, ground.events, settings)
    far = "manifest+http://127.0.0.1:1/{user}.json"
    deep = Order(far, order.target, options={"pass": "verify", "deep": True})
    [notice] = way_in.preflight(deep).notices
    assert notice.startswith("the source is read over the network")
    near = Order(order.source, order.target, options={"pass": "verify", "deep": True})
    assert way_in.preflight(near).notices == ()
