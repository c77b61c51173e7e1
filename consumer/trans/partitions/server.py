"""The data node's door: HTTP in, one thread per request, errors of ours as status and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from common.digest import md5
from common.errors import Backpressure, ConvoyError, Corrupt, Refused
from common.lifecycle.partitions.record import Config
from consumer.trans.partitions.extents import Chunk
from consumer.trans.partitions.node import Node
from consumer.trans.partitions.peer import REFUSALS

MOST = 16 << 20  # bytes of one body of data
LISTS = 1 << 30  # bytes of one body of lists
NOT_UNDERSTOOD = (KeyError, ValueError, TypeError, AttributeError, RecursionError)
_PATH = re.compile(r"/dp/([\w-]{1,64})/(\w+)(?:/([\w.-]{1,100}))?")
_CODES = {error: code for code, error in REFUSALS.items()}
Query = dict[str, str]


class Server(ThreadingHTTPServer):
    """Serves one node."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, node: Node, host: str, port: int) -> None:
        self.node = node
        super().__init__((host, port), Door)


class Door(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        self._answer(self._got)

    def do_PUT(self) -> None:
        self._answer(self._put)

    def do_POST(self) -> None:
        self._answer(self._posted)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: paths hold names of users."""

    def _got(self, id: str, what: str, extent: str, query: Query, _: bytes) -> bytes:
        replica = self.server.node.replica(id)
        if what == "extent":
            return replica.read(extent, int(query["off"]), min(int(query["len"]), MOST))
        if what == "watermarks":
            told = {"lengths": replica.lengths(), "serves": replica.serves}
            return _json(told | {"epoch": replica.copy.config.epoch})
        raise _unknown(what)

    def _put(self, id: str, what: str, extent: str, query: Query, body: bytes) -> bytes:
        if what != "extent":
            raise _unknown(what)
        length = self.server.node.replica(id).write(extent, int(query["off"]), body)
        return _json({"length": length})

    def _posted(self, id: str, what: str, _: str, query: Query, body: bytes) -> bytes:
        node = self.server.node
        if what == "create":
            node.create(id, _config(json.loads(body)["config"]))
            return b"{}"
        replica, epoch, sender = node.replica(id), int(query["epoch"]), query["sender"]
        if what in ("take", "filled"):
            act = replica.take if what == "take" else replica.filled
            act(query["extent"], int(query["off"]), body, epoch, sender)
            return b"{}"
        if what == "whole":
            replica.whole(epoch, sender)
            return b"{}"
        told = json.loads(body)
        lists = {name: [Chunk(*chunk) for chunk in some] for name, some in told["lists"].items()}
        if what == "like":
            return _json(replica.like(_config(told["config"]), lists))
        if what == "proven":
            name = query["extent"]
            return _json({"end": replica.proven(name, lists[name], epoch, sender)})
        raise _unknown(what)

    def _answer(self, act: Callable[..., bytes]) -> None:
        try:
            parts = urlsplit(self.path)
            found = _PATH.fullmatch(parts.path)
            if found is None:
                raise _unknown(parts.path)
            query = dict(parse_qsl(parts.query))
            body = self._body(query)
            self._say(200, act(found[1], found[2], found[3] or "", query, body))
        except ConvoyError as error:
            code = next((c for kind, c in _CODES.items() if isinstance(error, kind)), 500)
            code = 503 if isinstance(error, Backpressure) else code
            self._say(code, _json({"error": str(error), "hint": error.hint}))
        except NOT_UNDERSTOOD as error:
            self._say(400, _json({"error": f"not understood: {error!r}"}))

    def _body(self, query: Query) -> bytes:
        length = int(self.headers.get("Content-Length") or 0)
        most = LISTS if "/like?" in self.path or "/proven?" in self.path else MOST
        if not 0 <= length <= most:
            self.close_connection = True
            raise Refused(f"a body of {length} bytes", hint=f"write at most {MOST} bytes at once")
        body = self.rfile.read(length)
        if "md5" in query and md5(body).hexdigest() != query["md5"]:
            raise Corrupt("the body is not what was sent")
        return body

    def _say(self, code: int, data: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _json(told: Any) -> bytes:
    return json.dumps(told).encode()


def _config(told: list[Any]) -> Config:
    epoch, hosts, primary, learners = told
    return Config(epoch, tuple(hosts), primary, tuple(learners))


def _unknown(what: str) -> ConvoyError:
    return Refused(f"{what}: no such thing can be asked here", hint="see docs/partitions.md")
