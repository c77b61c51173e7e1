"""A connection as a stream: exactly so many bytes, whole messages, and every wait bounded.

Silence is bounded, not the length of a transfer. Whoever ends the connection in the middle of a
message is told apart from one that ends it between two.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from common.endpoints.nbd.wire import NAME_MOST, PORT
from common.errors import ConvoyError, Denied, Refused, Transient

Bytes = bytes | bytearray | memoryview
BUFFER = 1 << 20  # what the kernel may hold for us; with less, large requests crawl
FOREVER = timedelta(0)


class Over(Transient):
    """The other side ended the connection between two messages, or we did."""


class Stream:
    """One connection. One thread reads, one writes; they may be the same."""

    def __init__(self, sock: socket.socket, what: str, silence: timedelta) -> None:
        self.what = what
        self._sock = sock
        self.patience(silence)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, option, BUFFER)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def patience(self, silence: timedelta) -> None:
        """From now on wait so long for the next byte; FOREVER has no end."""
        self._sock.settimeout(silence.total_seconds() or None)

    def fileno(self) -> int:
        return self._sock.fileno()

    def read(self, length: int) -> bytearray:
        """Exactly so many bytes; the caller has bounded them."""
        into = bytearray(length)
        self.read_into(memoryview(into))
        return into

    def read_into(self, into: memoryview) -> None:
        """Fill `into`; Over if nothing comes, Transient if it ends half-way."""
        done, size = 0, len(into)
        while done < size:
            try:
                got = self._sock.recv_into(into[done:])
            except (OSError, ValueError) as exc:
                raise self._broken(exc) from exc
            if not got:
                kind = Transient if done else Over
                raise kind(f"{self.what}: the connection was ended")
            done += got

    def write(self, *parts: Bytes) -> None:
        """All of it, in this order."""
        try:
            if len(parts) == 1 or isinstance(self._sock, ssl.SSLSocket):
                for part in parts:
                    self._sock.sendall(part)
                return
            sent = self._sock.sendmsg(parts)
            for part in parts:
                if sent < len(part):
                    self._sock.sendall(memoryview(part)[sent:])
                sent = max(0, sent - len(part))
        except (OSError, ValueError) as exc:
            raise self._broken(exc) from exc

    def secure(self, context: ssl.SSLContext, *, server: bool, name: str = "") -> None:
        """From here on everything is encrypted."""
        wait = self._sock.gettimeout()
        try:
            self._sock = context.wrap_socket(
                self._sock, server_side=server, server_hostname=None if server else name or None
            )
        except ssl.SSLCertVerificationError as exc:
            raise Denied(f"{self.what}: its certificate is not trusted: {exc}") from exc
        except (OSError, ValueError) as exc:
            raise self._broken(exc) from exc
        self._sock.settimeout(wait)

    def detach(self) -> socket.socket:
        """The bare socket, for a loop of somebody else's; TLS cannot be handed on."""
        if isinstance(self._sock, ssl.SSLSocket):
            raise Refused(f"{self.what}: TLS is not possible here", hint="use a local socket")
        return self._sock

    def end(self) -> None:
        """End it now, also for a thread that waits in it."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.end()
        self._sock.close()

    def _broken(self, exc: Exception) -> ConvoyError:
        if isinstance(exc, TimeoutError):
            return Transient(f"{self.what}: silent for too long", hint="look at the server")
        return Over(f"{self.what}: {exc}")


class Address(NamedTuple):
    """Where an export is: host and port, or the path of a socket; and its name there."""

    export: str
    host: str = ""
    port: int = PORT
    path: str = ""
    tls: bool = False

    @classmethod
    def parse(cls, url: str) -> Address:
        """nbd://host:port/export, nbds:// with TLS, nbd+unix:///export?socket=/path."""
        try:
            parts = urlsplit(url)
            port = parts.port or PORT
        except ValueError:
            raise _unfit(url) from None
        scheme, _, way = parts.scheme.partition("+")
        export = unquote(parts.path.removeprefix("/"))
        fits = scheme in ("nbd", "nbds") and len(export.encode()) <= NAME_MOST and "@" not in url
        query = dict(pair.partition("=")[::2] for pair in parts.query.split("&") if pair)
        if not fits or parts.fragment or set(query) - {"socket"}:
            raise _unfit(url)
        path = unquote(query.get("socket", ""))
        if (
            (way == "unix") != bool(path)
            or way not in ("", "unix")
            or bool(path) == bool(parts.netloc)
        ):
            raise _unfit(url)
        return cls(export, parts.hostname or "", port, path, scheme == "nbds")

    def __str__(self) -> str:
        place = self.path or f"{self.host}:{self.port}"
        return f"nbd export {self.export!r} at {place}"

    def connect(self, within: timedelta, silence: timedelta) -> Stream:
        """A connection on which nothing was said yet."""
        seconds = within.total_seconds()
        try:
            if not self.path:
                sock = socket.create_connection((self.host, self.port), seconds)
            else:
                sock = _local(self.path, seconds)
        except OSError as exc:
            raise Transient(f"{self}: {exc.strerror or exc}", hint="is the server up?") from exc
        return Stream(sock, str(self), silence)


def _local(path: str, seconds: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(seconds)
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock


def _unfit(url: str) -> Refused:
    return Refused(
        f"{url!r} is no address of an NBD export",
        hint="nbd://host:port/export, nbds://..., or nbd+unix:///export?socket=/path",
    )
