"""Everything that the routes share, made once per process; nothing in it is a route."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from common.clock import Clock
from common.errors import ConvoyError, Missing
from common.model import Migration
from common.settings import Settings
from common.store import audit
from ops.alarms.rules import RULES
from ops.alarms.standing import Standing, judge
from ops.centre.acts import sitting
from ops.centre.answers import answer
from ops.centre.attempts import Attempts
from ops.centre.gate import Caller
from ops.centre.looks import Kept
from ops.centre.news import News
from ops.centre.sessions import Sessions
from ops.centre.survey import Survey
from ops.centre.users import FILE, Users
from ops.desk import Desk
from ops.exporter.look import Observer

TRIES_OF_ONE, TRIES_FROM_ONE, WHILE = 10, 30, timedelta(minutes=5)
STREAMS, STREAMS_OF_ONE = 300, 30  # listeners at once
GLANCE = 0.5  # seconds between two looks whether alarms are to be looked at
HEALTH = 1.0  # seconds that an answer about the store's health is good for
log = structlog.get_logger(__name__)


class Centre:
    """One control centre."""

    def __init__(
        self, settings: Settings, *, tls: bool = False, clock: Clock | None = None
    ) -> None:
        self.settings, self.tls = settings, tls
        self.listeners: Counter[str] = Counter()  # by user; touched by the event loop only
        self.clock = clock = clock or Clock()
        self.users = Users(users_file(settings))
        self.sessions = Sessions(clock, idle=settings.centre_idle, absolute=settings.centre_session)
        self.by_name = Attempts(clock, most=TRIES_OF_ONE, within=WHILE)
        self.by_address = Attempts(clock, most=TRIES_FROM_ONE, within=WHILE)
        self.news = News()
        self.survey = Survey(settings, self.news, clock)
        self.kept = Kept(clock)
        self.alarms = Standings(settings, clock, self.news)
        self._health: tuple[float, str] = (-HEALTH, "unknown")
        self._asking = threading.Lock()

    async def denied(self, caller: Caller, method: str, path: str) -> None:
        """Note what somebody wanted and may not."""
        await run_in_threadpool(self.note, f"{method} {path}", audit.DENIED, caller.who)

    def note(self, what: str, outcome: str, by: str, **facts: str) -> None:
        """A line of the trail about the centre itself; a store that is away loses it."""
        try:
            with sitting(self.settings, by) as here:
                here.audit.note(what, outcome, by=by, **facts)
        except ConvoyError as error:
            log.warning("audit.lost", what=what, outcome=outcome, by=by, why=str(error))

    def migration(self, id: str) -> tuple[Desk, Migration]:
        """A desk, and a migration on it."""
        self.reachable()
        here = self.survey.desk()
        return here, here.migrations.get(id)

    def reachable(self) -> None:
        """Raise at once if the store was away a moment ago, instead of waiting for it again."""
        if self.survey.trouble is not None:
            self.survey.fresh()

    def still(self, who: Caller) -> bool:
        """Is somebody who listens still logged in, as who they were?"""
        try:
            user = self.users.find(who.user.name)
        except ConvoyError:
            return False
        known = not who.secret or self.sessions.of(who.secret, use=False) is not None
        return known and user is not None and user.stamp == who.user.stamp

    def health(self) -> str:
        """Whether the store answers; asked at most once a second. Only one waits for it, the others
        are told what was known last."""
        at, said = self._health
        if self.clock.tick() - at < HEALTH or not self._asking.acquire(blocking=False):
            return said
        try:
            self._health = (self.clock.tick(), self._asked())
        finally:
            self._asking.release()
        return self._health[1]

    def _asked(self) -> str:
        try:
            self.survey.desk().migrations.get("health")
        except Missing:
            return "ok"
        except ConvoyError as error:
            return answer(error).code
        return "ok"


def users_file(settings: Settings) -> Path:
    """Where the users are."""
    return settings.centre_users or settings.home / FILE


def of(request: Request) -> Centre:
    """The centre of a request."""
    found: Centre = request.app.state.centre
    return found


def caller(request: Request) -> Caller:
    """Who asks; the gate has seen to it that somebody does."""
    found: Caller = request.state.caller
    return found


class Standings:
    """The alarms as the rules judge them from here, looked at while somebody looks."""

    def __init__(self, settings: Settings, clock: Clock, news: News) -> None:
        self.settings, self.clock, self.news = settings, clock, news
        self.rows: list[dict[str, object]] = []
        self._due = clock.tick()
        self._standings: dict[str, Standing] = {}
        self._turn = threading.Lock()
        self._observer = Observer(settings, clock)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)

    def start(self, wanted: Callable[[], bool]) -> None:
        """Look by ourselves as long as somebody is `wanted` to be told."""
        self._wanted = wanted
        self._thread.start()

    def stop(self) -> None:
        self._over.set()

    def _run(self) -> None:
        while not self._over.wait(GLANCE):
            if self._wanted() and self.clock.tick() >= self._due:
                try:
                    self.current()
                except Exception:  # the next look may go better
                    log.exception("centre.fault")

    def current(self) -> list[dict[str, object]]:
        """A row per rule."""
        with self._turn:
            if self.clock.tick() >= self._due:
                before = self.rows
                self._look()
                self.news.tell("alarms", [row for row in self.rows if row not in before])
            return self.rows

    def _look(self) -> None:
        facts = self._observer.look()
        tick, wall = self.clock.tick(), self.clock.wall()
        self.rows = []
        for rule in RULES:
            said = rule.condition(facts)
            was = self._standings.get(rule.name, Standing())
            now, _ = judge(rule, was, said, tick=tick, wall=wall, host=self.settings.node)
            self._standings[rule.name] = now
            state = "raised" if now.raised else "pending" if now.since else "calm"
            self.rows.append(
                {
                    "name": rule.name,
                    "state": "unknown" if said is None and state == "calm" else state,
                    "severity": rule.severity.value,
                    "said": said or now.said,
                    "raised": now.raised,
                    "lasts": rule.lasts.total_seconds(),
                    "runbook": rule.runbook,
                }
            )
        least = self.settings.alarm_look.total_seconds()
        self._due = self.clock.tick() + max(least, facts.spent * 9)
