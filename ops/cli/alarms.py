"""The command that watches the fleet and tells somebody when it needs a person."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Annotated

import typer

from common import notify
from common.errors import ConvoyError
from common.telemetry import logs
from ops.alarms.sinks import configured
from ops.alarms.standing import RAISED, Notice
from ops.alarms.watch import Alarms
from ops.cli import exits, posts, terminal
from ops.cli.options import settings
from ops.desk import addressed

ROLE = "alarms"
SLOW = 3  # leases; a round may wait for a store that is away, and for each sink
Once = Annotated[bool, typer.Option("--once", metavar="", help="One round, for cron.")]
Try = Annotated[
    bool, typer.Option("--try", metavar="", help="Send a notice to every sink, as a rehearsal.")
]


def alarms(once: Once = False, try_: Try = False, name: posts.Name = "a01") -> None:
    """Look at the fleet again and again, and tell the sinks what is wrong and what is over.

    Sinks are the log and whatever CONVOY_ALARM_WEBHOOK, _SMTP and _COMMAND name. With --once the
    exit code is 1 while an alarm stands.
    """
    known = settings()
    ours = Alarms(known, configured(known))
    addressed(known)  # Refused now, not in the first round
    logs.configure()
    if try_:
        _rehearse(ours)
    elif once:
        _once(ours)
    else:
        posts.named(ROLE, name)
        _loop(ours, f"{name}@{known.node}")


def _once(ours: Alarms) -> None:
    standing = ours.round()
    for name, alarm in standing.items():
        terminal.tell(f"{name}: {alarm.said}")
    if standing:
        raise typer.Exit(exits.INCOMPLETE)


def _loop(ours: Alarms, node: str) -> None:
    posts.attend(ours.settings, ROLE, node)
    sign, over = posts.signing(ours.settings, ROLE, node, slow=SLOW), threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: over.set())
    notify.tell(notify.READY)
    while not over.is_set():
        try:
            ours.round()
        except ConvoyError as error:
            terminal.say(f"convoy: {error}")
        _wait(ours, over, sign)


def _wait(ours: Alarms, over: threading.Event, sign: Callable[[], None]) -> None:
    """Until the next round, with a sign now and then: rounds may be further apart than signs."""
    until = ours.clock.tick() + ours.settings.alarm_look.total_seconds()
    while not over.is_set() and (left := until - ours.clock.tick()) > 0:
        sign()
        over.wait(min(left, ours.settings.beat.total_seconds()))


def _rehearse(ours: Alarms) -> None:
    said, page = "this is a rehearsal", "docs/metrics.md"
    at, host = ours.clock.wall(), ours.settings.node
    notice, deaf = Notice("Rehearsal", RAISED, "warning", said, page, at, host), False
    for name, sink in ours.sinks.items():
        try:
            sink.send(notice)
            terminal.tell(f"{name}: took it")
        except ConvoyError as error:
            deaf = True
            terminal.tell(f"{name}: {error}")
    if deaf:
        raise typer.Exit(exits.INCOMPLETE)
