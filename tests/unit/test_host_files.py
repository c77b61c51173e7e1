"""The small files of a host: what is wanted, the environment of what runs, what is remembered."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from common.errors import Corrupt, Denied, Missing, Refused
from ops.host import environment, memory, wanted
from ops.host.files import replace
from ops.host.judge import Past
from ops.host.memory import Memory
from ops.host.roles import ROLES, role
from ops.host.wanted import Wanted

CONSUMER = ROLES["consumer"]
ENV = """\
# the fleet of May
CONVOY_BROKER_URL=redis://:pa=ss"word@h:6379/4

CONVOY_STATE_URL="mongodb://u:p@h/convoy"
CONVOY_HOME=/elsewhere
AWS_PROFILE='new store'
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_replaced_as_a_whole_and_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    replace(path, "old")
    os.chmod(path, 0o644)
    with path.open() as reader:
        replace(path, "new")
        assert (reader.read(), path.read_text(), mode(path)) == ("old", "new", 0o600)
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file, not a folder")
    with pytest.raises(Denied, match="cannot be written"):
        replace(tmp_path / "file" / "below", "text")


def test_what_was_never_said_is_not_wanted_and_not_forbidden(tmp_path: Path) -> None:
    assert wanted.read(tmp_path, CONSUMER) is None


def test_what_is_wanted_is_read_back(tmp_path: Path) -> None:
    wish = Wanted("consumer", 3, True, by="ann@desk", at=17.0)
    wanted.write(tmp_path, wish)
    assert wanted.read(tmp_path, CONSUMER) == wish
    assert wish.posts() == ["c01", "c02", "c03"]
    assert Wanted("consumer", 3, False).posts() == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"count": 3}', "\0" * 40])
def test_a_damaged_wish_is_neither_an_order_to_start_nor_to_stop(tmp_path: Path, text: str) -> None:
    path = tmp_path / "wanted/consumer.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(Corrupt) as caught:
        wanted.read(tmp_path, CONSUMER)
    assert "convoy host start" in caught.value.hint


@pytest.mark.parametrize("count", [-1, 1000])
def test_absurd_numbers_are_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(Refused):
        wanted.write(tmp_path, Wanted("consumer", count, True))


def test_a_role_of_another_version_is_refused_by_name() -> None:
    with pytest.raises(Refused, match="no role 'trans'"):
        role("trans")


def test_posts_find_the_file_and_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVOY_LEASE", "7s")
    monkeypatch.setenv("SECRET", "of the shell")
    environment.write(tmp_path, ENV)
    found = environment.load(tmp_path)
    assert found["CONVOY_BROKER_URL"] == 'redis://:pa=ss"word@h:6379/4'
    assert found["CONVOY_STATE_URL"] == "mongodb://u:p@h/convoy"
    assert found["CONVOY_HOME"] == str(tmp_path)
    assert found["AWS_PROFILE"] == "new store"
    assert not {"SECRET", "CONVOY_LEASE"} & found.keys()
    assert {"PATH", "HOME", "LANG"} <= found.keys()
    assert environment.settings(tmp_path).lease.total_seconds() == 60
    assert environment.settings(tmp_path).home == tmp_path


@pytest.mark.parametrize("bad", [0o640, 0o604, 0o644])
def test_passwords_that_others_may_read_are_refused(tmp_path: Path, bad: int) -> None:
    environment.write(tmp_path, ENV)
    os.chmod(tmp_path / "env", bad)
    with pytest.raises(Denied) as caught:
        environment.load(tmp_path)
    assert caught.value.hint.startswith("chmod 600")


def test_a_line_that_is_no_variable_is_named_by_its_number_and_never_shown() -> None:
    with pytest.raises(Refused) as caught:
        environment.parse("A=1\nexport B=secret\n", "env")
    assert "line 2" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_without_a_file_it_is_said_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(Missing) as caught:
        environment.load(tmp_path)
    assert "fab deploy" in caught.value.hint


def test_the_first_start_by_hand_keeps_the_settings_of_the_terminal(tmp_path: Path) -> None:
    shell = {
        "CONVOY_BROKER_URL": "redis://h",
        "CONVOY_STATE_URL": "mongodb://h/convoy",
        "CONVOY_HOME": "/elsewhere",
        "PATH": "/bin",
    }
    assert environment.keep(tmp_path, shell)
    assert mode(tmp_path / "env") == 0o600
    assert "PATH" not in (tmp_path / "env").read_text()
    assert not environment.keep(tmp_path, shell | {"CONVOY_BROKER_URL": "redis://other"})
    assert environment.load(tmp_path)["CONVOY_BROKER_URL"] == "redis://h"


def test_a_terminal_without_addresses_leaves_no_file(tmp_path: Path) -> None:
    assert not environment.keep(tmp_path, {"CONVOY_LEASE": "2s"})
    assert not (tmp_path / "env").exists()


def test_the_past_is_remembered_until_the_next_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Memory(round=5.0, said={"consumer": "damaged"})
    known.keep("consumer", "c01", Past(started=3.0, up=True, starts=(1.0, 3.0)))
    memory.write(tmp_path, known)
    assert memory.read(tmp_path) == known
    monkeypatch.setattr(memory, "boot", lambda: "another boot")
    assert memory.read(tmp_path) == Memory()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"boot": 1}', "\0"])
def test_a_damaged_memory_is_no_memory(tmp_path: Path, text: str) -> None:
    path = tmp_path / memory.FILE
    path.parent.mkdir()
    path.write_text(text)
    assert memory.read(tmp_path) == Memory()
