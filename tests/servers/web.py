"""A plain web server over a directory (Python's own, which knows no ranges), and one that
redirects."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Says nothing; redirects where it is told to."""

    moves: Mapping[str, str] = {}
    types: Mapping[str, str] = {}

    def do_GET(self) -> None:
        if self.path in self.moves:
            self.send_response(302)
            self.send_header("Location", self.moves[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        super().do_GET()

    def guess_type(self, path: str) -> str:  # type: ignore[override]
        return self.types.get(Path(path).suffix, "application/octet-stream")

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def serving(
    directory: Path,
    *,
    moves: Mapping[str, str] | None = None,
    types: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """The address of `directory` on the web, until the block ends."""
    known = {"moves": moves or {}, "types": types or {}}
    handler = functools.partial(type("Here", (Quiet,), known), directory=str(directory))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
