"""GET over http and https with a few redirects, for addresses that somebody else wrote.

Never anything but http and https, never from https down to http, never with credentials. Knows
nothing of what it fetches.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from functools import lru_cache
from threading import Lock
from urllib.parse import quote, urljoin, urlsplit

from common.endpoints.wire import Origin, Reply, Timeouts, Wire, retried
from common.endpoints.wire.statuses import judged
from common.errors import Permanent, Refused

HOPS = 5  # redirects
HOSTS = 16  # whose connections are kept
REFUSAL = 1 << 20  # bytes of an answer that nobody wants
_MOVED = (301, 302, 303, 307, 308)
_SAFE = "/:?#[]@!$&'()*+,;=%-._~"  # what stands in an address as it is; all else is escaped
_HEADERS = {"accept-encoding": "identity", "user-agent": "convoy", "accept": "*/*"}


class Fetcher:
    """Connections to the hosts that manifests name. Safe from many threads."""

    def __init__(self, limits: Timeouts) -> None:
        self._limits = limits
        self._lock = Lock()
        self._wires: OrderedDict[Origin, Wire] = OrderedDict()

    def get(self, url: str, *, start: int = 0) -> tuple[Reply, str]:
        """An answer of 200 or 206, and the address that gave it in the end."""
        for _ in range(HOPS + 1):
            reply = self._ask(url, start)
            if reply.status not in _MOVED:
                return reply, url
            url = _followed(url, reply)
        raise Permanent(f"{shown(url)}: redirected more than {HOPS} times")

    def _ask(self, url: str, start: int) -> Reply:
        origin, target = Origin.parse(url), _target(url)
        headers = {"host": origin.authority, **_HEADERS}
        if start:
            headers["range"] = f"bytes={start}-"
        return retried(lambda: self._once(origin, target, headers, url))

    def _once(self, origin: Origin, target: str, headers: dict[str, str], url: str) -> Reply:
        reply = self._wire(origin).open("GET", target, headers)
        if reply.status in (200, 206) or reply.status in _MOVED:
            return reply
        reply.close()
        raise judged(reply.status, reply.headers, f"GET {shown(url)}")

    def _wire(self, origin: Origin) -> Wire:
        with self._lock:
            wire = self._wires.pop(origin, None) or Wire(origin, self._limits)
            self._wires[origin] = wire
            if len(self._wires) > HOSTS:
                self._wires.popitem(last=False)  # closed once its last answer has been read
            return wire


def fetcher(limits: Timeouts) -> Fetcher:
    """This process' connections."""
    return _fetcher(limits, os.getpid())


def joined(base: str, address: str) -> str:
    """The address as seen from `base`. Refused if it is not to be fetched."""
    quoted = quote(address, safe=_SAFE)
    try:
        if quoted.startswith("/") and not quoted.startswith("//") and "/." not in quoted:
            url = "/".join(base.split("/", 3)[:3]) + quoted  # the usual case, ten times as fast
        else:
            url = urljoin(base, quoted)
    except ValueError as exc:
        raise Refused("an address that is no URL") from exc
    scheme, _, rest = url.partition("://")
    _allowed(base.partition(":")[0].lower(), scheme, re.split(r"[/?#]", rest, maxsplit=1)[0])
    return url


@lru_cache(maxsize=256)
def _allowed(before: str, scheme: str, host: str) -> None:
    """May this host be asked? Refused if not. There are many addresses, and few hosts."""
    origin = Origin.parse(f"{scheme}://{host}")
    if before == "https" and origin.scheme != "https":
        raise Refused(f"{origin}: from https down to {origin.scheme}")


def shown(url: str) -> str:
    """An address for people: without the query, which may be a signature."""
    return url.partition("?")[0][:300]


@lru_cache(maxsize=4)
def _fetcher(limits: Timeouts, _pid: int) -> Fetcher:
    return Fetcher(limits)


def _followed(url: str, reply: Reply) -> str:
    place = reply.headers.get("location", "")
    reply.close()
    if not place:
        raise Permanent(f"{shown(url)}: redirected to nowhere")
    return joined(url, place)


def _target(url: str) -> str:
    parts = urlsplit(url)
    path = quote(parts.path or "/", safe=_SAFE)
    return f"{path}?{quote(parts.query, safe=_SAFE)}" if parts.query else path
