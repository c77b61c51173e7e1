"""Where a server is: scheme, host and port of a URL. Refuses credentials in it."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from common.errors import Refused

PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """The part of a URL that a connection is made to."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> Origin:
        """Of an http or https URL; everything behind host and port is ignored."""
        try:
            parts = urlsplit(url)
            scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
        except ValueError as exc:
            raise Refused("an address that is no URL", hint="write http://host:port") from exc
        if "@" in parts.netloc:
            raise Refused(
                f"credentials in the address of {host}",
                hint="take them out; use a profile, the environment or a shared credentials file",
            )
        if scheme not in PORTS or not host or not host.isprintable():
            raise Refused(
                f"{scheme or 'no scheme'}: not an address of http or https",
                hint="write http://host:port or https://host:port",
            )
        return cls(scheme, host, port or PORTS[scheme])

    @property
    def authority(self) -> str:
        """As the Host header says it: the port only where it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"
