"""What systemd wants to hear from a service of `Type=notify`. Says nothing where nobody listens."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

READY, ALIVE = "READY=1", "WATCHDOG=1"


def tell(what: str, environ: Mapping[str, str] = os.environ) -> None:
    """One datagram to the socket that systemd named; a service never fails for its sake."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    name = "\0" + address[1:] if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.connect(name)
        line.send(what.encode())
