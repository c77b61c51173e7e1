"""The control centre answers whatever it is asked. The long form is `tests/faults/prying.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.prying import pry

pytestmark = pytest.mark.xdist_group("centre")


def test_whatever_is_asked_no_answer_is_a_fault_or_other_than_described(tmp_path: Path) -> None:
    found = pry(tmp_path / "home", seconds=15, seed=7)
    assert found.code == 0, found.said
    assert "centre.fault" not in found.log
