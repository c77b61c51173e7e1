"""Laws of the tables and of the judges. The domains are small, so all of them is tried."""

from __future__ import annotations

from enum import StrEnum
from itertools import product
from typing import Any

import pytest

from common.errors import IllegalTransition
from common.lifecycle import buckets
from common.lifecycle.registry import LIFECYCLES
from common.lifecycle.units import UNIT, Act, State
from common.lifecycle.users import USERS, Event, Phase
from common.machine import Machine
from common.model import Kind
from producer.planner import Facts
from producer.registry import PLANNERS

TABLES: dict[str, Machine[Any, Any]] = {
    "unit": UNIT,
    "buckets": buckets.BUCKETS,
    **{kind.value: table for kind, table in LIFECYCLES.items()},
}
# what leads out of an end again; nothing else may
LEAVES: dict[str, set[StrEnum]] = {
    "unit": {Act.RELEASE},
    "users": {Event.AGAIN},
    "buckets": {buckets.Event.CLEAN},
}
# events that no judge ever finds: acts of the operator and of the intake that serves him
ASKED_FOR: dict[Kind, set[StrEnum]] = {Kind.USERS: {Event.PLANNED, Event.CANCEL, Event.AGAIN}}

every_table = pytest.mark.parametrize("name", TABLES)
every_kind = pytest.mark.parametrize("kind", Kind)


def states_of(table: Machine[Any, Any]) -> list[StrEnum]:
    kind: type[StrEnum] = type(table.start)
    return list(kind)


def events_of(table: Machine[Any, Any]) -> set[StrEnum]:
    kind: type[StrEnum] = type(table.edges[0].event)
    return set(kind)


def facts_in(phase: str) -> list[Facts]:
    return [Facts(phase, open_, parked) for open_, parked in product([False, True], repeat=2)]


@every_table
def test_every_state_is_reachable_from_the_start(name: str) -> None:
    table = TABLES[name]
    assert {table.start, *table.reachable(table.start)} == set(states_of(table))


@every_table
def test_every_event_happens_somewhere(name: str) -> None:
    table = TABLES[name]
    assert {edge.event for edge in table.edges} == events_of(table)


@every_table
def test_only_a_persons_act_leads_out_of_an_end(name: str) -> None:
    table = TABLES[name]
    assert table.ends()
    for end in table.ends():
        assert table.events(end) <= LEAVES[name], end


@every_table
def test_whatever_has_no_way_out_is_an_end(name: str) -> None:
    table = TABLES[name]
    assert {s for s in states_of(table) if not table.events(s)} <= table.ends()


@every_table
def test_an_end_can_be_reached_from_everywhere(name: str) -> None:
    table = TABLES[name]
    for state in states_of(table):
        assert {state, *table.reachable(state)} & table.ends(), state


@every_table
def test_the_start_is_no_end(name: str) -> None:
    assert TABLES[name].start not in TABLES[name].ends()


@every_table
def test_whatever_is_not_in_the_table_is_refused(name: str) -> None:
    table = TABLES[name]
    legal = {(edge.source, edge.event): edge.target for edge in table.edges}
    for state, event in product(states_of(table), events_of(table)):
        if (state, event) in legal:
            assert table.after(state, event) == legal[state, event]
        else:
            with pytest.raises(IllegalTransition):
                table.after(state, event)


@pytest.mark.parametrize(
    ("state", "acts"),
    [
        (State.QUEUED, {Act.CLAIM}),
        (State.RUNNING, {Act.CLAIM, Act.LAPSE, Act.FINISH, Act.REQUEUE, Act.QUARANTINE}),
        (State.DONE, set()),
        (State.QUARANTINED, {Act.RELEASE}),
    ],
)
def test_a_unit_allows_these_acts_and_no_others(state: State, acts: set[Act]) -> None:
    assert UNIT.events(state) == acts


def test_a_finished_unit_never_runs_again() -> None:
    assert UNIT.reachable(State.DONE) == frozenset()


def test_a_quarantined_unit_runs_again_only_after_a_person_released_it() -> None:
    without = Machine("unit", UNIT.start, [e for e in UNIT.edges if e.event is not Act.RELEASE])
    assert State.RUNNING not in without.reachable(State.QUARANTINED)
    assert State.RUNNING in UNIT.reachable(State.QUARANTINED)


def test_only_a_holder_or_the_leader_ends_a_unit() -> None:
    for act in (Act.FINISH, Act.REQUEUE, Act.QUARANTINE, Act.LAPSE):
        assert UNIT.sources(act) == {State.RUNNING}


@pytest.mark.parametrize(
    ("phase", "events"),
    [
        (Phase.PLANNING, {Event.PLANNED, Event.CANCEL}),
        (Phase.MOVING, {Event.MOVED, Event.CANCEL, Event.AGAIN}),
        (Phase.DONE, {Event.AGAIN}),
        (Phase.CANCELLED, {Event.AGAIN}),
    ],
)
def test_a_migration_of_users_allows_these_events_and_no_others(
    phase: Phase, events: set[Event]
) -> None:
    assert USERS.events(phase) == events


def test_a_new_generation_always_begins_with_planning() -> None:
    for state in USERS.sources(Event.AGAIN):
        assert USERS.after(state, Event.AGAIN) is Phase.PLANNING


@every_kind
def test_the_judge_takes_only_legal_edges(kind: Kind) -> None:
    table = LIFECYCLES[kind]
    for state in states_of(table):
        for facts in facts_in(state.value):
            event = PLANNERS[kind].decide(facts)
            assert event is None or event in table.events(state), facts


@every_kind
def test_every_event_is_found_by_the_judge_or_asked_for_by_a_person(kind: Kind) -> None:
    table = LIFECYCLES[kind]
    everything = [facts for state in states_of(table) for facts in facts_in(state.value)]
    found = {event for facts in everything if (event := PLANNERS[kind].decide(facts))}
    assert found | ASKED_FOR[kind] == events_of(table)
    assert not found & ASKED_FOR[kind]


@every_kind
def test_the_judge_leaves_an_end_alone(kind: Kind) -> None:
    for end in LIFECYCLES[kind].ends():
        assert [PLANNERS[kind].decide(facts) for facts in facts_in(end.value)] == [None] * 4


def test_users_have_moved_exactly_when_nothing_is_open_and_nothing_in_quarantine() -> None:
    for facts in facts_in(Phase.MOVING):
        moved = PLANNERS[Kind.USERS].decide(facts) is Event.MOVED
        assert moved == (not facts.open and not facts.quarantined), facts
