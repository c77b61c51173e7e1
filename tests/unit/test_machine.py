"""What a transition table answers, and what it refuses to be."""

from __future__ import annotations

from enum import StrEnum

import pytest

from common.errors import IllegalTransition
from common.machine import Edge, Machine


class Lamp(StrEnum):
    OFF = "off"
    ON = "on"
    BROKEN = "broken"


class Touch(StrEnum):
    PRESS = "press"
    DROP = "drop"


LAMP: Machine[Lamp, Touch] = Machine(
    "lamp",
    Lamp.OFF,
    [
        Edge(Lamp.OFF, Touch.PRESS, Lamp.ON),
        Edge(Lamp.ON, Touch.PRESS, Lamp.OFF),
        Edge(Lamp.ON, Touch.DROP, Lamp.BROKEN),
    ],
    ends=[Lamp.BROKEN],
)


def test_an_event_leads_where_the_table_says() -> None:
    assert LAMP.after(Lamp.OFF, Touch.PRESS) is Lamp.ON
    assert LAMP.after(Lamp.ON, Touch.DROP) is Lamp.BROKEN


def test_an_event_that_is_not_allowed_is_refused_by_name() -> None:
    with pytest.raises(IllegalTransition, match="lamp: drop is not allowed in off"):
        LAMP.after(Lamp.OFF, Touch.DROP)


def test_a_state_is_found_by_its_name() -> None:
    assert [LAMP.state(lamp.value) for lamp in Lamp] == list(Lamp)


def test_an_unknown_state_is_refused_by_name() -> None:
    with pytest.raises(IllegalTransition, match="lamp: no state 'burning'"):
        LAMP.state("burning")


def test_it_knows_what_may_happen_where() -> None:
    assert LAMP.events(Lamp.ON) == {Touch.PRESS, Touch.DROP}
    assert LAMP.events(Lamp.BROKEN) == frozenset()
    assert LAMP.sources(Touch.PRESS) == {Lamp.OFF, Lamp.ON}
    assert LAMP.sources(Touch.DROP) == {Lamp.ON}


def test_it_knows_what_can_still_come() -> None:
    assert LAMP.reachable(Lamp.OFF) == {Lamp.ON, Lamp.OFF, Lamp.BROKEN}
    assert LAMP.reachable(Lamp.BROKEN) == frozenset()


def test_its_ends_are_those_it_was_given() -> None:
    assert LAMP.ends() == {Lamp.BROKEN}


def test_one_event_cannot_lead_to_two_places() -> None:
    twice = [Edge(Lamp.OFF, Touch.PRESS, Lamp.ON), Edge(Lamp.OFF, Touch.PRESS, Lamp.BROKEN)]
    with pytest.raises(ValueError, match="lamp: two edges"):
        Machine("lamp", Lamp.OFF, twice)


def test_its_diagram_shows_the_start_and_every_edge() -> None:
    assert LAMP.mermaid().splitlines() == [
        "stateDiagram-v2",
        "    [*] --> off",
        "    off --> on: press",
        "    on --> off: press",
        "    on --> broken: drop",
    ]
