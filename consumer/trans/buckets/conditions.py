"""Conditions of a request, judged on the view that a user has of an object. Pure.

Asked of the store they would be judged on one side alone, and a background copy is younger than
the object that it is a copy of.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

CONDITIONS = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")


def conditional(headers: Mapping[str, str]) -> bool:
    """Does the request depend on what is there?"""
    return any(name in headers for name in CONDITIONS)


def without(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that ask for no condition."""
    return {name: value for name, value in headers.items() if name not in CONDITIONS}


def judged(headers: Mapping[str, str], etag: str, modified: str) -> int:
    """200 if a read is to be answered, else 304 or 412. The order is that of HTTP."""
    if "if-match" in headers:
        if not named(headers["if-match"], etag):
            return 412
    elif not _until(headers.get("if-unmodified-since"), modified):
        return 412
    if "if-none-match" in headers:
        return 304 if named(headers["if-none-match"], etag) else 200
    since = headers.get("if-modified-since")
    return 304 if since is not None and _until(since, modified) else 200


def named(tags: str, etag: str) -> bool:
    """Is the ETag among those of a condition?"""
    wanted = [tag.strip().removeprefix("W/").strip('"') for tag in tags.split(",")]
    return tags.strip() == "*" or etag.strip('"') in wanted


def _until(limit: str | None, modified: str) -> bool:
    """Was it last modified at that time or before? A date that is none asks for nothing."""
    at, until = _time(modified), _time(limit or "")
    return at is None or until is None or at <= until


def _time(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
