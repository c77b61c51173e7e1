"""One listing out of two, page by page. Pure.

Each side is asked for what comes behind the last name that was given out, never by its own tokens.
Nothing is given out beyond the end of the shorter page: what lies behind it there is not known yet.
Since old loses no key while a bucket moves, a key that wanders from old to new between two pages is
seen in any case.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

LAST = "\U0010ffff"  # behind every key that begins with the same prefix


class Name(NamedTuple):
    """A line of a listing: a key with what is said of it, or a common prefix."""

    text: str
    fields: Mapping[str, str] | None = None

    @property
    def folded(self) -> bool:
        return self.fields is None


@dataclass(frozen=True, slots=True)
class Page:
    """What one side has behind some name, and whether it goes on."""

    names: tuple[Name, ...]
    more: bool

    @property
    def horizon(self) -> str | None:
        """The last name up to which this side is known; None: to its end."""
        return self.names[-1].text if self.more and self.names else None


NOTHING = Page((), more=False)


def horizon(pages: Iterable[Page]) -> str | None:
    """The name up to which all sides are known; None: to the end."""
    ends = [end for page in pages if (end := page.horizon) is not None]
    return min(ends, key=_order) if ends else None


def merged(old: Page, new: Page, *, gone: Collection[str], own: Collection[str]) -> list[Name]:
    """The names up to the horizon. `gone`: keys that the user does not see; `own`: those that
    users changed on new, which no longer show what old says of them."""
    end = horizon((old, new))
    found = {name.text: name for name in new.names}
    for name in old.names:
        if name.text not in found or (name.fields is not None and name.text not in own):
            found[name.text] = name
    return [
        found[text]
        for text in sorted(found, key=_order)
        if (end is None or _order(text) <= _order(end)) and text not in gone
    ]


def behind(name: Name) -> str:
    """From where a listing goes on after it; a common prefix is passed over as a whole."""
    return name.text + LAST if name.folded else name.text


class Query(NamedTuple):
    """What makes two pages parts of one listing."""

    bucket: str
    prefix: str
    delimiter: str


def token(query: Query, after: str) -> str:
    """Where a listing goes on, for this query and no other."""
    text = json.dumps([_mark(query), after])
    return "convoy." + base64.urlsafe_b64encode(text.encode()).decode()


def after(query: Query, given: str) -> str | None:
    """Where the listing of a token goes on; None if it is none of ours for this query."""
    head, _, text = given.partition(".")
    if head != "convoy":
        return None
    try:
        mark, name = json.loads(base64.urlsafe_b64decode(text.encode()))
    except (ValueError, TypeError):
        return None
    return name if mark == _mark(query) and isinstance(name, str) else None


def _mark(query: Query) -> str:
    return hashlib.sha256("\0".join(query).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _order(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
