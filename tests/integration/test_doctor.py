"""What is wrong here is found, named with what to do, and no password is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from common.clock import Clock
from common.errors import Denied, Refused
from common.store.consumers import Consumers
from common.store.sqlite import SqliteStore
from ops.desk import Desk, addressed, desk
from ops.doctor import NOTE, WRONG, Finding, findings, life, redacted, shown
from tests.factories import Turned, settings_for


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


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(str(tmp_path / "state.db"))
    yield store
    store.close()


def judged(tmp_path: Path, store: SqliteStore, meanwhile: Callable[[], None]) -> list[Finding]:
    """What is said of the consumers, if this happens whenever the doctor waits."""
    turned = Turned()

    def sleep(seconds: float) -> None:
        turned.turn(timedelta(seconds=seconds))
        meanwhile()

    clock = Clock(wall=lambda: turned.now, tick=lambda: turned.ticks, sleep=sleep)
    return list(life(Desk(settings_for(tmp_path), store, None, clock, "test")))


def member(store: SqliteStore, name: str, *, off: float) -> Callable[[], None]:
    """The beat of a consumer whose clock is `off` by so many seconds."""
    consumers = Consumers(store, Clock(wall=lambda: Turned().now + off))
    consumers.beat(name, version="1")
    return lambda: consumers.beat(name, version="1")


@pytest.mark.parametrize(("off", "said"), [(7200.0, "ahead of ours"), (-7200.0, "behind ours")])
def test_a_consumer_lives_whatever_its_clock_says_and_the_difference_is_told(
    tmp_path: Path, store: SqliteStore, off: float, said: str
) -> None:
    found = judged(tmp_path, store, member(store, "c01@far", off=off))
    assert [f.state for f in found if "1 of 1" in f.said] == ["good"]
    [clocks] = [f for f in found if f.state == NOTE]
    assert clocks.said == f"clocks differ: that of c01@far is 2h00m {said}"


def test_a_consumer_whose_counter_stands_still_is_dead_however_fresh_its_last_sign_looks(
    tmp_path: Path, store: SqliteStore
) -> None:
    member(store, "c01@ahead", off=86_400)
    [found] = judged(tmp_path, store, lambda: None)
    assert (found.state, found.said) == (WRONG, "none gave a sign of life")
    alive = member(store, "c02@here", off=0)
    found = judged(tmp_path, store, alive)[0]
    assert (found.state, "1 of 2" in found.said) == (NOTE, True)
    assert "c01@ahead" in found.said


def test_the_doctor_waits_for_nobody_once_everybody_gave_a_sign(
    tmp_path: Path, store: SqliteStore
) -> None:
    waits: list[int] = []
    beats = [member(store, f"c{n}", off=0) for n in range(3)]

    def meanwhile() -> None:
        waits.append(1)
        for beat in beats:
            beat()

    assert "3 of 3" in judged(tmp_path, store, meanwhile)[0].said
    assert len(waits) == 1
