"""The process of the control centre: a socket, TLS, and an orderly end."""

from __future__ import annotations

import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from common.errors import Denied
from ops.centre.app import build
from ops.centre.centre import Centre
from ops.centre.place import Place

ENDING = (signal.SIGTERM, signal.SIGINT)
GRACE = 3  # seconds for requests in hand when it is to end
BACKLOG = 256


class Server(uvicorn.Server):
    """A server whose streams end with it, and which gives signs of life."""

    def __init__(self, config: uvicorn.Config, centre: Centre, sign: Callable[[], object]) -> None:
        super().__init__(config)
        self._centre, self._sign, self._due = centre, sign, 0.0

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A signal ends us in good order; it is not raised once more after that."""
        before = {number: signal.signal(number, self.handle_exit) for number in ENDING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def on_tick(self, counter: int) -> bool:
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + self._centre.settings.beat.total_seconds()
            self._sign()
        if self.should_exit:
            self._centre.news.close()
        return await super().on_tick(counter)


def serve(
    centre: Centre, place: Place, *, ready: Callable[[str], object], sign: Callable[[], object]
) -> None:
    """Serve until told to end by a signal; `ready` gets the address once it is heard."""
    listening = bound(place)
    port = listening.getsockname()[1]
    config = uvicorn.Config(
        build(centre),
        log_config=None,  # ours is configured
        access_log=False,  # addresses of requests hold names of users
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        timeout_keep_alive=15,
        timeout_graceful_shutdown=GRACE,
        ws="none",
    )
    if place.cert and place.key:
        config.ssl_certfile, config.ssl_keyfile = str(place.cert), str(place.key)
        config.ssl_version = ssl.PROTOCOL_TLS_SERVER
    ready(Place(place.host, port, place.cert, place.key).url)
    assert threading.current_thread() is threading.main_thread()  # it takes signals
    Server(config, centre, sign).run(sockets=[listening])


def bound(place: Place) -> socket.socket:
    """A socket that listens there; Denied if that cannot be."""
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            place.host, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, number)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(BACKLOG)
    except OSError as error:
        raise Denied(
            f"cannot listen on {place.host}:{place.port}: {error.strerror or error}",
            hint="is another centre running? choose another place with --listen",
        ) from error
    return found
