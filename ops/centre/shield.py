"""Around every request: a bound on its body, and headers that tell browsers to trust nothing.

Plain ASGI, so that streams pass through untouched. Refuses bodies that are longer than the route
may take, whether they say so before or not.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ops.centre.answers import Answer

SMALL = 64 << 10  # bytes of a body
LARGE = 8 << 20  # of one that brings a list of users
LISTS = "/api/v1/migrations"
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "object-src 'none'; require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
SECURE = {"Strict-Transport-Security": "max-age=31536000"}


class Shield:
    """The outermost layer."""

    def __init__(self, app: ASGIApp, *, tls: bool) -> None:
        self._app = app
        headers = {**HEADERS, **(SECURE if tls else {})}
        self._headers = [(k.lower().encode(), v.encode()) for k, v in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        most = LARGE if scope["path"] == LISTS else SMALL
        body = Body(receive, most)

        async def shielded(message: Message) -> None:
            if body.over:  # whatever a route made of the exception that it met
                return
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._more(scope, message)]
            await send(message)

        try:
            if _said(scope) > most:
                raise _too_large(most)
            await self._app(scope, body.receive, shielded)
            if body.over:
                raise _too_large(most)
        except Answer as answer:
            body.over = False
            await answer.response()(scope, receive, shielded)

    def _more(self, scope: Scope, message: Message) -> list[tuple[bytes, bytes]]:
        said = {name.lower() for name, _ in message.get("headers", ())}
        more = [(name, value) for name, value in self._headers if name not in said]
        if b"cache-control" not in said:
            api = scope["path"].startswith("/api/")
            more.append((b"cache-control", b"no-store" if api else b"no-cache"))
        return more


class Body:
    """Counts what arrives."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._most, self._came = receive, most, 0
        self.over = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._came += len(message.get("body", b""))
        if self._came > self._most:
            self.over = True
            raise _too_large(self._most)
        return message


def _said(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


def _too_large(most: int) -> Answer:
    what = f"the request is longer than {most} bytes"
    return Answer(413, "too_large", what, advice="send less; longer lists go by `convoy migrate`")
