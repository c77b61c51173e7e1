"""Moving a replica, exhaustively for small partitions: no run of any length loses a write, a copy
or a token, or gets stuck.

Writes, alignments, copies, attestations, deaths, lost disks, rotten copies, late and re-sent
orders, old heartbeats, two controllers, pause and cancel, in every order. The judge, the healer,
people's orders, the record and the copies' own rules are the real code. The search is proven able
to fail: with any one rule taken out, or done as the reference does it (D...), it finds a run that
breaks a law. `python -m tests.props.partition_search` tries larger ones.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from common.lifecycle.partitions.partition import Event, Status, Step
from common.lifecycle.partitions.record import Record, advanced, amended, membership
from consumer.trans.partitions.judge import Answer, Copy, Lead
from producer.partitions.facts import Act, Release, View, Write
from producer.partitions.heal import healed
from producer.partitions.judge import Judge
from tests.props.partition_hosts import Rules, Scenario
from tests.props.partition_search import SMALL, explore
from tests.props.partition_world import DISK, Left
from tests.props.worlds import Broken


@pytest.mark.parametrize("name", SMALL)
def test_no_run_loses_anything_or_gets_stuck_with(name: str) -> None:
    scenario, ends = SMALL[name]
    found = explore(scenario)
    assert set(ends) <= set(found.ends)


class RemovesFirst(Judge):
    """D1: the source leaves before the target is there."""

    def prepared(self, record: Record, view: View) -> Act:
        act = super().prepared(record, view)
        assert isinstance(act, Write)
        hosts = tuple(host for host in record.hosts if host != record.source)
        if act.record.step is not Step.COPY or not hosts:
            return act
        primary = record.primary if record.primary in hosts else hosts[0]
        return Write(act.record._replace(hosts=hosts, primary=primary))


class JoinsAtOnce(Judge):
    """The target becomes a host without anybody's word that it holds everything."""

    def copying(self, record: Record, view: View) -> Act:
        hosts = membership(record, hosts=(*record.hosts, record.target), learners=())
        return Write(amended(record, step=Step.JOINED, **hosts))


class LeavesAtOnce(Judge):
    """The source leaves whatever became of the others."""

    def joined(self, record: Record, view: View) -> Act:
        rest = tuple(host for host in record.hosts if host != record.source)
        if record.primary == record.source:
            return self.handed(record, list(rest[-1:]))
        return self.leave(record, rest)


class NeverSweeps(Judge):
    """A token that was taken late is nobody's."""

    def swept(self, record: Record, view: View) -> Act | None:
        return None


class ClaimsNothing(Judge):
    """Which tokens it takes is not on record before it takes them."""

    def released(self, record: Record, view: View) -> Act:
        return Write(amended(record, claims=()))

    swept = NeverSweeps.swept


class TakesKeysApart(Judge):
    """D5: a key is split at its underscores, and one with more of them is given up."""

    def released(self, record: Record, view: View) -> Act:
        act = super().released(record, view)
        if isinstance(act, Release) and len(act.key.split("_")) != 1:
            return Write(amended(record, claims=()))
        return act

    swept = NeverSweeps.swept


class NeverRollsBack(Judge):
    """A failure leaves the target a learner."""

    def failed(self, record: Record, why: str, *, last: bool = False) -> Record:
        rollbacks = self.knobs.rollbacks if last else record.rollbacks
        return advanced(record, Event.FAIL, step=Step.NONE, why=why, rollbacks=rollbacks)


class NeverGivesUp(Judge):
    """A target that is lost is waited for."""

    def copying(self, record: Record, view: View) -> Act:
        return super().copying(record, view._replace(overdue=False))


def one_word(record: Record, view: View) -> Record | None:
    """D7: one copy's old or empty word against the record removes a host."""
    for host in record.hosts:
        seen = view.of(host)
        if seen.alive and seen.epoch != record.epoch and host != record.primary:
            hosts = tuple(other for other in record.hosts if other != host)
            return amended(record, **membership(record, hosts=hosts))
    return healed(record, view)


