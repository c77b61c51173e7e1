"""Runs one gateway on one address until it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from consumer.trans.buckets.gateway import Gateway

HEAD = 64 * 1024  # bytes of a head that are looked through


async def run(
    gateway: Gateway, host: str, port: int, stop: asyncio.Event, ready: Callable[[int], None]
) -> None:
    """Serve; `ready` is told the port once requests are taken."""
    await gateway.look()
    keeping = asyncio.ensure_future(gateway.keep())
    server = await asyncio.start_server(gateway.serve, host, port, limit=HEAD)
    try:
        ready(int(server.sockets[0].getsockname()[1]))
        await stop.wait()
    finally:
        server.close()
        keeping.cancel()
        await gateway.close()
