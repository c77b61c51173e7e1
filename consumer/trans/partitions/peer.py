"""Speaking to another data node: JSON or bytes over HTTP, with a limit of time for everything.

No answer and a refusal are different things: who refuses is alive, and says in which epoch it is.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from common.errors import Backpressure, Conflict, ConvoyError, Corrupt, Missing, Stale, Transient

REFUSALS: dict[int, type[ConvoyError]] = {
    404: Missing,
    409: Stale,
    412: Conflict,
    422: Corrupt,
}
LATER = timedelta(seconds=1)


class Peer:
    """One data node, from outside. A connection for each request: nobody shares one."""

    def __init__(self, address: str, patience: timedelta = timedelta(seconds=5)) -> None:
        self.address, self._patience = address, patience

    def ask(self, path: str, **query: object) -> bytes:
        """Get something."""
        return self._said("GET", path, b"", query)

    def tell(self, path: str, body: bytes = b"", **query: object) -> Any:
        """Have something done; what it says to that."""
        return json.loads(self._said("POST", path, body, query) or b"{}")

    def _said(self, verb: str, path: str, body: bytes, query: Mapping[str, object]) -> bytes:
        there = f"{path}?{urlencode(query)}" if query else path
        line = http.client.HTTPConnection(self.address, timeout=self._patience.total_seconds())
        try:
            line.request(verb, there, body or None)
            reply = line.getresponse()
            data = reply.read()
        except (OSError, http.client.HTTPException) as error:
            raise Transient(f"{self.address} does not answer: {error!r}") from error
        finally:
            line.close()
        if reply.status == 200:
            return data
        raise _refusal(reply.status, data)


def _refusal(status: int, data: bytes) -> ConvoyError:
    try:
        told = json.loads(data)
    except ValueError:
        told = {}
    why, hint = str(told.get("error", f"status {status}")), str(told.get("hint", ""))
    if status == 503:
        return Backpressure(why, retry_in=LATER, hint=hint)
    return REFUSALS.get(status, Transient)(why, hint=hint)