def any_generation(record: Record, epoch: int, generation: int) -> Record:
    return amended(record, attested=record.generation)


def believes_all(copy: Copy, epoch: int, sender: str) -> bool:
    return True


def ignores_misses(copy: Copy, lead: Lead, have: tuple[str, ...]) -> Answer:
    return Answer.YES if set(copy.config.hosts) <= set(have) else Answer.WAIT


def itself_enough(copy: Copy, lead: Lead, have: tuple[str, ...]) -> Answer:
    return Answer.YES


def below_the_floor(record: Record, host: str, epoch: int) -> Record:
    left = tuple(other for other in record.hosts if other != host)
    return amended(record, **membership(record, hosts=left))


FAILED_BEFORE = Scenario(1, left=Left(mark=0, reset=1), start=Status.FAILED)
MUTANTS: dict[str, tuple[Rules, Scenario]] = {
    "D1: the source leaves first": (Rules(judge=RemovesFirst), Scenario(2)),
    "D1 with three replicas": (Rules(judge=RemovesFirst), Scenario(3)),
    "D3: a reset that is written nowhere": (Rules(reset=lambda record: None), FAILED_BEFORE),
    "D5: a token's key taken apart": (Rules(judge=TakesKeysApart), Scenario(1)),
    "D7: self-heal on one copy's word": (
        Rules(healed=one_word),
        Scenario(3, spare=0, source=-1, heals=True, left=Left(stale=1, timeout=1, writes=0)),
    ),
    "D10: lengths compared, not contents": (
        Rules(compares=False),
        Scenario(1, left=Left(rot=1)),
    ),
    "a target that joins unproven": (Rules(judge=JoinsAtOnce), Scenario(1)),
    "a source that leaves at once": (
        Rules(judge=LeavesAtOnce),
        Scenario(2, left=Left(lose=1)),
    ),
    "tokens taken late and kept": (
        Rules(judge=NeverSweeps),
        Scenario(1, left=Left(cancel=1, zombie=1, writes=0)),
    ),
    "claims given up before their tokens": (Rules(judge=ClaimsNothing), Scenario(1)),
    "a target that stays a learner": (
        Rules(judge=NeverRollsBack),
        Scenario(1, left=Left(overdue=1)),
    ),
    "endless patience": (Rules(judge=NeverGivesUp), Scenario(1, left=Left(lose=1))),
    "an attestation of any generation": (Rules(attested=any_generation), Scenario(1)),
    "a miss that is not noted": (Rules(answer=ignores_misses), Scenario(1)),
    "a primary that starts and knows of no miss": (
        Rules(forgets=False),
        Scenario(1, left=Left(crash=1)),
    ),
    "an answer before every host has it": (Rules(answer=itself_enough), Scenario(2)),
    "writes taken from anybody": (Rules(takes=believes_all), Scenario(2, left=Left(blip=1))),
    "a copy put aside by an old order": (
        Rules(retires=lambda copy, epoch: True),
        Scenario(1, left=Left(cancel=1, mark=2, zombie=1, writes=0)),
    ),
    "a record written without looking": (
        Rules(fenced=False),
        Scenario(1, left=Left(zombie=1)),
    ),
    "hosts dropped below the floor": (
        Rules(dropped=below_the_floor),
        Scenario(2, left=Left(lose=1)),
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_search_finds_a_run_that_breaks_a_law_with(mutant: str) -> None:
    rules, scenario = MUTANTS[mutant]
    with pytest.raises(Broken):
        explore(scenario, rules)


def test_five_retries_and_three_rollbacks_are_the_end() -> None:
    left = Left(writes=0, overdue=9)
    few = Scenario(1, spare=1, left=left, retries=5, rollbacks=3)
    assert explore(few).ends["Failed in"]
    more = replace(few, spare=4)
    found = explore(more)
    assert {"Initial out", "Failed in"} <= set(found.ends)


def test_a_path_with_an_underscore_is_what_the_worlds_are_made_of() -> None:
    assert "_" in DISK
