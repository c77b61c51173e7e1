"""What is wrong here is found, named with what to do, and no password is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import Denied, Refused
from ops.desk import addressed, desk
from ops.doctor import WRONG, findings, redacted, shown
from tests.factories import settings_for


def test_only_one_of_two_addresses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="CONVOY_BROKER_URL is not set"):
        addressed(settings_for(tmp_path, state_url="sqlite:////x"))
    with pytest.raises(Refused, match="CONVOY_STATE_URL is not set"):
        addressed(settings_for(tmp_path, broker_url="redis://127.0.0.1:1/0"))


def test_a_home_that_cannot_be_made_is_named_with_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(Denied, match=r"cannot be used") as caught,
        desk(settings_for(tmp_path / "file/home")),
    ):
        pass
    assert "CONVOY_HOME" in caught.value.hint


def test_the_doctor_finds_an_open_home_and_a_broker_that_is_away(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    wrong = {f.what: f.advice for f in findings(settings_for(home)) if f.state == WRONG}
    assert wrong == {"home": f"chmod 700 {home}"}
    away = settings_for(
        tmp_path, broker_url="redis://:geheim@127.0.0.1:1/0", state_url=f"sqlite:///{home}/s.db"
    )
    found = list(findings(away))
    assert "broker" in {f.what for f in found if f.state == WRONG}
    assert "geheim" not in repr(found) + repr(shown(away))


def test_a_url_is_shown_without_user_password_and_options() -> None:
    assert redacted("redis://:a@b/c@host:6379/4") == "redis://***@host:6379/4"
    assert redacted("mongodb://u:p@h1,h2/db?authSource=x") == "mongodb://***@h1,h2/db"
    assert redacted("sqlite:////home/x/state.db") == "sqlite:////home/x/state.db"
    assert redacted("https://hooks.example.org/T0/geheim?x=1") == "https://hooks.example.org/***"
