"""Fairness of the dispatcher's choice, over every small fleet of tenants and migrations."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace
from functools import cache
from itertools import product

from common.lifecycle.units import State
from common.model import Kind, Migration, Unit
from producer.dispatcher import share

MIGRATION = Migration(
    id="m", kind=Kind.USERS, source="file:///a", target="file:///b", phase="moving", version=1,
    generation=1, since=0, started=0, ended=None, tenant="", hold=None, options={}, limits={},
    planned=0, cursor=None,
)  # fmt: skip
UNIT = Unit(
    id="u", migration="m", generation=1, kind=Kind.USERS, job="user", key="k", group="",
    after=(), wakes=False, state=State.QUEUED, epoch=1, attempts=0, owner="", beat=0,
)  # fmt: skip
# how many migrations each tenant has, and how many units of each are due
SHAPES = [shape for n in (1, 2, 3) for shape in product((1, 2, 3), repeat=n)]
TURNS = range(18)


def fleet(shape: tuple[int, ...]) -> list[Migration]:
    return [
        replace(MIGRATION, id=f"{tenant}{number}", tenant=tenant)
        for tenant, many in zip("abc", shape, strict=False)
        for number in range(many)
    ]


FLEETS = [fleet(shape) for shape in SHAPES]


def due(migrations: list[Migration], many: int) -> dict[str, deque[Unit]]:
    return {m.id: deque(units(m.id)[:many]) for m in migrations}


@cache
def units(migration: str) -> list[Unit]:
    return [replace(UNIT, id=f"{migration}.{n}", migration=migration) for n in range(9)]


def chosen(migrations: list[Migration], many: int, free: int, turn: int) -> list[Unit]:
    return share(migrations, due(migrations, many), free, turn)


def tenants(migrations: list[Migration], got: Counter[str]) -> list[int]:
    """What each tenant got."""
    names = sorted({m.tenant for m in migrations})
    return [sum(got[m.id] for m in migrations if m.tenant == name) for name in names]


def test_as_many_are_chosen_as_there_is_room_and_work_for() -> None:
    for migrations, many, free, turn in product(FLEETS, (0, 1, 3), (0, 1, 2, 5, 99), TURNS):
        got = chosen(migrations, many, free, turn)
        assert len(got) == min(free, many * len(migrations))
        assert len({unit.id for unit in got}) == len(got)


def test_all_get_the_same_but_for_one_however_many_migrations_a_tenant_has() -> None:
    for migrations, free, turn in product(FLEETS, (1, 2, 3, 5), TURNS):
        got = Counter(unit.migration for unit in chosen(migrations, 9, free, turn))
        shares = tenants(migrations, got)
        assert max(shares) - min(shares) <= 1
        for tenant in {m.tenant for m in migrations}:
            own = [got[m.id] for m in migrations if m.tenant == tenant]
            assert max(own) - min(own) <= 1


def test_with_few_places_everybody_has_a_turn_after_a_while() -> None:
    for migrations, free in product(FLEETS, (1, 2, 3)):
        got = Counter(u.migration for turn in TURNS for u in chosen(migrations, 9, free, turn))
        assert set(got) == {m.id for m in migrations}
        shares = tenants(migrations, got)
        assert max(shares) - min(shares) <= len(shares)


def test_the_longest_due_of_a_migration_goes_first() -> None:
    got = chosen(fleet((1,)), 5, 3, 0)
    assert [unit.id for unit in got] == ["a0.0", "a0.1", "a0.2"]


def test_who_has_nothing_due_takes_no_place() -> None:
    migrations = fleet((1, 1))
    queues = due(migrations, 4)
    queues["a0"].clear()
    assert {unit.migration for unit in share(migrations, queues, 3, 0)} == {"b0"}
    del queues["a0"]
    assert len(share(migrations, queues, 9, 1)) == 1
