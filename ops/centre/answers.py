"""What goes out: JSON, and errors in one shape: what happened, to what, what to do, and a code.

Never a stack, and never a foreign exception's own words. Whatever text comes in may come out again
as data only: it is escaped to plain ASCII, so that nothing in it means anything to anybody.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response

from common.errors import (
    Backpressure,
    Conflict,
    ConvoyError,
    Corrupt,
    Denied,
    IllegalTransition,
    Missing,
    Occupied,
    Permanent,
    Refused,
    Transient,
)
from common.legible import legible

LONGEST = 1_000  # characters of one text in an error
log = structlog.get_logger(__name__)


class Json(Response):
    """Any value as JSON in ASCII; lone surrogates in it do no harm."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return encoded(content)


class Answer(Exception):
    """A refusal of the centre itself, raised where it is decided."""

    def __init__(
        self, status: int, code: str, what: str, *, to: str = "", advice: str = "", wait: float = 0
    ) -> None:
        super().__init__(what)
        self.status, self.code, self.what, self.to = status, code, what, to
        self.advice, self.wait = advice, wait

    def response(self) -> Json:
        error = {"what": self.what, "to": self.to, "advice": self.advice, "code": self.code}
        shown = {name: legible(text)[:LONGEST] for name, text in error.items()}
        headers = {"Retry-After": str(math.ceil(self.wait))} if self.wait else {}
        if self.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="convoy"'
        return Json({"error": shown}, status_code=self.status, headers=headers)


_KINDS: tuple[tuple[type[ConvoyError], int, str], ...] = (
    (Missing, 404, "missing"),
    (Refused, 400, "refused"),
    (Conflict, 409, "conflict"),
    (IllegalTransition, 409, "conflict"),
    (Occupied, 409, "conflict"),
    (Corrupt, 409, "corrupt"),
    (Denied, 503, "away"),
    (Backpressure, 503, "away"),
    (Transient, 503, "away"),
    (Permanent, 400, "refused"),
)


def answer(error: ConvoyError, to: str = "") -> Answer:
    """An error of ours as an answer."""
    for kind, status, code in _KINDS:
        if isinstance(error, kind):
            wait = 5.0 if status == 503 else 0.0
            return Answer(status, code, str(error), to=to, advice=error.hint, wait=wait)
    return Answer(409, "conflict", str(error), to=to, advice=error.hint or "look again")


def encoded(content: Any) -> bytes:
    """The JSON of a value."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode("ascii")


def of_ours(request: Request, error: Exception) -> Response:
    """Handler of the errors that we raise on purpose."""
    assert isinstance(error, ConvoyError)
    return answer(error, to=str(request.path_params.get("id", ""))).response()


def of_the_centre(_: Request, error: Exception) -> Response:
    """Handler of `Answer`."""
    assert isinstance(error, Answer)
    return error.response()


def of_a_route(_: Request, error: Exception) -> Response:
    """Handler of what the framework refuses: no such route, no such method."""
    status = int(getattr(error, "status_code", 400))
    what = {404: "there is nothing here", 405: "this cannot be done here"}.get(status, "refused")
    said = Answer(status, "missing" if status == 404 else "refused", what).response()
    allowed: Mapping[str, str] = getattr(error, "headers", None) or {}
    if "Allow" in allowed:
        said.headers["Allow"] = allowed["Allow"]
    return said


def of_input(_: Request, error: Exception) -> Response:
    """Handler of requests that are not as the description says; what was sent is not repeated."""
    found: list[Mapping[str, Any]] = list(getattr(error, "errors", list)())
    said = "; ".join(f"{_place(each)}: {each.get('msg', 'wrong')}" for each in found[:5])
    advice = "see /api/v1/openapi.json"
    return Answer(
        422, "invalid", f"the request is not understood: {said}", advice=advice
    ).response()


def of_a_fault(request: Request, error: Exception) -> Response:
    """Handler of faults of our own: where it arose goes to the log, and nowhere else."""
    log.error("centre.fault", path=legible(request.url.path), exc_info=error)
    what = "a fault of the centre itself"
    return Answer(500, "fault", what, advice="look at its log, and report it").response()


def _place(error: Mapping[str, Any]) -> str:
    return ".".join(str(part) for part in error.get("loc", ())) or "request"
