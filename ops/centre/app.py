"""The control centre as an ASGI application: layers, routes, the description, the page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from common.errors import ConvoyError
from ops.centre import answers, changing, entry, reading
from ops.centre.answers import Answer
from ops.centre.centre import Centre
from ops.centre.gate import COOKIE, CSRF, SECURE_COOKIE, Gate
from ops.centre.shield import Shield
from ops.doctor import installed

PAGE = Path(__file__).with_name("page")
HANDLERS: dict[int | type[Exception], Any] = {
    ConvoyError: answers.of_ours,
    Answer: answers.of_the_centre,
    RequestValidationError: answers.of_input,
    HTTPException: answers.of_a_route,
    Exception: answers.of_a_fault,
}


def build(centre: Centre) -> ASGIApp:
    """The application of one centre, its layers outside of everything that the framework adds."""
    gate = Gate(
        routed(centre),
        users=centre.users,
        sessions=centre.sessions,
        tls=centre.tls,
        denials=centre,
    )
    return Shield(gate, tls=centre.tls)


def routed(centre: Centre) -> FastAPI:
    """The routes, behind no gate."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        centre.news.attach()
        centre.survey.start()
        centre.alarms.start(centre.survey.wanted)
        try:
            yield
        finally:
            centre.alarms.stop()
            centre.survey.stop()

    app = FastAPI(
        title="Convoy control centre",
        version=installed("convoy"),
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers=HANDLERS,
        lifespan=life,
    )
    app.state.centre = centre
    for router in (entry.public, entry.router, reading.router, changing.router):
        app.include_router(router)
    if PAGE.is_dir():
        app.router.default = StaticFiles(directory=PAGE, html=True)  # for what is no route
    _describe(app, SECURE_COOKIE if centre.tls else COOKIE)
    return app


def _describe(app: FastAPI, cookie: str) -> None:
    """How to log in, said in the description."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = plain()
            found.setdefault("components", {})["securitySchemes"] = {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": cookie,
                    "description": f"with {CSRF} on requests that change something",
                },
            }
            found["security"] = [{"token": []}, {"session": []}]
            found["paths"]["/healthz"]["get"]["security"] = []
            found["paths"]["/api/v1/session"]["post"]["security"] = []
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]
