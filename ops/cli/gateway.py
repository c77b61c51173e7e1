"""The command that serves buckets: an S3 endpoint, run as often as wanted, on any host."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace
from typing import Annotated

import typer

from common import notify
from common.endpoints.wire import Timeouts
from common.errors import Denied, Refused
from common.telemetry import logs
from consumer.trans.buckets import boot
from consumer.trans.buckets.gateway import Gateway
from ops.cli import terminal
from ops.cli.buckets import state
from ops.cli.options import settings

POOL = 256  # connections to a store, at least: as many requests are under way at once
LISTEN = "127.0.0.1:9600"
Listen = Annotated[str, typer.Option(metavar="HOST:PORT", help="Where clients find it.")]
Domains = Annotated[
    list[str],
    typer.Option("--domain", metavar="NAME", help="Names below it are names of buckets."),
]
Region = Annotated[str, typer.Option(metavar="NAME", help="The region that clients sign for.")]
Name = Annotated[str, typer.Option("-n", "--name", metavar="NAME", help="Its name on this host.")]


def gateway(
    listen: Listen = LISTEN,
    name: Name = "g01",
    region: Region = "us-east-1",
    domain: Domains = [],  # noqa: B006 (typer's way of saying: none)
) -> None:
    """Serve buckets to S3 clients from the store that has them, or from both while they move.

    Speaks plain HTTP: put what ends TLS in front of it.
    """
    known = settings()
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise Refused(f"{listen!r} is no address", hint="write HOST:PORT")
    logs.configure()
    made = Gateway(
        state(known),
        f"{name}@{known.node}",
        region=region,
        domains=tuple(domain),
        lease=known.lease,
        hold=known.bucket_hold,
        limits=replace(Timeouts.of(known), pool=max(known.pool, POOL)),
    )
    try:
        asyncio.run(_served(made, host, int(port)))
    except OSError as error:
        raise Denied(f"{listen}: {error.strerror}", hint="choose another address") from error


async def _served(made: Gateway, host: str, port: int) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)

    def ready(at: int) -> None:
        terminal.say(f"gateway: http://{host}:{at}")
        notify.tell(notify.READY)

    await boot.run(made, host, port, stop, ready)
