"""Alarms reach real sinks: once when they are raised, once when they are over, whatever fails."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from common.errors import Refused, Transient
from common.lifecycle.users import Event
from common.model import Counts, Draft, Receipt
from common.settings import Settings
from common.store.connect import connect
from ops.alarms.sinks import Command, Mail, Sink, Webhook, configured
from ops.alarms.standing import RAISED, RESOLVED, Notice
from ops.alarms.watch import Alarms
from tests.factories import Ground, settings_for
from tests.servers.hook import Hook, mailbox, webhook
from tests.terminal import Terminal

NOTICE = Notice("NoProgress", RAISED, "critical", "no\nprogress", "docs/x.md", 1.0, "h1")
STEP = timedelta(seconds=15)


@pytest.fixture
def hook() -> Iterator[Hook]:
    with webhook() as ours:
        yield ours


@dataclass
class Watch:
    """A fleet with a person who is told."""

    ground: Ground
    settings: Settings
    hook: Hook

    def rounds(self, many: int, by: timedelta = STEP) -> None:
        """Look again and again, each time by a new process, as cron does."""
        for _ in range(many):
            self.alarms().round()
            self.ground.turned.turn(by)

    def alarms(self) -> Alarms:
        return Alarms(self.settings, configured(self.settings), self.ground.clock)


@pytest.fixture
def watch(tmp_path: Path, broker_url: str, hook: Hook) -> Iterator[Watch]:
    state = f"sqlite:///{tmp_path}/state.db"
    settings = settings_for(
        tmp_path / "home",
        broker_url=broker_url,
        state_url=state,
        alarm_webhook=SecretStr(hook.url),
        lease=timedelta(seconds=60),
    )
    store = connect(state)
    yield Watch(Ground(store), settings, hook)
    store.close()


def test_no_progress_is_raised_within_three_minutes_and_resolved_by_the_first_unit(
    watch: Watch,
) -> None:
    ground = watch.ground
    migration = ground.moving([Draft("move", "ann"), Draft("move", "bob")])
    [unit, _] = ground.units.due(migration, 2)
    taken = ground.units.claim(migration, unit.id, unit.epoch, owner="c01@h")
    assert taken is not None
    began = ground.turned.now
    ground.consumers.beat("c01@h")  # ... and never again: all consumers are stopped
    watch.rounds(8)
    assert ("NoProgress", RAISED) not in watch.hook.told
    watch.rounds(4)
    raised = next(n for n in watch.hook.taken if n["alarm"] == "NoProgress")
    assert raised["at"] - began <= 180
    assert raised["runbook"] == "docs/runbooks/no-progress.md"
    assert "2 units are open" in raised["said"]
    watch.rounds(8)
    assert watch.hook.told.count(("NoProgress", RAISED)) == 1
    assert watch.hook.told.count(("ConsumersMissing", RAISED)) == 1
    ground.units.finish(taken, Receipt(Counts(items=1, moved=1)), seconds=1.0)
    ground.consumers.beat("c01@h")
    watch.rounds(2)
    assert watch.hook.told.count(("NoProgress", RESOLVED)) == 1
    assert watch.hook.told.count(("ConsumersMissing", RESOLVED)) == 1


def test_a_unit_that_is_claimed_and_dropped_again_and_again_is_no_progress(watch: Watch) -> None:
    migration = watch.ground.moving()
    for _ in range(10):
        unit = watch.ground.only(migration)
        taken = watch.ground.units.claim(migration, unit.id, unit.epoch, owner="c01@h")
        assert taken is not None
        watch.rounds(1)
        watch.ground.units.lapse(taken, attempts=99)
    assert ("NoProgress", RAISED) in watch.hook.told


def test_a_paused_migration_raises_nothing_and_a_cancelled_one_resolves(watch: Watch) -> None:
    migration = watch.ground.moving()
    watch.rounds(12)
    assert ("NoProgress", RAISED) in watch.hook.told
    assert ("QueueEmpty", RAISED) in watch.hook.told
    watch.ground.migrations.advance(migration, Event.CANCEL, by="test")
    watch.rounds(1)
    assert ("NoProgress", RESOLVED) in watch.hook.told
    assert ("QueueEmpty", RESOLVED) in watch.hook.told


def test_a_notice_that_a_sink_did_not_take_is_told_later_once_and_in_order(watch: Watch) -> None:
    watch.ground.consumers.beat("c01@h")
    watch.hook.status = 503
    watch.rounds(20)
    assert watch.hook.told == []
    watch.ground.consumers.leave("c01@h")
    watch.rounds(1)
    watch.hook.status = 200
    watch.rounds(3)
    assert watch.hook.told == [("ConsumersMissing", RAISED), ("ConsumersMissing", RESOLVED)]


def test_a_sink_that_fails_once_hears_the_rest_of_the_round_later_and_in_order(
    watch: Watch,
) -> None:
    @dataclass
    class Stumbling:
        told: list[str]
        falls: int = 1

        def send(self, notice: Notice) -> None:
            if self.falls:
                self.falls -= 1
                raise Transient("not now")
            self.told.append(notice.alarm)

    sink = Stumbling([])
    sinks: dict[str, Sink] = {"sink": sink}
    ours = Alarms(watch.settings, sinks, watch.ground.clock)
    watch.ground.moving()
    watch.ground.turned.turn(STEP)
    ours.round()
    watch.ground.turned.turn(timedelta(minutes=3))
    ours.round()  # two are raised, the first is not taken
    assert sink.told == []
    ours.round()
    assert sink.told == ["NoProgress", "QueueEmpty"]


def test_a_store_that_is_away_is_told_and_resolves_nothing_else(
    watch: Watch, tmp_path: Path
) -> None:
    watch.ground.moving()
    watch.rounds(12)
    before, good = len(watch.hook.taken), watch.settings
    (tmp_path / "file").touch()
    bad = SecretStr(f"sqlite:///{tmp_path}/file/x.db")
    watch.settings = good.model_copy(update={"state_url": bad})
    watch.rounds(6)
    assert watch.hook.told[before:] == [("StoreAway", RAISED)]
    watch.settings = good
    watch.rounds(1)
    assert watch.hook.told[before:] == [("StoreAway", RAISED), ("StoreAway", RESOLVED)]


def test_only_one_of_two_at_once_judges_and_both_know_what_stands(watch: Watch) -> None:
    @dataclass
    class Within:
        """Another round begins while this notice is being sent."""

        inner: list[set[str]]

        def send(self, notice: Notice) -> None:
            self.inner.append(set(watch.alarms().round()))

    within = Within([])
    watch.ground.moving()
    watch.rounds(8)
    sinks: dict[str, Sink] = {"within": within}
    ours = Alarms(watch.settings, sinks, watch.ground.clock)
    assert "NoProgress" in ours.round()
    assert within.inner
    assert watch.hook.told.count(("NoProgress", RAISED)) == 0  # it was told to ours alone


def test_a_home_that_takes_nothing_does_not_make_it_tell_twice(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch.ground.moving()
    ours = watch.alarms()
    (watch.settings.home / "run" / "alarms.json").mkdir(parents=True)  # nobody can replace it
    for _ in range(16):
        ours.round()
        watch.ground.turned.turn(STEP)
    assert watch.hook.told.count(("NoProgress", RAISED)) == 1


def test_a_webhook_that_answers_with_a_redirection_did_not_take_it(hook: Hook) -> None:
    sink = Webhook(SecretStr(hook.url))
    for status in (302, 404, 500):
        hook.status = status
        with pytest.raises(Transient, match=f"answers {status}") as caught:
            sink.send(NOTICE)
        assert "geheim" not in f"{caught.value!r} {caught.value.__cause__!r} {sink!r}"
    with pytest.raises(Transient) as caught:
        Webhook(SecretStr("http://127.0.0.1:1/geheim")).send(NOTICE)
    assert "geheim" not in repr(caught.value)


def test_a_mail_has_one_line_of_subject_and_names_the_page() -> None:
    with mailbox() as box:
        Mail(SecretStr(box.url), "convoy@example.org", ("a@example.org", "b@example.org")).send(
            NOTICE
        )
    [mail] = box.mails
    assert "Subject: convoy: NoProgress raised: no progress\r\n" in mail
    assert "To: a@example.org, b@example.org" in mail
    assert "runbook: docs/x.md" in mail


def test_a_mail_server_that_offers_no_tls_is_sent_no_password() -> None:
    with mailbox() as box:
        url = SecretStr(box.url.replace("//", "//me:geheim@"))
        with pytest.raises(Transient):
            Mail(url, "a@example.org", ("b@example.org",)).send(NOTICE)
    assert box.mails == []


def test_a_command_gets_the_notice_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVOY_BROKER_URL", "redis://:geheim@x")
    monkeypatch.setenv("CONVOY_ALARM_SMTP", "smtps://me:geheim@x")
    told = tmp_path / "told"
    script = f"import os, sys; open({str(told)!r}, 'w').write(sys.stdin.read() + str(os.environ))"
    Command((sys.executable, "-c", script)).send(NOTICE)
    text = told.read_text()
    assert json.loads(text[: text.index("}") + 1]) == NOTICE.document()
    assert "geheim" not in text
    with pytest.raises(Transient, match="ended with 3"):
        Command((sys.executable, "-c", "raise SystemExit(3)")).send(NOTICE)
    with pytest.raises(Transient, match="did not take it"):
        Command(("/nowhere/at/all",)).send(NOTICE)


@pytest.mark.parametrize(
    "fields",
    [
        {"alarm_webhook": SecretStr("file:///geheim")},
        {"alarm_smtp": SecretStr("http://geheim")},
        {"alarm_smtp": SecretStr("smtp://geheim")},
        {"alarm_command": "phone 'geheim"},
    ],
)
def test_a_sink_that_makes_no_sense_is_refused_without_its_secret(
    tmp_path: Path, fields: dict[str, object]
) -> None:
    with pytest.raises(Refused) as caught:
        configured(settings_for(tmp_path, **fields))
    assert "geheim" not in f"{caught.value} {caught.value.hint}"


def test_the_log_alone_is_told_unless_more_is_set(tmp_path: Path) -> None:
    assert set(configured(settings_for(tmp_path, alarm_command=" "))) == {"log"}
    more = settings_for(
        tmp_path,
        alarm_webhook=SecretStr("https://x/y"),
        alarm_smtp=SecretStr("smtps://x"),
        alarm_from="a@x",
        alarm_to="b@x, c@x,",
        alarm_command="phone --loud",
    )
    assert set(configured(more)) == {"log", "webhook", "mail", "command"}


def test_the_command_says_what_stands_by_its_exit_code(
    watch: Watch, tmp_path: Path, hook: Hook
) -> None:
    me = Terminal(
        watch.settings.home,
        {
            "CONVOY_BROKER_URL": watch.settings.broker(),
            "CONVOY_STATE_URL": watch.settings.state(),
            "CONVOY_ALARM_WEBHOOK": hook.url,
        },
    )
    done = me.run("alarms", "--once")
    assert (done.code, done.out) == (0, "")
    migration = watch.ground.moving()
    unit = watch.ground.only(migration)
    taken = watch.ground.units.claim(migration, unit.id, unit.epoch, owner="c01@h")
    assert taken is not None
    watch.ground.units.quarantine(taken, why="no room")
    done = me.run("alarms", "--once")
    assert (done.code, done.out) == (1, "Quarantine: units of users in quarantine: 1\n")
    assert '"event": "alarm.raised"' in done.err
    assert hook.told == [("Quarantine", RAISED)]
    hook.status = 500
    done = me.run("alarms", "--try")
    assert (done.code, "log: took it" in done.out) == (1, True)
    assert "geheim" not in done.out + done.err
