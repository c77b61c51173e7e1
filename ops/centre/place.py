"""Where the centre listens and with what: read from settings and flags, refused if it is unsafe.

Beyond this machine only with TLS, because passwords and cookies travel.
"""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from common.errors import Denied, Refused

PORT = 8480
LISTEN = f"127.0.0.1:{PORT}"


@dataclass(frozen=True, slots=True)
class Place:
    """An address, and the certificate that it shows."""

    host: str
    port: int
    cert: Path | None = None
    key: Path | None = None

    @property
    def tls(self) -> bool:
        return self.cert is not None

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' * self.tls}://{host}:{self.port}/"


def place(listen: str, *, cert: Path | None, key: Path | None, insecure: bool = False) -> Place:
    """The place that was said; Refused if it would show passwords to others."""
    if (cert is None) != (key is None):
        raise Refused("TLS wants both files", hint="--tls-cert CERT.pem --tls-key KEY.pem")
    host, port = parsed(listen)
    if cert is None and not insecure and not loopback(host):
        raise Refused(
            f"{listen} is heard beyond this machine, and passwords would travel in clear",
            hint="give --tls-cert and --tls-key, or a proxy with TLS in front of 127.0.0.1",
        )
    if cert is not None and key is not None:
        _tried(cert, key)
    return Place(host, port, cert, key)


def parsed(text: str) -> tuple[str, int]:
    """host:port or [::1]:port; Refused otherwise."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise Refused(f"{text!r} is no place to listen", hint=f"write host:port: {LISTEN}")
    return host, int(port)


def loopback(host: str) -> bool:
    """Is it heard on this machine only? Names are not believed, but for the one."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tried(cert: Path, key: Path) -> None:
    try:
        if key.stat().st_mode & 0o077:
            raise Denied(f"{key} may be read by others", hint=f"chmod 600 {key}")
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        said = getattr(error, "strerror", "") or getattr(error, "reason", "") or "they do not fit"
        raise Denied(
            f"TLS with {cert} and {key}: {said}", hint="give a PEM certificate and its key"
        ) from None
