"""The command that shows the fleet to Prometheus. It serves numbers only, and has no log-in."""

from __future__ import annotations

import signal
import threading
from importlib.util import find_spec
from typing import Annotated

import typer

from common import notify
from common.errors import Missing
from common.telemetry import logs
from ops.cli import posts, terminal
from ops.cli.options import settings
from ops.desk import addressed
from ops.flower import local

ROLE, LISTEN = "exporter", "127.0.0.1:9464"
Listen = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT", help=f"Where Prometheus finds the metrics; {LISTEN} unless set."
    ),
]


def exporter(listen: Listen = "", name: posts.Name = "x01") -> None:
    """Serve metrics of store and queue for Prometheus, at /metrics.

    One is enough for a fleet. Scrape configuration, alert rules and a dashboard are in
    ops/prometheus of the installation.
    """
    if find_spec("prometheus_client") is None:
        raise Missing("prometheus-client is not installed", hint="pip install 'convoy[fleet]'")
    from ops.exporter import server  # needs it

    known = settings()
    place = server.parse(listen or known.exporter_listen or LISTEN)
    posts.named(ROLE, name)
    addressed(known)  # Refused now, not at the first scrape
    logs.configure()
    node = f"{name}@{known.node}"
    posts.attend(known, ROLE, node)
    sign, over = posts.signing(known, ROLE, node), threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: over.set())
    if not local(place[0]):
        terminal.say("whoever reaches this address reads the metrics", "yellow")
    with server.exporting(known, place) as address:
        terminal.say(f"metrics: {address}")
        notify.tell(notify.READY)
        sign()
        while not over.wait(known.beat.total_seconds()):
            sign()
