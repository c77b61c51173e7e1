"""A web server that takes notices, and can be told to refuse them; and a mail server likewise."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Hook:
    """Where it is, and what arrived."""

    url: str = ""
    status: int = 204
    taken: list[dict[str, Any]] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(notice["alarm"], notice["event"]) for notice in self.taken]


@contextmanager
def webhook() -> Iterator[Hook]:
    """Takes POSTs of JSON until the block ends."""
    hook = Hook()

    class Taking(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if hook.status < 300:
                hook.taken.append(json.loads(body))
            self.send_response(hook.status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    with _running(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taking)) as port:
        hook.url = f"http://127.0.0.1:{port}/token-geheim"
        yield hook


@contextmanager
def mailbox() -> Iterator[Hook]:
    """Takes mails until the block ends; speaks as much SMTP as a mail needs."""
    hook = Hook()

    class Taking(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            for line in self.rfile:
                word = line.split()[0].upper()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    text = iter(self.rfile.readline, b".\r\n")
                    hook.mails.append(b"".join(text).decode())
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 yes\r\n")

    with _running(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Taking)) as port:
        hook.url = f"smtp://127.0.0.1:{port}"
        yield hook


@contextmanager
def _running(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
