"""Listens, and serves every connection in a thread of its own, up to a number of them."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import structlog

from common.endpoints.nbd.stream import Stream
from common.errors import ConvoyError, Denied

log = structlog.get_logger(__name__)
HANDSHAKE = timedelta(seconds=10)  # of silence while a client negotiates
CONNECTIONS = 256


def bound(place: str | tuple[str, int]) -> socket.socket:
    """A socket that listens on a path, or on host and port. A path that is left over is taken."""
    try:
        if isinstance(place, str):
            with suppress(FileNotFoundError):
                os.unlink(place)
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(place)
            sock.listen(CONNECTIONS)
            return sock
        return socket.create_server(place, backlog=CONNECTIONS)
    except OSError as exc:
        raise Denied(
            f"cannot listen on {place}: {exc.strerror}", hint="choose another place"
        ) from exc


class Listener:
    """Accepts until it is closed; closing ends every connection and waits for their threads."""

    def __init__(
        self,
        sock: socket.socket,
        serve: Callable[[Stream], None],
        *,
        most: int = CONNECTIONS,
        handshake: timedelta = HANDSHAKE,
    ) -> None:
        self._sock, self._serve, self._most, self._handshake = sock, serve, most, handshake
        self._streams: set[Stream] = set()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._over = False
        self._thread = threading.Thread(target=self._accept, name="nbd", daemon=True)
        self._thread.start()

    @property
    def place(self) -> str | tuple[str, int]:
        """Where it listens."""
        name = self._sock.getsockname()
        return str(name) if isinstance(name, str) else (str(name[0]), int(name[1]))

    def close(self) -> None:
        self._over = True
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._sock.close()
        with self._lock:
            left, threads = list(self._streams), list(self._threads)
        for stream in left:
            stream.end()
        for thread in threads:
            thread.join()

    def _accept(self) -> None:
        while not self._over:
            try:
                sock, _ = self._sock.accept()
            except OSError as exc:
                if not self._over:
                    log.warning("nbd.not_accepted", why=str(exc))
                    threading.Event().wait(0.1)  # out of descriptors: others will end
                continue
            with self._lock:
                if len(self._streams) >= self._most:
                    sock.close()
                    continue
                stream = Stream(sock, "nbd client", self._handshake)
                self._streams.add(stream)
                thread = threading.Thread(target=self._run, args=(stream,), daemon=True)
                self._threads.add(thread)
            thread.start()

    def _run(self, stream: Stream) -> None:
        try:
            self._serve(stream)
        except (ConvoyError, ssl.SSLError) as error:
            log.warning("nbd.ended", why=str(error))
        finally:
            stream.close()
            with self._lock:
                self._streams.discard(stream)
                self._threads.discard(threading.current_thread())
