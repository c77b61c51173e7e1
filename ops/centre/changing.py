"""Routes that change something. Each is one call into what the command line does."""

from __future__ import annotations

from fastapi import APIRouter, Request

from common.errors import Backpressure, Denied, Refused, Transient
from ops import journey, wishes
from ops.centre import acts, orders
from ops.centre import centre as centres
from ops.centre.acts import Wish
from ops.centre.answers import Answer, Json
from ops.centre.asked import ERRORS, Id, Limits, NewMigration, Sure, Units, Why
from producer.intake import Order

router = APIRouter(prefix="/api/v1/migrations", tags=["acts"], responses=ERRORS)


@router.post("")
def create(given: NewMigration, request: Request) -> Json:
    """Preview (`dry_run`, unless said otherwise) or hand a migration over to the fleet."""
    ours, who = centres.of(request), centres.caller(request).who
    order = _order(given, who)
    take = orders.preview if given.dry_run else orders.accept
    try:
        return Json(take(order, given.users, ours.settings, why=given.why))
    except (Transient, Denied, Backpressure) as error:
        if ours.health() != "ok":
            raise
        raise Answer(409, "endpoint", str(error), advice=error.hint) from None


@router.post("/{id}/pause")
def pause(id: Id, given: Why, request: Request) -> Json:
    """Stop at the next item."""
    return _act(request, "pause", id, Wish(given.why))


@router.post("/{id}/resume")
def resume(id: Id, given: Why, request: Request) -> Json:
    """Go on after a pause or a drain."""
    return _act(request, "resume", id, Wish(given.why))


@router.post("/{id}/drain")
def drain(id: Id, given: Why, request: Request) -> Json:
    """Finish the units in hand, and start no others."""
    return _act(request, "drain", id, Wish(given.why))


@router.post("/{id}/cancel")
def cancel(id: Id, given: Sure, request: Request) -> Json:
    """End the present generation where it stands. Wants `confirm`."""
    return _act(request, "cancel", id, Wish(given.why, given.confirm))


@router.post("/{id}/requeue")
def requeue(id: Id, given: Units, request: Request) -> Json:
    """Queue a quarantined unit again; without `unit` all, which wants `confirm`."""
    return _act(request, "requeue", id, Wish(given.why, given.confirm, given.unit))


@router.post("/{id}/release")
def release(id: Id, given: Units, request: Request) -> Json:
    """The same as requeue: out of quarantine is into the queue."""
    return _act(request, "release", id, Wish(given.why, given.confirm, given.unit))


@router.post("/{id}/limits")
def limits(id: Id, given: Limits, request: Request) -> Json:
    """Change limits while it runs."""
    return _act(request, "limits", id, Wish(given.why, limits=given.limits))


@router.post("/{id}/approve")
def approve(id: Id, given: Sure, request: Request) -> Json:
    """Approve what waits at a gate; by an approver who did not ask for it."""
    return _act(request, "approve", id, Wish(given.why, given.confirm))


@router.post("/{id}/advance")
def advance(id: Id, given: Sure, request: Request) -> Json:
    """Let it through a gate; by an approver who did not ask for it."""
    return _act(request, "advance", id, Wish(given.why, given.confirm))


@router.post("/{id}/rollback")
def rollback(id: Id, given: Sure, request: Request) -> Json:
    """Go back, where a kind can. Wants `confirm`."""
    return _act(request, "rollback", id, Wish(given.why, given.confirm))


def _act(request: Request, name: str, id: str, wish: Wish) -> Json:
    ours, who = centres.of(request), centres.caller(request).who
    ours.reachable()
    return Json(acts.act(name, id, wish, ours.settings, who))


def _order(given: NewMigration, who: str) -> Order:
    for url in (given.source, given.target):
        if not url.startswith("/") and "://" not in url:
            raise Refused("a path must be whole", hint="begin it with /, or with file:///, s3://")
    limits = {"bandwidth": given.bandwidth, "requests": given.requests}
    limits = {name: text for name, text in limits.items() if text}
    wishes.checked(limits)
    options = journey.options(check=given.check, overwrite=given.overwrite)
    return Order(
        given.source, given.target, tenant=given.tenant, by=who, options=options, limits=limits
    )
