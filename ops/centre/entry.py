"""Routes of coming and going: health, log-in, log-out, who am I."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from common.errors import ConvoyError
from common.store import audit
from ops.centre import centre as centres
from ops.centre.answers import Answer, Json
from ops.centre.asked import ERRORS, LogIn
from ops.centre.centre import Centre
from ops.centre.gate import COOKIE, SECURE_COOKIE, nobody
from ops.centre.users import User

AT_ONCE = 2  # passwords that are looked at, each of which takes 32 MiB
PATIENCE = 2.0  # seconds
_TURN = threading.BoundedSemaphore(AT_ONCE)
public = APIRouter()
router = APIRouter(prefix="/api/v1", tags=["session"], responses=ERRORS)


@public.get("/healthz", tags=["health"])
async def health(request: Request) -> Json:
    """Does this process answer, and does the store? Says nothing else."""
    said = await run_in_threadpool(centres.of(request).health)
    return Json({"ok": True, "store": said})


@router.post("/session", status_code=204)
def log_in(given: LogIn, request: Request) -> Response:
    """Log in; the answer brings the session's cookie."""
    ours = centres.of(request)
    _same_origin(request)
    address = request.client.host if request.client else ""
    user = _let_in(ours, given, address)
    secret, _ = ours.sessions.open(user)
    ours.note("log in", audit.DONE, f"{user.name}@centre", to=address)
    answer = Response(status_code=204)
    answer.set_cookie(
        SECURE_COOKIE if ours.tls else COOKIE,
        secret,
        max_age=int(ours.settings.centre_session.total_seconds()),
        path="/",
        secure=ours.tls,
        httponly=True,
        samesite="strict",
    )
    return answer


@router.get("/session")
async def who_am_i(request: Request) -> Json:
    """Who is logged in, with which role, and the token that changing requests carry."""
    ours, caller = centres.of(request), centres.caller(request)
    found: dict[str, Any] = {"user": caller.user.name, "role": caller.user.role.value}
    if caller.session:
        left = ours.sessions.left(caller.session)
        found |= {"csrf": caller.session.csrf, "expires": ours.clock.wall() + left}
    else:
        found |= {"csrf": "", "expires": None}
    return Json(found)


@router.delete("/session", status_code=204)
def log_out(request: Request) -> Response:
    """End the session."""
    ours, caller = centres.of(request), centres.caller(request)
    if caller.secret:
        ours.sessions.close(caller.secret)
        ours.news.ring()
    answer = Response(status_code=204)
    answer.delete_cookie(SECURE_COOKIE if ours.tls else COOKIE, path="/", secure=ours.tls)
    return answer


def _let_in(ours: Centre, given: LogIn, address: str) -> User:
    """Whose name and password these are; every try counts before it is looked at."""
    name = given.user if not given.token else "token"
    tried = [(ours.by_address, f"address {address}")]
    if not given.token:
        tried.append((ours.by_name, f"user {name}"))
    for attempts, key in tried:
        if wait := attempts.take(key):
            what = "too many log-ins failed"
            raise Answer(429, "too_often", what, advice="wait a while", wait=wait)
    try:
        user = ours.users.by_token(given.token) if given.token else _known(ours, given)
    except ConvoyError as error:
        raise nobody(error) from None
    if user is None:
        ours.note("log in", audit.DENIED, name, to=address)
        raise Answer(401, "unauthenticated", "user, password or token are not right")
    for attempts, key in tried:
        attempts.forgive(key)
    return user


def _known(ours: Centre, given: LogIn) -> User | None:
    """Looked at by few at once, and not waited for long: others want their answers, too."""
    if not _TURN.acquire(timeout=PATIENCE):
        raise Answer(429, "busy", "many log in at this moment", advice="try again", wait=5)
    try:
        return ours.users.by_password(given.user, given.password)
    finally:
        _TURN.release()


def _same_origin(request: Request) -> None:
    """A page of somebody else's must not log its visitors in as whom it likes."""
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    if origin is not None and urlsplit(origin).netloc != host:
        raise Answer(403, "csrf", "the log-in does not come from this page")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Answer(422, "invalid", "a log-in is JSON", advice="Content-Type: application/json")
