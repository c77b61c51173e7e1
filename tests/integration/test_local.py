"""The fleet of one machine: brought back when it dies, gone when it is left, one per home."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from common.errors import Conflict, Permanent
from common.settings import Settings
from ops import embedded, local
from ops.local import Local, environment, joined
from tests.factories import settings_for
from tests.waiting import eventually


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for(tmp_path / "home", lease=timedelta(seconds=2))


@pytest.fixture
def fleet(settings: Settings) -> Iterator[Local]:
    with Local(settings, consumers=1) as running:
        yield running


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_whoever_dies_is_brought_back_redis_with_its_address(fleet: Local) -> None:
    before = {post.name: post.child.pid for post in fleet.posts}
    url = embedded.running(fleet.settings.home / "redis")
    assert fleet._redis is not None
    for pid in (*before.values(), fleet._redis.pid):
        os.kill(pid, signal.SIGKILL)

    def back() -> bool:
        fleet.tend()
        now = {post.name: post.child.pid for post in fleet.posts if post.child.alive}
        return now.keys() == before.keys() and not set(now.values()) & set(before.values())

    assert eventually(back)
    assert embedded.running(fleet.settings.home / "redis") == url == fleet.settings.broker()


def test_who_never_stays_up_is_given_up_with_the_end_of_its_log(
    fleet: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = next(post for post in fleet.posts if post.name == "c01")
    post.argv[:] = ["sh", "-c", "echo no such luck >&2; exit 1"]
    monkeypatch.setattr(local, "PAUSE", 0.0)
    post.child.kill()

    def fails() -> str:
        try:
            fleet.tend()
        except Permanent as error:
            return f"{error} {error.hint}"
        return ""

    said = eventually(fails)
    assert "no such luck" in said
    assert str(fleet.settings.home / "log") in said


def test_nothing_is_left_of_a_fleet_but_its_records_and_logs(settings: Settings) -> None:
    with Local(settings, consumers=1) as fleet:
        pids = [post.child.pid for post in fleet.posts]
    assert all(map(gone, pids))
    assert sorted(os.listdir(settings.home / "tmp")) == []
    assert (settings.home / "log/c01.log").exists()
    assert settings.home.stat().st_mode & 0o777 == 0o700


def test_a_second_one_in_the_same_home_shares_the_first_and_a_third_is_refused(
    fleet: Local, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with joined(settings) as shared:
        assert not shared.ours
        assert shared.settings.broker() == fleet.settings.broker()
        assert not shared.gone()
    monkeypatch.setattr(embedded, "HANDOVER", timedelta(seconds=0.1))
    with pytest.raises(Conflict, match="another convoy runs"), Local(settings):
        pass


def test_a_log_that_has_grown_too_long_is_set_aside_at_the_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "LOG_MOST", 10)
    logs = settings.home / "log"
    logs.mkdir(parents=True)
    (logs / "producer.log").write_text("something long\n")
    with Local(settings, consumers=1):
        assert (logs / "producer.log.1").read_text() == "something long\n"


def test_members_find_every_setting_in_their_environment(tmp_path: Path) -> None:
    given = settings_for(
        tmp_path,
        lease=timedelta(seconds=1.5),
        broker_url="redis://:geheim@127.0.0.1:1/0",
        state_url="sqlite:////x",
        unit_items=7,
    )
    env = environment(given)
    read = Settings.model_validate(
        {k.removeprefix("CONVOY_").lower(): v for k, v in env.items() if k.startswith("CONVOY_")}
    )
    assert (read.lease, read.home, read.unit_items) == (given.lease, tmp_path, 7)
    assert read.broker() == given.broker()
    assert not any("geheim" in word for word in local.consumer_argv("c01"))
