"""A fleet that is killed at random while it migrates loses nothing and counts everything once.

The long form of this test is the program `tests/faults/chaos.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.chaos import ACTS, torment


@pytest.mark.timeout(300)
def test_random_kills_cost_time_and_nothing_else(tmp_path: Path) -> None:
    chaos = torment(tmp_path, kills=12, migrations=2, seed=7, many=12)
    assert chaos.wrong == []
    assert sum(chaos.kills.values()) > 0 and set(chaos.kills) <= set(ACTS)
