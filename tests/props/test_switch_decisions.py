"""The judge of switches: every combination of facts, in every phase."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from itertools import product

from common.clock import Clock, Stillness
from common.lifecycle.buckets import BUCKETS, Event, Phase
from common.store.gateways import Gateway
from common.store.switches import Switch
from producer.buckets.barrier import waiting
from producer.buckets.decide import HOLDING_FROM_THE_START, Facts, Turn, decide

WORDS = [f.name for f in fields(Facts) if f.name not in ("phase", "holding", "verified")]
LEASE = timedelta(seconds=2)


def all_facts() -> list[Facts]:
    found = []
    for phase, holding, verified in product(Phase, (False, True), (None, False, True)):
        for held in product((False, True), repeat=len(WORDS)):
            words = dict(zip(WORDS, held, strict=True))
            found.append(Facts(phase, holding, verified=verified, **words))
    return found


def test_no_judgement_leaves_the_table() -> None:
    for facts in all_facts():
        due = decide(facts)
        if isinstance(due, Event):
            BUCKETS.after(facts.phase, due)


def test_nothing_goes_on_without_the_confirmation_of_gateways_but_letting_users_go_on() -> None:
    for facts in all_facts():
        alone = replace(facts, confirmed=False, verified=None)
        due = decide(alone)
        assert due in (None, Event.BUSY) or (due, facts.phase) == (Turn.LET_GO, Phase.TRACKING)


def test_nothing_is_redirected_while_old_takes_writes() -> None:
    for facts in all_facts():
        if decide(facts) is Event.DRAINED:
            assert facts.fenced


def test_whatever_is_held_is_let_go_of_by_somebody() -> None:
    held = {BUCKETS.after(e.source, e.event) for e in BUCKETS.edges
            if e.event in HOLDING_FROM_THE_START} | {Phase.ROLLING_BACK}  # fmt: skip
    good = dict.fromkeys(WORDS, True)
    for phase in held:
        assert decide(Facts(phase, True, **good)) in (Turn.LET_GO, Event.RETURNED), phase


def test_every_phase_goes_on_when_all_is_well() -> None:
    good = dict.fromkeys(WORDS, True)
    for phase in set(Phase) - {Phase.NORMAL, *BUCKETS.ends()}:
        assert decide(Facts(phase, False, verified=True, **good)) is not None, phase


def test_a_gateway_is_waited_for_until_its_counter_stood_still_for_a_lease() -> None:
    now = [0.0]
    still = Stillness(Clock(tick=lambda: now[0]))
    switch = Switch("b", "t", Phase.TRACKING, False, 5, 1, True, True, True, 0.0)

    def asked(*gateways: Gateway) -> list[str]:
        return waiting(switch, gateways, still, LEASE)

    dumb, late = Gateway("dumb", 1, {}, {}, {}), Gateway("late", 1, {"b": 4}, {}, {})
    good = Gateway("good", 1, {"b": 5}, {}, {})
    assert asked(dumb, late, good) == ["dumb", "late"]
    now[0] = 1.9
    assert asked(dumb, late, good) == ["dumb", "late"]
    now[0] = 2.0
    assert asked(dumb, replace(late, beat=2), good) == ["late"]
