"""What requests may hold, described for the API: every text and number has its bounds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from common.lifecycle.units import State
from common.model import Check

Text = Annotated[str, Field(max_length=2_000)]
Url = Annotated[str, Field(min_length=1, max_length=2_000)]
Rate = Annotated[str, Field(max_length=500)]
Id = Annotated[
    str, Path(pattern=r"^[a-z]+-[0-9a-f]{10}$", description="The migration's ID, whole.")
]
Limit = Annotated[int, Query(ge=1, le=1_000)]
Cursor = Annotated[str, Query(max_length=4_000, description="`next` of the page before.")]
Word = Annotated[str, Query(max_length=200)]
OfState = Annotated[State | None, Query(description="Only units in this state.")]
MOST_USERS = 200_000


class Asked(BaseModel):
    """Nothing but what is described."""

    model_config = ConfigDict(extra="forbid")


class LogIn(Asked):
    """A name with its password, or a token."""

    user: Annotated[str, Field(max_length=200)] = ""
    password: Annotated[str, Field(max_length=1_024)] = ""
    token: Annotated[str, Field(max_length=1_024)] = ""


class Why(Asked):
    """A reason, for the records."""

    why: Text = ""


class Sure(Why):
    """An act that cannot be taken back wants the migration's name."""

    confirm: Annotated[str, Field(max_length=200)] = ""


class Units(Sure):
    """One unit by its ID or its user; all in quarantine if empty, which wants `confirm`."""

    unit: Text = ""


class Limits(Why):
    """Limits by name; those not named stay as they are, `off` takes one away."""

    limits: Annotated[dict[Annotated[str, Field(max_length=40)], Rate], Field(max_length=6)]


class NewMigration(Asked):
    """An order, as `convoy migrate users` takes it; hooks are for the command line only."""

    kind: Literal["users"] = "users"
    source: Url
    target: Url
    users: Annotated[list[Text], Field(max_length=MOST_USERS)] | None = None
    check: Check = Check.MD5
    overwrite: bool = False
    bandwidth: Rate = ""
    requests: Rate = ""
    tenant: Annotated[str, Field(max_length=200)] = ""
    why: Text = ""
    dry_run: bool = True


class Problem(BaseModel):
    """What happened, to what, what to do, and a word for programs."""

    what: str
    to: str
    advice: str
    code: str


class Failed(BaseModel):
    """Every refusal looks like this."""

    error: Problem


class Page(BaseModel):
    """Rows, and the cursor of the next page; "" on the last one."""

    rows: list[dict[str, Any]]
    next: str


ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": Failed, "description": text}
    for code, text in {
        400: "Refused: input that makes no sense.",
        401: "Nobody is logged in.",
        403: "The role does not allow it, or the CSRF token is missing.",
        404: "There is no such thing.",
        409: "Not as things are now.",
        413: "Too long.",
        422: "Not as described here.",
        429: "Too often, or too many at once.",
        503: "Store or broker do not answer.",
    }.items()
}
