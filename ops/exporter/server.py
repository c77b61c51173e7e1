"""The exporter's HTTP server: one page of numbers, no names. It has no log-in: keep it where only
Prometheus comes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server

from common.clock import Clock
from common.errors import Denied, Refused
from common.settings import Settings
from ops.exporter.look import Observer
from ops.exporter.metrics import Cache, Fleet


@contextmanager
def exporting(
    settings: Settings, listen: tuple[str, int], clock: Clock | None = None
) -> Iterator[str]:
    """Serve until the block ends; the address to scrape. Port 0 takes a free one."""
    registry = CollectorRegistry()
    registry.register(Fleet(Cache(Observer(settings, clock or Clock()))))
    host, port = listen
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise Denied(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            hint="is another exporter running? choose another with --listen",
        ) from error
    try:
        yield f"http://{_bracketed(host)}:{server.server_address[1]}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def parse(text: str) -> tuple[str, int]:
    """host:port or [::1]:port; Refused otherwise."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise Refused(f"{text!r} is no place to listen", hint="write host:port: 127.0.0.1:9464")
    return host, int(port)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
