"""A server that answers with exactly the bytes a test gives it, to show clients what they must
never believe."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

HUSH = b""  # say nothing and keep the connection open
HANG_UP = b"\0"  # close the connection without a word


class Scripted:
    """Reads a request, sends the next answer, keeps the connection as long as answers last."""

    def __init__(
        self, answers: Sequence[bytes], context: ssl.SSLContext | None, *, close: bool
    ) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._answers, self._context, self._close = list(answers), context, close
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        scheme = "https" if context else "http"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Close everything and wait for the thread."""
        for sock in [self._listener, *self._open]:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self._thread.join(10)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                self._open.append(sock)
                with suppress(OSError):
                    if self._context:
                        sock = self._context.wrap_socket(sock, server_side=True)
                        self._open[-1] = sock
                    self._talk(sock)

    def _talk(self, sock: socket.socket) -> None:
        while self._answers and (request := _request(sock)):
            self.requests.append(request)
            answer = self._answers.pop(0)
            if answer == HANG_UP:
                sock.close()
                return
            sock.sendall(answer)
            if self._close:
                sock.close()
                return


def _request(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            left = int(line.partition(b":")[2]) - len(body)
            while left > 0 and (more := sock.recv(left)):
                data, left = data + more, left - len(more)
    return data


@contextmanager
def scripted(
    *answers: bytes, context: ssl.SSLContext | None = None, close: bool = False
) -> Iterator[Scripted]:
    """A server that sends `answers`, one for each request, until the block ends."""
    server = Scripted(answers, context, close=close)
    try:
        yield server
    finally:
        server.end()
