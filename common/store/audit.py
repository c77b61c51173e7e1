"""The audit trail: every command, with who gave it, what, to what, why, and how it ended.

A line is written before the act and completed after it, so that an act that killed its process is
on record too. Append only but for its outcome; whoever cannot write a line does not act.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import structlog

from common.clock import Clock
from common.errors import ConvoyError
from common.legible import legible
from common.store.base import Doc, Scalar, Store

BEGUN, DONE, FAILED, DENIED = "begun", "done", "failed", "denied"
LONGEST = 2_000  # characters of one text
ORDER = ("-at", "-id")
_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")
log = structlog.get_logger(__name__)


class Audit:
    """The repository of the audit trail."""

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        self._documents = store.collection("audit")
        self._clock = clock or Clock()

    @contextmanager
    def act(
        self, what: str, *, by: str, to: str = "", why: str = "", **facts: Any
    ) -> Iterator[dict[str, Any]]:
        """Note what is done inside the block; what is put into the dict is noted at its end."""
        line, said = self._insert(what, BEGUN, by, to, why, facts), dict[str, Any]()
        try:
            yield said
        except ConvoyError as error:
            self._end(line, FAILED, {"error": str(error)})
            raise
        except BaseException as error:
            self._end(line, FAILED, {"error": type(error).__name__})
            raise
        self._end(line, DONE, said)

    def note(
        self, what: str, outcome: str, *, by: str, to: str = "", why: str = "", **facts: Any
    ) -> None:
        """A line that is complete at once."""
        self._insert(what, outcome, by, to, why, facts)

    def latest(
        self, *, to: str = "", limit: int = 0, after: Sequence[Scalar] | None = None
    ) -> Iterator[Doc]:
        """The newest first, (to one thing); `after` is (at, id) of the last one seen."""
        return self._documents.find({"to": to} if to else {}, order=ORDER, limit=limit, after=after)

    def _insert(
        self, what: str, outcome: str, by: str, to: str, why: str, facts: Mapping[str, Any]
    ) -> str:
        id, now = uuid.uuid4().hex, self._clock.wall()
        line: Doc = {"id": id, "at": now, "by": _text(by), "what": _text(what), "to": _text(to)}
        line |= {"why": _text(why), "outcome": outcome, "ended": None, "facts": _plain(facts)}
        if outcome != BEGUN:
            line["ended"] = now
        self._documents.insert(line)
        return id

    def _end(self, id: str, outcome: str, said: Mapping[str, Any]) -> None:
        """What was done is done: a store that went away leaves the line as it was begun."""
        ended: Doc = {"outcome": outcome, "ended": self._clock.wall()}
        try:
            line = self._documents.get(id) or {"facts": {}}
            facts = {**line["facts"], **_plain(said)}
            self._documents.change({"id": id}, set=ended | {"facts": facts})
        except ConvoyError as error:
            log.warning("audit.unended", line=id, outcome=outcome, why=str(error))


def _text(text: str) -> str:
    """Legible, of bounded length, and without credentials that somebody put into an address."""
    return _CREDENTIALS.sub("***@", legible(text)[:LONGEST])


def _plain(facts: Mapping[str, Any]) -> Doc:
    """Facts as the store takes them: texts legible and of bounded length."""
    return {
        name: _text(value) if isinstance(value, str) else value for name, value in facts.items()
    }
