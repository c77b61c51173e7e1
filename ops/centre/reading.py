"""Routes that look: lists, one migration from all sides, consumers, hosts, alarms, the trail."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from common.store.audit import ORDER
from ops.centre import centre as centres
from ops.centre import crew, looks, rows
from ops.centre.answers import Answer, Json
from ops.centre.asked import ERRORS, Cursor, Id, Limit, OfState, Page, Word
from ops.centre.centre import STREAMS, STREAMS_OF_ONE, Centre
from ops.centre.gate import Caller
from ops.centre.news import stream

BEAT, POLL = 15.0, 1.0
router = APIRouter(prefix="/api/v1", responses=ERRORS)


@router.get("/migrations", tags=["migrations"], responses={200: {"model": Page}})
def migrations(
    request: Request,
    state: Word = "",
    kind: Word = "",
    text: Word = "",
    order: Word = "-created",
    limit: Limit = 100,
    after: Cursor = "",
) -> Json:
    """All migrations, a page at a time; `states`: how many of all are in which state."""
    survey = centres.of(request).survey.fresh()
    wanted = rows.filtered(state=state, kind=kind, text=text)
    found, next_, total = rows.page(
        survey.ordered(order), order=order, limit=limit, after=after, wanted=wanted
    )
    told = {"rows": survey.counted(found), "next": next_, "total": total}
    return Json(told | {"states": survey.states()})


@router.get("/migrations/{id}", tags=["migrations"])
def migration(id: Id, request: Request) -> Json:
    """The whole of one migration, with its state diagram."""
    ours = centres.of(request)
    here, found = ours.migration(id)
    key = ("whole", id, found.version)
    row, jobs = ours.survey.row(id), ours.survey.jobs(id, found.generation)
    return Json(ours.kept.of(key, lambda: looks.whole(here, found, row, jobs)))


@router.get("/migrations/{id}/units", tags=["migrations"], responses={200: {"model": Page}})
def units(
    id: Id,
    request: Request,
    state: OfState = None,
    text: Word = "",
    limit: Limit = 100,
    after: Cursor = "",
) -> Json:
    """Units of the present generation; `text` is a user or a unit's ID, whole."""
    here, found = centres.of(request).migration(id)
    return Json(looks.units(here, found, state=state, text=text, limit=limit, after=after))


@router.get("/migrations/{id}/heat", tags=["migrations"])
def heat(id: Id, request: Request, cells: Annotated[int, Query(ge=1, le=1000)] = 600) -> Json:
    """Units as a heat map, in the order of their users."""
    ours = centres.of(request)
    here, found = ours.migration(id)
    key = ("heat", id, found.generation, cells)
    return Json(ours.kept.of(key, lambda: looks.heat(here, found, cells)))


@router.get("/migrations/{id}/rates", tags=["migrations"])
def rates(id: Id, request: Request) -> Json:
    """Throughput over time, and of the last half minute."""
    ours = centres.of(request)
    here, found = ours.migration(id)
    key = ("rates", id, found.generation)
    said = ours.kept.of(key, lambda: looks.rates(here, found))
    row = ours.survey.row(id)
    return Json(said | {"now": row["rate"] if row else None})


@router.get("/migrations/{id}/failures", tags=["migrations"])
def failures(id: Id, request: Request) -> Json:
    """What did not arrive, grouped by why."""
    ours = centres.of(request)
    here, found = ours.migration(id)
    key = ("failures", id, found.generation)
    return Json(ours.kept.of(key, lambda: looks.failures(here, found)))


@router.get("/migrations/{id}/history", tags=["migrations"], responses={200: {"model": Page}})
def history(id: Id, request: Request, limit: Limit = 100, after: Cursor = "") -> Json:
    """Every transition and every event: who, what, when, why."""
    here, found = centres.of(request).migration(id)
    return Json(looks.history(here, found, limit=limit, after=after))


@router.get("/consumers", tags=["fleet"], responses={200: {"model": Page}})
def consumers(request: Request, text: Word = "", limit: Limit = 100, after: Cursor = "") -> Json:
    """Consumers in the order of their names, and what each is doing."""
    found = centres.of(request).survey.fresh().consumers
    behind = str(rows.unseal(after, [str])[0]) if after else ""
    needle = text.casefold()
    wanted = [row for row in found if not needle or needle in _haystack(row)]
    shown = [row for row in wanted if row["name"] > behind]
    more = len(shown) > limit
    shown = shown[:limit]
    next_ = rows.seal([shown[-1]["name"]]) if more else ""
    return Json({"rows": shown, "next": next_, "total": len(wanted)})


@router.get("/hosts", tags=["fleet"])
def hosts(request: Request) -> Json:
    """What runs on which host, as its consumers say."""
    return Json({"rows": crew.hosts(centres.of(request).survey.fresh().consumers)})


@router.get("/alarms", tags=["fleet"])
def alarms(request: Request) -> Json:
    """Every alarm that there is, and whether it stands."""
    return Json({"rows": centres.of(request).alarms.current()})


@router.get("/audit", tags=["fleet"], responses={200: {"model": Page}})
def audit(request: Request, to: Word = "", limit: Limit = 100, after: Cursor = "") -> Json:
    """Every command: who, what, to what, why, and how it ended; the newest first."""
    ours = centres.of(request)
    ours.reachable()
    behind = rows.unseal(after, [(int, float), str]) if after else None
    trail = ours.survey.desk().audit
    found = list(trail.latest(to=to, limit=limit + 1, after=behind))
    more = len(found) > limit
    found = found[:limit]
    next_ = rows.seal([found[-1][name.removeprefix("-")] for name in ORDER]) if more else ""
    return Json({"rows": found, "next": next_})


@router.get(
    "/events",
    tags=["fleet"],
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def events(request: Request, migration: Word = "", last: Word = "") -> Response:
    """What changes, as it changes (server-sent events). `Last-Event-ID` resumes."""
    ours, who = centres.of(request), centres.caller(request)
    listeners = ours.listeners
    if listeners.total() >= STREAMS or listeners[who.user.name] >= STREAMS_OF_ONE:
        raise Answer(429, "too_many", "too many listen already", advice="close others", wait=30)
    last = request.headers.get("last-event-id", "") or last
    return StreamingResponse(
        _listening(ours, who, last=last, migration=migration),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


async def _listening(
    ours: Centre, who: Caller, *, last: str, migration: str
) -> AsyncIterator[bytes]:
    ours.listeners[who.user.name] += 1
    ours.survey.watch(1)
    try:
        async for piece in stream(
            ours.news,
            last=last,
            migration=migration,
            alive=partial(ours.still, who),
            beat=BEAT,
            poll=POLL,
        ):
            yield piece
    finally:
        ours.listeners[who.user.name] -= 1
        ours.listeners += Counter()  # forgets who is at none
        ours.survey.watch(-1)


def _haystack(row: dict[str, Any]) -> str:
    return " ".join(str(row[name]) for name in ("name", "unit", "user", "version")).casefold()
