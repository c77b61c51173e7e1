"""The write-intent log: what it says after any death, and when it is not believed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.errors import Conflict
from consumer.trans.disks.intents import Intents
from consumer.trans.disks.slices import CLEAN, DIRTY

SLICES, SIZE = 20, 20 << 20
MIB = 1 << 20


def begun(path: Path, epoch: int, *, name: str = "t", size: int = SIZE) -> tuple[Intents, bytes]:
    log = Intents(str(path))
    return log, log.begin(name, epoch, size, MIB)


def test_a_new_log_holds_every_slice(tmp_path: Path) -> None:
    log, states = begun(tmp_path / "log", 2)
    assert states == bytes([DIRTY]) * SLICES
    log.close()


def test_what_was_marked_and_not_cleared_is_dirty_for_the_next_one(tmp_path: Path) -> None:
    log, _ = begun(tmp_path / "log", 2)
    log.clear(range(SLICES))
    log.mark([3, 17])
    log.clear([17])
    log.close()
    log, states = begun(tmp_path / "log", 3)
    assert [k for k in range(SLICES) if states[k] == DIRTY] == [3]
    assert states[4] == CLEAN
    log.close()


@pytest.mark.parametrize(
    "strange",
    [{"epoch": 4}, {"epoch": 2}, {"name": "u"}, {"size": SIZE + 1}],
    ids=["somebody held the disk since", "the same epoch", "another task", "another size"],
)
def test_a_log_of_anything_else_is_not_believed(tmp_path: Path, strange: dict[str, object]) -> None:
    log, _ = begun(tmp_path / "log", 2)
    log.clear(range(SLICES))
    log.close()
    wanted: dict[str, object] = {"epoch": 3, **strange}
    epoch = wanted.pop("epoch")
    assert isinstance(epoch, int)
    log, states = begun(tmp_path / "log", epoch, **wanted)  # type: ignore[arg-type]
    assert set(states) == {DIRTY}
    log.close()


@pytest.mark.parametrize("left", [0, 10, 72, 4096, 4097])
def test_a_log_that_was_cut_short_is_not_believed(tmp_path: Path, left: int) -> None:
    path = tmp_path / "log"
    log, _ = begun(path, 2)
    log.clear(range(SLICES))
    log.close()
    os.truncate(path, left)
    log, states = begun(path, 3)
    assert set(states) == {DIRTY}
    log.close()


def test_a_log_with_a_damaged_head_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log, _ = begun(path, 2)
    log.clear(range(SLICES))
    log.close()
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    log, states = begun(path, 3)
    assert set(states) == {DIRTY}
    log.close()


def test_two_cannot_hold_one_log(tmp_path: Path) -> None:
    log, _ = begun(tmp_path / "log", 2)
    with pytest.raises(Conflict):
        Intents(str(tmp_path / "log"))
    log.close()
    log, _ = begun(tmp_path / "log", 3)
    log.remove()
    assert not (tmp_path / "log").exists()
