"""Consumers that are asked to go: one finishes its unit, or on a dying host gives it back."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.lifecycle.units import State
from common.model import Migration
from tests.fleet import Fleet, fleet
from tests.trees import differences
from tests.waiting import eventually


@pytest.fixture
def running(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    with fleet(tmp_path / "fleet", consumers=1, lease=8, **request.param) as found:
        yield found


def slow(running: Fleet, root: Path) -> Migration:
    """A user whose files take some seconds under its limit."""
    user = root / "old" / "ann"
    user.mkdir(parents=True)
    for number in range(40):
        user.joinpath(f"f{number:02}").write_bytes(b"x" * 50_000)
    return running.order(root / "old", root / "new", limits={"bandwidth": "500kB/s"})


@pytest.mark.parametrize("running", [{}], indirect=True)
def test_a_drained_consumer_finishes_the_unit_in_hand(running: Fleet, tmp_path: Path) -> None:
    migration = slow(running, tmp_path)
    eventually(lambda: running.units.sums(migration).live_bytes > 0)
    consumer = running.members["c01"]
    consumer.tell(signal.SIGTERM)
    eventually(lambda: not consumer.alive)
    sums = running.units.sums(migration)
    assert (sums.done, sums.counts.moved) == (1, 40)
    assert differences(tmp_path / "old" / "ann", tmp_path / "new" / "ann") == []


@pytest.mark.parametrize("running", [{"remap_sigterm": "SIGQUIT"}], indirect=True)
def test_a_consumer_on_a_dying_host_gives_its_unit_back_at_once(
    running: Fleet, tmp_path: Path
) -> None:
    migration = slow(running, tmp_path)
    eventually(lambda: running.units.sums(migration).live_bytes > 0)
    consumer = running.members["c01"]
    consumer.tell(signal.SIGTERM)
    eventually(lambda: not consumer.alive, within=40)
    [unit] = [running.units.get(doc["id"]) for doc in running.units.of(migration)]
    assert unit is not None
    assert (unit.state, unit.attempts, unit.epoch) == (State.QUEUED, 0, 2)
    assert "host" in unit.reason
    running.start("c02")
    eventually(lambda: running.ended(migration), within=60)
    assert differences(tmp_path / "old" / "ann", tmp_path / "new" / "ann") == []
