"""What the exhaustive search does not ask of a disk's judge: order, patience, bookkeeping."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from common.endpoints.nbd.admission import Admission, last, mount
from common.errors import IllegalTransition, Stale
from consumer.trans.disks.exclusion import (
    BOTH,
    COPY,
    FLUSH,
    READ,
    SOURCE,
    TARGET,
    WRITE,
    ZERO,
    Exclusion,
    Op,
)
from consumer.trans.disks.judge import OURS, SETTLE, Answer, Copy, Judge, Send
from consumer.trans.disks.slices import CLEAN, COPYING, DIRTY, HOT, Slices


class Notes:
    """A log in memory."""

    def __init__(self) -> None:
        self.noted: set[int] = set()

    def mark(self, slices: Iterable[int]) -> None:
        self.noted.update(slices)

    def clear(self, slices: Iterable[int]) -> None:
        self.noted.difference_update(slices)


def write(id_: int, start: int, end: int) -> Op:
    return Op(id_, WRITE, start, end, 1)


def judge_of(states: Iterable[int], slice_bytes: int = 10) -> tuple[Judge, Notes]:
    notes = Notes()
    judge = Judge(states, slice_bytes, notes)
    judge.begun(1)
    return judge, notes


def test_a_request_waits_for_an_earlier_one_that_waits() -> None:
    line = Exclusion(10)
    assert line.enter(write(1, 0, 4))
    assert not line.enter(Op(2, COPY, 0, 10, OURS))
    assert not line.enter(write(3, 6, 8))  # meets nothing but the copy that waits
    assert line.leave(write(1, 0, 4)) == [Op(2, COPY, 0, 10, OURS)]
    assert line.leave(Op(2, COPY, 0, 10, OURS)) == [write(3, 6, 8)]


def test_what_does_not_overlap_is_under_way_at_once() -> None:
    line = Exclusion(10)
    assert (
        line.enter(write(1, 0, 4)) and line.enter(write(2, 4, 10)) and line.enter(write(3, 10, 12))
    )
    assert not line.enter(write(4, 3, 5))
    assert line.leave(write(1, 0, 4)) == []
    assert line.leave(write(2, 4, 10)) == [write(4, 3, 5)]


def test_a_long_request_excludes_in_every_slice_that_it_touches() -> None:
    line = Exclusion(10)
    assert line.enter(Op(1, ZERO, 5, 35, 1))
    for n, (start, end) in enumerate([(5, 6), (19, 21), (34, 35)]):
        assert not line.enter(write(10 + n, start, end))
    assert line.enter(write(20, 0, 5)) and line.enter(write(21, 35, 40))


def test_what_a_lost_session_waits_for_is_struck_and_others_take_its_place() -> None:
    line = Exclusion(10)
    line.enter(Op(1, COPY, 0, 10, OURS))
    line.enter(Op(2, WRITE, 0, 5, 7))
    line.enter(Op(3, WRITE, 0, 5, 8))
    assert line.forget(7) == [] and line.pending == [Op(3, WRITE, 0, 5, 8)]
    assert line.leave(Op(1, COPY, 0, 10, OURS)) == [Op(3, WRITE, 0, 5, 8)]


def test_reads_and_flushes_never_wait() -> None:
    judge, _ = judge_of([DIRTY])
    judge.copy(Op(1, COPY, 0, 10, OURS))
    assert judge.asked(Op(2, READ, 0, 5, 1)) == [Send(Op(2, READ, 0, 5, 1), SOURCE)]
    assert judge.asked(Op(3, FLUSH, 0, 0, 1)) == [Send(Op(3, FLUSH, 0, 0, 1), BOTH)]


def test_the_log_is_asked_only_when_a_slice_stops_being_clean() -> None:
    judge, notes = judge_of([CLEAN, DIRTY])
    judge.asked(write(1, 0, 20))
    assert notes.noted == {0}  # the other one stands in it already
    assert list(judge.slices.states) == [HOT, DIRTY]


def test_slices_that_are_written_all_the_time_are_left_in_the_log() -> None:
    judge, notes = judge_of([CLEAN, HOT])
    notes.noted = {1}
    judge.asked(write(1, 0, 5))
    judge.answered(1, SOURCE, good=True)
    judge.answered(1, TARGET, good=True)
    [flush] = judge.settle()
    assert isinstance(flush, Send) and flush.op.id == SETTLE
    for side in (SOURCE, TARGET):
        judge.answered(SETTLE, side, good=True)
    assert list(judge.slices.states) == [HOT, CLEAN] and notes.noted == {0}
    judge.settle()  # quiet since the last time
    for side in (SOURCE, TARGET):
        judge.answered(SETTLE, side, good=True)
    assert list(judge.slices.states) == [CLEAN, CLEAN]


def test_the_floor_rises_over_clean_slices_only_and_never_falls() -> None:
    slices = Slices([HOT, DIRTY, HOT], Notes())
    slices.flushed([0, 2])
    assert slices.floor == 1
    slices.hold(1)
    slices.copied(1, same=True)
    slices.flushed([1])
    assert slices.floor == 3
    slices.written([0], both=False)
    assert slices.floor == 3 and not slices.clean and slices.many(DIRTY) == 1


def test_a_copy_is_told_at_once_when_there_is_nothing_to_do_or_nothing_can_be_done() -> None:
    judge, _ = judge_of([HOT, DIRTY])
    known, waiting = Op(1, COPY, 0, 10, OURS), Op(2, COPY, 10, 20, OURS)
    assert judge.copy(known) == [Answer(known, good=True)]
    judge.lost(TARGET)
    assert judge.copy(waiting) == [Answer(waiting, good=False)]
    judge.back(TARGET)
    assert judge.copy(waiting) == [Copy(waiting)]
    assert judge.slices.states[1] == COPYING


def test_a_copy_that_waited_until_a_side_was_lost_is_not_begun() -> None:
    judge, _ = judge_of([DIRTY])
    copy = Op(2, COPY, 0, 10, OURS)
    judge.asked(write(1, 0, 5))
    assert judge.copy(copy) == []
    judge.lost(TARGET)
    effects = judge.answered(1, SOURCE, good=True)
    assert Answer(copy, good=False) in effects and judge.drained


def test_reads_are_asked_again_of_a_source_that_comes_back() -> None:
    judge, _ = judge_of([CLEAN])
    read = Op(1, READ, 0, 5, 1)
    judge.asked(read)
    judge.lost(SOURCE)
    assert judge.back(SOURCE) == [Send(read, SOURCE)]


def test_a_guest_may_not_ask_while_the_disk_is_switched() -> None:
    judge, _ = judge_of([CLEAN])
    judge.freeze()
    assert judge.switchable and not judge.welcoming
    with pytest.raises(IllegalTransition):
        judge.asked(write(1, 0, 5))
    judge.thaw()
    assert judge.asked(write(1, 0, 5)) == [Send(write(1, 0, 5), BOTH)]


def test_a_gate_admits_the_latest_mount_only() -> None:
    here = Admission().login(mount(3))
    assert here.takes(mount(3)) and here.login(mount(3)) == here
    with pytest.raises(Stale):
        here.login(mount(2, 7))
    assert here.login(mount(3, 1)).takes(mount(3, 1))


def test_a_fence_holds_for_every_return_of_an_epoch_and_for_none_of_a_later_one() -> None:
    here = Admission().login(mount(3)).fence(last(3))
    assert not here.takes(mount(3)) and not here.takes(last(3))
    for returns in (0, 1, 1000):
        with pytest.raises(Stale):
            here.login(mount(3, returns))
    assert here.login(mount(4)).takes(mount(4))
    late = here.login(mount(4)).fence(last(3))
    assert late.takes(mount(4))
