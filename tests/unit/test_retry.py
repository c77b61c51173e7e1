"""Retries inside one call: few, quick, only for what passes by itself, and with no sleep here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from common.errors import Backpressure, Changing, Corrupt, Permanent, Stale, Transient
from common.retry import brief
from common.settings import Settings

BUSY = Backpressure("slow down", retry_in=timedelta(seconds=1))


class Call:
    """Fails with these errors in turn, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.left, self.made, self.naps = list(errors), 0, list[float]()

    def __call__(self) -> str:
        self.made += 1
        if self.left:
            raise self.left.pop(0)
        return "done"

    def tried(self, *, attempts: int = 4, but: tuple[type[Exception], ...] = ()) -> str:
        policy = brief(attempts, but=but).copy(sleep=self.naps.append)
        run: Callable[[Callable[[], str]], str] = policy
        return run(self)


def test_what_goes_well_is_done_once() -> None:
    call = Call()
    assert (call.tried(), call.made, call.naps) == ("done", 1, [])


@pytest.mark.parametrize("error", [Transient("reset"), Changing("moving"), BUSY])
def test_what_passes_by_itself_is_tried_again(error: Exception) -> None:
    call = Call(error, error)
    assert (call.tried(), call.made) == ("done", 3)


@pytest.mark.parametrize("error", [Permanent("no"), Corrupt("bad"), Stale("lost"), ValueError("?")])
def test_what_does_not_pass_is_raised_at_once(error: Exception) -> None:
    call = Call(error)
    with pytest.raises(type(error)):
        call.tried()
    assert call.made == 1


def test_what_has_cost_too_much_time_already_is_not_tried_again() -> None:
    call = Call(Changing("slow"))
    with pytest.raises(Changing):
        call.tried(but=(Changing,))
    assert call.made == 1


def test_after_the_last_try_the_error_itself_is_raised() -> None:
    errors = [Transient(str(n)) for n in range(9)]
    call = Call(*errors)
    with pytest.raises(Transient) as caught:
        call.tried(attempts=3)
    assert caught.value is errors[2]
    assert call.made == 3


def test_the_pauses_together_stay_below_half_a_lease() -> None:
    for _ in range(50):  # they are drawn at random
        call = Call(*[Transient("again")] * 9)
        with pytest.raises(Transient):
            call.tried()
        assert len(call.naps) == 3
        assert sum(call.naps) < Settings.model_fields["lease"].default.total_seconds() / 2
