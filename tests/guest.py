"""Somebody who talks to a control centre over HTTP, byte for byte: with a session or a token."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

API = "/api/v1"
WITHIN = 60.0  # seconds for any answer


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The word for programs in a refusal."""
        found: str = self.json["error"]["code"]
        return found


@dataclass
class Guest:
    """One browser, or one program with a token."""

    url: str
    token: str = ""
    cookie: str = ""
    csrf: str = ""
    context: ssl.SSLContext | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def log_in(self, user: str, password: str) -> Reply:
        """Log in, and keep the session."""
        reply = self.post("/session", {"user": user, "password": password})
        if reply.status == 204:
            self.cookie = reply.headers["set-cookie"].partition(";")[0]
            self.csrf = self.get("/session").json["csrf"]
        return reply

    def get(self, path: str, **query: object) -> Reply:
        return self.ask("GET", API + path + ("?" + urlencode(query) if query else ""))

    def post(self, path: str, body: object = None) -> Reply:
        return self.ask("POST", API + path, {} if body is None else body)

    def delete(self, path: str) -> Reply:
        return self.ask("DELETE", API + path)

    def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Any request; `body` is JSON unless it is bytes."""
        line = self._line()
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        try:
            line.request(method, path, data, {**self._headers(body is not None), **(headers or {})})
            answer = line.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, found, answer.read())
        finally:
            line.close()

    @contextmanager
    def listening(self, last: str = "", **query: object) -> Iterator[Ear]:
        """An open event stream."""
        line = self._line()
        more = {"Last-Event-ID": last} if last else {}
        path = f"{API}/events?{urlencode(query)}"
        try:
            line.request("GET", path, headers={**self._headers(False), **more})
            answer = line.getresponse()
            assert answer.status == 200, answer.read()
            assert answer.readline()  # from here on nothing is missed
            yield Ear(answer)
        finally:
            line.close()

    def _line(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        if self.context:
            return http.client.HTTPSConnection(host, port, timeout=WITHIN, context=self.context)
        return http.client.HTTPConnection(host, port, timeout=WITHIN)

    def _headers(self, body: bool) -> dict[str, str]:
        found = {"Content-Type": "application/json"} if body else {}
        if self.token:
            found["Authorization"] = f"Bearer {self.token}"
        if self.cookie:
            found["Cookie"] = self.cookie
        if self.csrf:
            found["X-CSRF-Token"] = self.csrf
        return found | self.headers


@dataclass
class Ear:
    """Reads events as they come."""

    answer: http.client.HTTPResponse
    last: str = ""

    def next(self) -> tuple[str, Any]:
        """The next event and its data; ("", None) when the stream has ended."""
        event, data = "", b""
        while line := self.answer.readline():
            name, _, value = line.rstrip(b"\n").partition(b": ")
            if name == b"id":
                self.last = value.decode()
            elif name == b"event":
                event = value.decode()
            elif name == b"data":
                data = value
            elif not line.strip() and event:
                return event, json.loads(data)
        return "", None

    def until(self, event: str, id: str = "") -> Any:
        """The data of the next such event (about this row)."""
        while True:
            said, data = self.next()
            assert said, f"the stream ended before {event}"
            rows = data.get("rows", [data])
            found = [row for row in rows if not id or row.get("id") == id]
            if said == event and found:
                return found[-1] if id else data
