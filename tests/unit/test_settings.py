"""Settings from the environment: read as people write them, or refused by name."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from common.errors import Refused
from common.settings import Settings

SECRET = "hunter2"
BROKER = f"redis://:{SECRET}@broker:6379/4"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says nothing about us."""
    for name in [name for name in os.environ if name.upper().startswith("CONVOY_")]:
        monkeypatch.delenv(name)


def test_without_any_variable_everything_runs_on_this_machine() -> None:
    settings = Settings()
    assert settings.embedded
    assert settings.home == Path.home() / ".local/state/convoy"


def test_the_defaults_are_the_one_set_of_times_that_fits_everywhere() -> None:
    settings = Settings()
    assert (settings.lease, settings.beat) == (timedelta(seconds=60), timedelta(seconds=15))
    assert settings.unit_soft_limit == timedelta(minutes=18)
    assert settings.unit_hard_limit == timedelta(minutes=20)
    assert settings.visibility == timedelta(minutes=30)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("LEASE", "2s", timedelta(seconds=2)),
        ("LEASE", "2", timedelta(seconds=2)),
        ("BACKOFF", "0", timedelta(0)),
        ("UNIT_BYTES", "200MiB", 200 << 20),
        ("UNIT_BYTES", "4096", 4096),
        ("ATTEMPTS", "3", 3),
        ("HOME", "/srv/convoy", Path("/srv/convoy")),
        ("FAILPOINTS", "a=kill", "a=kill"),
    ],
)
def test_a_variable_is_read_as_people_write_it(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: object
) -> None:
    monkeypatch.setenv(f"CONVOY_{name}", text)
    assert getattr(Settings(), name.lower()) == value


@pytest.mark.parametrize(
    "name",
    ["ATTEMPTS", "WINDOW", "WINDOW_LEAST", "UNIT_ITEMS", "UNIT_BYTES", "RANGE_BYTES", "POOL"],
)
def test_one_is_enough_of_anything(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"CONVOY_{name}", "1")
    assert getattr(Settings(), name.lower()) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("LEASE", "soon"),
        ("LEASE", "0"),
        ("LEASE", "-2s"),
        ("SWEEP", "0s"),
        ("RESEND", "0ms"),
        ("IDLE_LIMIT", "0"),
        ("BACKOFF", "-1s"),
        ("UNIT_BYTES", "0"),
        ("RANGE_BYTES", "much"),
        ("UNIT_ITEMS", "0"),
        ("UNIT_ITEMS", "1.5"),
        ("ATTEMPTS", "0"),
        ("ATTEMPTS", "many"),
        ("WINDOW", "-4"),
        ("POOL", "0"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(f"CONVOY_{name}", text)
    with pytest.raises(Refused, match=f"^CONVOY_{name}: ") as caught:
        Settings()
    assert caught.value.hint


def test_every_wrong_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVOY_LEASE", "soon")
    monkeypatch.setenv("CONVOY_ATTEMPTS", "many")
    with pytest.raises(Refused, match=r"CONVOY_LEASE: 'soon' is no time span.*; CONVOY_ATTEMPTS: "):
        Settings()


@pytest.mark.parametrize(
    "limits", [("20m", "20m", "30m"), ("21m", "20m", "30m"), ("18m", "30m", "30m"), ("1", "3", "2")]
)
def test_limits_that_do_not_follow_each_other_are_refused(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[str, str, str]
) -> None:
    names = ("UNIT_SOFT_LIMIT", "UNIT_HARD_LIMIT", "VISIBILITY")
    for name, limit in zip(names, limits, strict=True):
        monkeypatch.setenv(f"CONVOY_{name}", limit)
    with pytest.raises(Refused, match=r"^unit_soft_limit < unit_hard_limit < visibility"):
        Settings()


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROKER_URL", "STATE_URL", "LEASE", "HOME"):
        monkeypatch.setenv(f"CONVOY_{name}", "")
    assert Settings() == Settings.model_validate({"home": Settings().home})
    assert Settings().embedded


def test_a_host_is_called_as_it_was_told_or_as_it_calls_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Settings().node == socket.gethostname()
    monkeypatch.setenv("CONVOY_HOST", "h1")
    assert Settings().node == "h1"


def test_a_variable_of_another_program_is_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEASE", "2s")
    monkeypatch.setenv("CONVOY_VENV", "/somewhere")
    assert Settings().lease == timedelta(seconds=60)


def test_no_secret_is_ever_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVOY_BROKER_URL", BROKER)
    assert SECRET not in f"{Settings()} {Settings()!r} {Settings().model_dump_json()}"
    assert Settings().broker() == BROKER
    monkeypatch.setenv("CONVOY_VISIBILITY", "1s")
    with pytest.raises(Refused) as caught:
        Settings()
    assert SECRET not in f"{caught.value} {caught.value.__cause__} {caught.value.hint}"


def test_two_addresses_make_a_fleet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVOY_BROKER_URL", BROKER)
    monkeypatch.setenv("CONVOY_STATE_URL", "sqlite:////srv/state.db")
    settings = Settings()
    assert not settings.embedded
    assert (settings.broker(), settings.state()) == (BROKER, "sqlite:////srv/state.db")


@pytest.mark.parametrize(("given", "missing"), [("BROKER", "STATE"), ("STATE", "BROKER")])
def test_one_address_alone_is_refused_with_the_name_of_the_other(
    monkeypatch: pytest.MonkeyPatch, given: str, missing: str
) -> None:
    monkeypatch.setenv(f"CONVOY_{given}_URL", "x://y")
    settings = Settings()
    assert not settings.embedded
    with pytest.raises(Refused, match=f"CONVOY_{missing}_URL is not set") as caught:
        (settings.state if missing == "STATE" else settings.broker)()
    assert f"CONVOY_{given}_URL" in caught.value.hint


def test_settings_are_a_value() -> None:
    settings = Settings(lease=timedelta(seconds=2), unit_bytes=7)
    assert (settings.lease, settings.unit_bytes) == (timedelta(seconds=2), 7)
    with pytest.raises(ValidationError):
        settings.lease = timedelta(seconds=3)
    assert settings.model_copy(update={"attempts": 2}).attempts == 2
