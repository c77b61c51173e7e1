"""The one way in: who asks, and whether they may, decided before anything of a request is read.

Everything below /api/ wants a session's cookie or a token; the log-in itself is the exception. What
changes something wants an operator, what approves an approver: a route that nobody thought of is
closed rather than open. With a cookie it also wants the session's CSRF token.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from typing import Protocol

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from common.errors import ConvoyError
from ops.centre.answers import Answer
from ops.centre.sessions import Session, Sessions
from ops.centre.users import Role, User, Users

API = "/api/"
SESSION = "/api/v1/session"
SAFE = ("GET", "HEAD", "OPTIONS")
QUIET = ("/api/v1/events", SESSION)  # asked by the page itself: they keep no session alive
CSRF = "x-csrf-token"
ABSENT = "x-convoy-absent"  # the page asks by itself, and nobody sits before it
COOKIE, SECURE_COOKIE = "convoy_session", "__Host-convoy_session"
_APPROVAL = re.compile(r"/api/v1/migrations/[^/]*/(approve|advance)")


log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    user: User
    secret: str = ""  # of the session; "" for a token
    session: Session | None = None

    @property
    def who(self) -> str:
        """The name in the records."""
        return f"{self.user.name}@centre"


def needed(method: str, path: str) -> Role | None:
    """The role that a request wants; None for the log-in."""
    if path == SESSION:
        return None if method == "POST" else Role.VIEWER
    if method in SAFE:
        return Role.VIEWER
    return Role.APPROVER if _APPROVAL.fullmatch(path) else Role.OPERATOR


class Denials(Protocol):
    """Who is told of what was denied."""

    async def denied(self, caller: Caller, method: str, path: str) -> None: ...


class Gate:
    """The layer that lets in."""

    def __init__(
        self, app: ASGIApp, *, users: Users, sessions: Sessions, tls: bool, denials: Denials
    ) -> None:
        self._app, self._users, self._sessions = app, users, sessions
        self._cookie = SECURE_COOKIE if tls else COOKIE
        self._denials = denials

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(API):
            await self._app(scope, receive, send)
            return
        try:
            await self._admit(scope)
        except Answer as refused:
            await refused.response()(scope, receive, send)
        except ConvoyError as error:  # the file of users
            await nobody(error).response()(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _admit(self, scope: Scope) -> None:
        method, path = scope["method"], scope["path"]
        role = needed(method, path)
        if role is None:
            return
        request = Request(scope)
        absent = path in QUIET or ABSENT in request.headers
        caller = self._caller(request, use=not absent)
        if caller is None:
            raise Answer(401, "unauthenticated", "nobody is logged in", advice="log in first")
        if not caller.user.role.may(role):
            await self._denials.denied(caller, method, path)
            what = f"{caller.user.name} is {caller.user.role.value}, this wants {role.value}"
            raise Answer(403, "forbidden", what, advice=f"ask somebody who is {role.value}")
        if caller.session and method not in SAFE:
            _unforged(request, caller.session)
        scope.setdefault("state", {})["caller"] = caller

    def _caller(self, request: Request, *, use: bool) -> Caller | None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            user = self._users.by_token(token.strip())
            return Caller(user) if user else None
        secret = request.cookies.get(self._cookie, "")
        session = self._sessions.of(secret, use=use) if secret else None
        if session is None:
            return None
        user = self._users.find(session.user.name)
        if user is None or user.stamp != session.user.stamp:  # gone, or another role or password
            self._sessions.close(secret)
            return None
        return Caller(user, secret, session)


def nobody(error: ConvoyError) -> Answer:
    """Users that cannot be read let nobody in. Where they lie is not for strangers."""
    log.error("centre.users", why=str(error), hint=error.hint)
    what = "it cannot be read who may come in"
    return Answer(503, "away", what, advice="see the log of the centre", wait=5)


def _unforged(request: Request, session: Session) -> None:
    given = request.headers.get(CSRF, "")
    if not hmac.compare_digest(given.encode(), session.csrf.encode()):
        raise Answer(
            403,
            "csrf",
            "the request does not come from the page",
            advice=f"send {CSRF} of /session",
        )
