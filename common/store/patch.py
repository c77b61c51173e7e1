"""What a change means, in plain Python: the pattern that every driver follows.

Refuses to add to what is no number and to append to what is no list; never guesses.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from common.errors import Refused
from common.store.base import Doc
from common.store.values import check_fields, check_single, flaw

encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
decode = json.JSONDecoder().decode

_PLAIN = frozenset({str, int, float, bool, type(None)})
_HINT = "two parts of the program disagree about this field: report it"


class Patch:
    """New values (`set`), amounts to add (`inc`), values to append (`push`, the last `keep`)."""

    __slots__ = ("inc", "keep", "push", "set")

    def __init__(
        self,
        set: Mapping[str, Any] | None = None,
        inc: Mapping[str, int | float] | None = None,
        push: Mapping[str, Any] | None = None,
        keep: int = 200,
    ) -> None:
        self.set, self.inc, self.push, self.keep = set or {}, dict(inc or {}), push or {}, keep
        for part in (self.set, self.inc, self.push):
            check_fields(part)
        named = [*self.set, *self.inc, *self.push]
        if not named or keep < 1:
            raise Refused("a change must change something, and keep at least one", hint=_HINT)
        if "id" in named or len({*named}) < len(named):
            raise Refused(f"{sorted(named)}: id stays, and each field changes once", hint=_HINT)
        for name, amount in self.inc.items():
            if isinstance(amount, bool) or not isinstance(amount, int | float):
                raise Refused(f"cannot add {amount!r} to {name}", hint=_HINT)

    def check_single(self, indexed: Collection[str]) -> None:
        """Refused if a field with an index would become a list or an object."""
        check_single(indexed, {**self.set, **{name: [value] for name, value in self.push.items()}})

    def normal(self) -> Patch:
        """With values as they will be read back: nothing shared with the caller, plain types."""
        if not _PLAIN.issuperset(map(type, (*self.set.values(), *self.push.values()))):
            self.set, self.push = decode(encode(self.set)), decode(encode(self.push))
        return self

    def apply(self, doc: Doc) -> Doc:
        """Change `doc` in place. A missing field starts as 0 or as an empty list."""
        doc.update(self.set)
        for name, amount in self.inc.items():
            doc[name] = _sum(name, doc.get(name, 0), amount)
        for name, value in self.push.items():
            doc[name] = _grown(name, doc.get(name, []), value, self.keep)
        return doc


def _sum(name: str, before: Any, amount: float) -> int | float:
    if isinstance(before, bool) or not isinstance(before, int | float):
        raise Refused(f"cannot add to {name}: it holds {before!r}", hint=_HINT)
    total = before + amount
    if why := flaw(total):
        raise Refused(f"cannot add {amount} to {name}: {why}", hint=_HINT)
    return total


def _grown(name: str, before: Any, value: Any, keep: int) -> list[Any]:
    if not isinstance(before, list):
        raise Refused(f"cannot append to {name}: it holds {before!r}", hint=_HINT)
    return [*before, value][-keep:]
