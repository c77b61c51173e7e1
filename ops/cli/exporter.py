"""The command that shows the fleet to Prometheus. It serves numbers only, and has no log-in."""

from __future__ import annotations

import signal
import threading
from importlib.util import find_spec
from typing import Annotated

import typer

from common.errors import Missing
from common.telemetry import logs
from ops.cli import terminal
from ops.cli.options import settings
from ops.desk import addressed
from ops.flower import local

LISTEN = "127.0.0.1:9464"
Listen = Annotated[
    str, typer.Option(metavar="HOST:PORT", help="Where Prometheus finds the metrics.")
]


def exporter(listen: Listen = LISTEN) -> None:
    """Serve metrics of store and queue for Prometheus, at /metrics.

    One is enough for a fleet. Scrape configuration, alert rules and a dashboard are in
    ops/prometheus of the installation.
    """
    if find_spec("prometheus_client") is None:
        raise Missing("prometheus-client is not installed", hint="pip install 'convoy[fleet]'")
    from ops.exporter import server  # needs it

    place = server.parse(listen)
    known = settings()
    addressed(known)  # Refused now, not at the first scrape
    logs.configure()
    over = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: over.set())
    if not local(place[0]):
        terminal.say("whoever reaches this address reads the metrics", "yellow")
    with server.exporting(known, place) as address:
        terminal.say(f"metrics: {address}")
        over.wait()
