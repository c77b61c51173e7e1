"""The demonstration, whole: what it shows to people must hold here as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.terminal import Terminal


@pytest.mark.timeout(300)  # it takes twenty seconds on a machine that has nothing else to do
def test_the_demonstration_keeps_all_its_promises(tmp_path: Path) -> None:
    me = Terminal(tmp_path / "unused", {"TMPDIR": str(tmp_path)})
    found = me.told("demo")
    assert [proof for proof in found["proofs"] if not proof["holds"]] == []
    assert (found["holds"], len(found["proofs"])) == (True, 16)
    assert [path for path in tmp_path.iterdir() if path.name.startswith("convoy")] == []


@pytest.mark.timeout(300)
def test_the_demonstration_of_disks_keeps_all_its_promises(tmp_path: Path) -> None:
    me = Terminal(tmp_path / "unused", {"TMPDIR": str(tmp_path)})
    found = me.told("demo", "disk")
    assert [proof for proof in found["proofs"] if not proof["holds"]] == []
    assert (found["holds"], len(found["proofs"])) == (True, 9)
    assert [path for path in tmp_path.iterdir() if path.name.startswith("convoy")] == []
