"""What may stand in a document, a condition and an order: one judgement for all drivers.

Refuses, by name and before anything is sent, what some store could not hold or would change
silently: integers beyond 64 bits, NaN and infinities, U+0000, lone surrogates, bytes, dates, and
field names that are not simple words.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from common.errors import Refused
from common.store.base import Cond, Doc, Scalar, Where

MOST_AMONG = 10_000  # values of one `among`; SQLite takes 32,766 parameters, MongoDB 16 MiB
_WORD = re.compile(r"[a-z][a-z0-9_]{0,62}")
_KNOWN: set[str] = set()  # names that passed before, so that a million documents stay cheap
_KNOWN_MOST = 10_000
_EDGE = 1 << 63
_COMPOSED = (list, tuple, dict, Cond)
_ORDERED = ("<", "<=", ">", ">=")
_HINT = "no store can keep this unchanged: correct the program that writes it"


def check_doc(doc: Doc) -> None:
    """Refused unless every driver would give `doc` back as it is."""
    if not isinstance(doc.get("id"), str) or not doc["id"]:
        raise _refused(f"a document needs a text as id, not {doc.get('id')!r}")
    check_fields(doc)


def check_fields(fields: Mapping[str, Any]) -> None:
    """Refused unless the names are words and the values can be kept."""
    check_names(fields)
    for name, value in fields.items():
        kind = type(value)  # the two commonest are passed here: bulk inserts live on this loop
        if kind is str and value.isascii() and "\0" not in value:
            continue
        if kind is int and -_EDGE <= value < _EDGE:
            continue
        if why := flaw(value):
            raise _refused(f"field {name}: {why}")


def check_names(names: Iterable[str]) -> None:
    """Refused unless all are simple words: lower case, digits, underscore."""
    if _KNOWN.issuperset(names):
        return
    for name in names:
        if not isinstance(name, str) or not _WORD.fullmatch(name):
            raise _refused(f"{name!r} is no field name: only a-z, 0-9 and _ are")
    if len(_KNOWN) < _KNOWN_MOST:
        _KNOWN.update(names)


def check_single(indexed: Collection[str], fields: Mapping[str, Any]) -> None:
    """Refused if a field with an index would hold a list or an object: no two stores agree."""
    for name in indexed:
        if isinstance(fields.get(name), _COMPOSED):
            raise _refused(f"field {name} has an index: it holds single values")


def check_where(where: Where) -> None:
    """Refused unless every condition compares a field with what it may be compared with."""
    check_names(where)
    for name, value in where.items():
        if why := _cond_flaw(value) if type(value) is Cond else _scalar_flaw(value):
            raise _refused(f"condition on {name}: {why}")


def seed(where: Where) -> Doc:
    """The document that an upsert starts from; Refused unless `where` says exactly which."""
    doc = dict(where)
    check_doc(doc)  # a Cond is no value
    return doc


def check_order(order: Sequence[str], after: Sequence[Scalar] | None) -> None:
    """Refused unless `order` names fields, and `after` can be found again in it."""
    check_names([name.removeprefix("-") for name in order])
    if after is None:
        return
    ways = {name.startswith("-") for name in order}
    if len(after) != len(order) or len(ways) != 1 or order[-1].removeprefix("-") != "id":
        raise _refused(f"`after` needs an order that goes one way and ends with id, not {order}")
    for name, value in zip(order, after, strict=True):
        if why := _scalar_flaw(value):
            raise _refused(f"`after` at {name}: {why}")


def flaw(value: Any) -> str:
    """Why `value` could not be kept as it is; "" if it can."""
    kind = type(value)
    if kind is str:
        return _text_flaw(value)
    if kind is int:
        return "" if -_EDGE <= value < _EDGE else "the integer does not fit 64 bits"
    if kind is float:
        return "" if value - value == 0 else f"{value} is not a number that JSON knows"
    if kind is list or kind is tuple:
        return next((why for item in value if (why := flaw(item))), "")
    if kind is dict:
        return _dict_flaw(value)
    return "" if value is None or kind is bool else _odd_flaw(value)


def _text_flaw(value: str) -> str:
    if "\0" in value:
        return "the text contains U+0000"
    if value.isascii():
        return ""
    try:
        value.encode()
    except UnicodeEncodeError:
        return "the text contains lone surrogates"
    return ""


def _dict_flaw(value: dict[Any, Any]) -> str:
    for key, item in value.items():
        if not isinstance(key, str):
            return f"the key {key!r} is no text"
        if why := _text_flaw(key) or flaw(item):
            return why
    return ""


def _odd_flaw(value: Any) -> str:
    """Subclasses of the plain kinds (an enum's text), and what cannot be stored."""
    if isinstance(value, str):
        return _text_flaw(value)
    if isinstance(value, dict):
        return _dict_flaw(value)
    if isinstance(value, int):
        return flaw(int(value))
    if isinstance(value, float):
        return flaw(float(value))
    return f"{type(value).__name__} cannot be stored"


def _scalar_flaw(value: Any) -> str:
    if isinstance(value, _COMPOSED):
        return f"it compares single values, not {type(value).__name__}"
    return flaw(value)


def _cond_flaw(cond: Cond) -> str:
    value = cond.value
    if cond.op == "in":
        if not isinstance(value, list) or len(value) > MOST_AMONG:
            return f"`among` takes at most {MOST_AMONG} values"
        return next((why for item in value if (why := _scalar_flaw(item))), "")
    if cond.op in _ORDERED:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return f"{cond.op} compares numbers or texts, not {value!r}"
        return flaw(value)
    return _scalar_flaw(value) if cond.op == "!=" else f"there is no operator {cond.op!r}"


def _refused(message: str) -> Refused:
    return Refused(message, hint=_HINT)
