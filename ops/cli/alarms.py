"""The command that watches the fleet and tells somebody when it needs a person."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from common import notify
from common.errors import ConvoyError
from common.telemetry import logs
from ops.alarms.sinks import configured
from ops.alarms.standing import RAISED, Notice
from ops.alarms.watch import Alarms
from ops.cli import exits, terminal
from ops.cli.options import settings
from ops.desk import addressed

Once = Annotated[bool, typer.Option("--once", metavar="", help="One round, for cron.")]
Try = Annotated[
    bool, typer.Option("--try", metavar="", help="Send a notice to every sink, as a rehearsal.")
]


def alarms(once: Once = False, try_: Try = False) -> None:
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
        _loop(ours)


def _once(ours: Alarms) -> None:
    standing = ours.round()
    for name, alarm in standing.items():
        terminal.tell(f"{name}: {alarm.said}")
    if standing:
        raise typer.Exit(exits.INCOMPLETE)


def _loop(ours: Alarms) -> None:
    over = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: over.set())
    notify.tell(notify.READY)
    while not over.is_set():
        try:
            ours.round()
        except ConvoyError as error:
            terminal.say(f"convoy: {error}")
        notify.tell(notify.ALIVE)
        over.wait(ours.settings.alarm_look.total_seconds())


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
