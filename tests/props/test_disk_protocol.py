"""Moving a disk under its guest, exhaustively for small disks: no run of any length loses a write.

Writes, copies, flushes, failures of either side, deaths of Trans, losses of power, re-sent
requests, late messages, abort and switch, in every order. The judge, its map and log, the gates'
admission and the catalogue's changes are the real code. The search is proven able to fail: with
any one rule taken out, it finds a run that breaks a law.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from common.endpoints.nbd.admission import Admission
from common.lifecycle.disks import Change
from consumer.trans.disks.exclusion import COPY, FLUSH, TARGET, Exclusion, Op
from consumer.trans.disks.judge import SETTLE, Effect, Judge
from consumer.trans.disks.slices import HOT, Log, Slices
from tests.props.disk_search import explore
from tests.props.disk_wires import Rules, Scenario
from tests.props.disk_world import NEW, OLD
from tests.props.worlds import Broken

W = (0, 1)
FLUSHED = None
SCENARIOS = {
    "overlapping writes at once": Scenario((W, W), at_once=2),
    "writes to parts of a slice": Scenario(((0, 1), (0, 2)), size=2, slice_bytes=2, at_once=2),
    "a write over two slices": Scenario(((0, 2),), size=2),
    "the death of Trans": Scenario((W, W), faults=1, kinds="crash"),
    "the death of a host": Scenario((W,), faults=1, kinds="host", reads=1),
    "a guest that is reset": Scenario((W,), faults=1, kinds="reset", reads=1),
    "a target that is cut off": Scenario((W,), faults=1, kinds="cut-new"),
    "a source that is cut off": Scenario((W,), faults=1, kinds="cut-old", reads=1),
    "a target that loses power": Scenario((W,), faults=1, kinds="power-new"),
    "a source that loses power": Scenario((W,), faults=1, kinds="power-old", reads=1),
    "a flush, and a source that loses power": Scenario((W, FLUSHED), faults=1, kinds="power-old"),
    "a flush, and a target that loses power": Scenario((W, FLUSHED), faults=1, kinds="power-new"),
    "a source that stays away": Scenario((W,), faults=2, kinds="cut-old gone", reads=1),
    "a target that fails": Scenario((W,), faults=1, kinds="error-new"),
    "a source that fails": Scenario((W,), faults=1, kinds="error-old", reads=1),
    "a guest that comes back": Scenario((W, W), faults=1, kinds="drop"),
    "an abort": Scenario((W, W), aborts=1),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_run_loses_a_write_or_gets_stuck_with(name: str) -> None:
    found = explore(SCENARIOS[name])
    assert found.worlds > 500
    assert found.ends[NEW]
    assert bool(found.ends[OLD]) == bool(SCENARIOS[name].aborts)


def test_a_guest_that_is_let_past_the_task_loses_nothing_and_the_task_does_not_switch() -> None:
    past = Rules(mounted=lambda disk: Change({"id": disk}, {}))
    assert explore(SCENARIOS["an abort"], past).ends[OLD]


class Careless(Judge):
    """A judge in which one rule can be taken out."""

    log_of: Callable[[Log], Log] = staticmethod(lambda log: log)
    slices_of: type[Slices] = Slices
    line_of: type[Exclusion] = Exclusion

    def __init__(self, states: Iterable[int], slice_bytes: int, log: Log) -> None:
        super().__init__(states, slice_bytes, log)
        self.slices = self.slices_of(states, log)
        self.line = self.line_of(slice_bytes)


class Unmarked(Slices):
    def written(self, slices: Iterable[int], *, both: bool) -> None:
        log, self._log = self._log, Unwritten()
        super().written(slices, both=both)
        self._log = log


class Unwritten:
    def mark(self, slices: Iterable[int]) -> None:
        """Nothing."""

    def clear(self, slices: Iterable[int]) -> None:
        """Nothing."""


class WithoutIntents(Careless):
    slices_of = Unmarked


class BeforeTheFlush(Careless):
    def settle(self, *, everything: bool = False) -> list[Effect]:
        self.slices.flushed(self.slices.hot())
        return []


class Confident(Slices):
    def doubt(self) -> None:
        """Whatever was in step still is."""


class WithoutDoubt(Careless):
    slices_of = Confident


class Heedless(Exclusion):
    def _meets(self, op: Op, table: dict[int, list[Op]]) -> bool:
        rest = {k: [o for o in ops if o.what != COPY] for k, ops in table.items()}
        return op.what != COPY and super()._meets(op, rest)


class CopiesUnderWrites(Careless):
    line_of = Heedless


class Crowded(Exclusion):
    def _meets(self, op: Op, table: dict[int, list[Op]]) -> bool:
        copies = {k: [o for o in ops if COPY in (o.what, op.what)] for k, ops in table.items()}
        return super()._meets(op, copies)


class WritesAtOnce(Careless):
    line_of = Crowded


class Forgetful(Careless):
    """Takes what it began to flush for flushed, whatever was written meanwhile."""

    def _send(self, op: Op) -> list[Effect]:
        settling = set(self._settling)
        effects = super()._send(op)
        self._settling = settling
        return effects


class Believing(Slices):
    """A failure is no reason to copy again."""

    def dirty(self, slices: Iterable[int]) -> None:
        for k in slices:
            if self.states[k] not in (HOT,):
                super().dirty([k])


class FailuresForgotten(Careless):
    slices_of = Believing


class Impatient(Careless):
    """Says that a write arrived once the source has it."""

    def answered(self, id: int, side: int, *, good: bool) -> list[Effect]:
        effects = super().answered(id, side, good=good)
        if side != TARGET and self._due.get(id, 0) == TARGET:
            effects += super().answered(id, TARGET, good=True)
        return effects


class Forsaking(Careless):
    """What a lost session asked for excludes nobody any more."""

    def ended(self, session: int) -> list[Effect]:
        for op in [o for o in self.line.inflight.values() if o.session == session]:
            del self._due[op.id]
            self._start(self.line.leave(op))
        return super().ended(session)


class Unflushing(Careless):
    """Takes the answer of one side to a flush for that of both."""

    def _flush(self) -> Op:
        op = super()._flush()
        assert op.what == FLUSH
        return op

    def answered(self, id: int, side: int, *, good: bool) -> list[Effect]:
        effects = super().answered(id, side, good=good)
        if id == SETTLE and side != TARGET and self._due.get(id, 0):
            effects += super().answered(id, TARGET, good=True)
        return effects


def open_to_all(admission: Admission, mount: int) -> bool:
    return not admission.fenced


def let_in(admission: Admission, mount: int) -> Admission:
    return Admission(max(mount, admission.mount))


UNLOCKED = Rules(takes=open_to_all, login=let_in, drains=False)
MUTANTS: dict[str, tuple[Rules, Scenario]] = {
    "no write-intent log": (
        Rules(judge=WithoutIntents),
        SCENARIOS["the death of a host"],
    ),
    "a write-intent log that is lost": (Rules(logged=False), SCENARIOS["the death of Trans"]),
    "slices that leave the log before the flush": (
        Rules(judge=BeforeTheFlush),
        SCENARIOS["a target that loses power"],
    ),
    "a flush of one side only": (Rules(judge=Unflushing), SCENARIOS["a target that loses power"]),
    "no doubt about a target that was lost": (
        Rules(judge=WithoutDoubt),
        SCENARIOS["a target that loses power"],
    ),
    "no doubt about a source that was lost": (
        Rules(judge=WithoutDoubt),
        SCENARIOS["a source that loses power"],
    ),
    "a copy while somebody writes": (
        Rules(judge=CopiesUnderWrites),
        SCENARIOS["overlapping writes at once"],
    ),
    "overlapping writes in any order": (
        Rules(judge=WritesAtOnce),
        SCENARIOS["overlapping writes at once"],
    ),
    "a write while it is flushed": (
        Rules(judge=Forgetful),
        SCENARIOS["the death of a host"],
    ),
    "a failed write to the target forgotten": (
        Rules(judge=FailuresForgotten),
        SCENARIOS["a target that fails"],
    ),
    "a failed write to the source forgotten": (
        Rules(judge=FailuresForgotten),
        SCENARIOS["a source that fails"],
    ),
    "an answer before the target's": (Rules(judge=Impatient), SCENARIOS["a target that fails"]),
    "a lost session's writes forgotten": (
        Rules(judge=Forsaking),
        SCENARIOS["a guest that comes back"],
    ),
    "a guest that never logged in anew": (UNLOCKED, SCENARIOS["an abort"]),
    "late writes to a target that was lost": (UNLOCKED, SCENARIOS["a target that is cut off"]),
    "late writes of a Trans that died": (UNLOCKED, SCENARIOS["the death of Trans"]),
    "a commit of any epoch": (
        Rules(switched=lambda d, t, e, to: Change({"id": d, "task": t}, {"set": to, "task": ""})),
        SCENARIOS["the death of Trans"],
    ),
    "a commit after the abort": (
        Rules(switched=lambda d, t, e, to: Change({"id": d}, {"set": to, "task": ""})),
        SCENARIOS["an abort"],
    ),
    "a commit before the fence": (Rules(fenced=False), SCENARIOS["an abort"]),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_search_finds_a_run_that_breaks_a_law_with(mutant: str) -> None:
    rules, scenario = MUTANTS[mutant]
    with pytest.raises(Broken):
        explore(scenario, rules)
