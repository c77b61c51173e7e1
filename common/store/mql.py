"""What the Mongo driver says to the server, as plain values; nothing is sent here.

`id` is `_id`. Keys of nested objects may be any text for us, but dots and dollars mean something
to servers: they are written as %2E and %24 (and "" as %), and come back as they were.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from common.store.base import Cond, Doc, Scalar, Where
from common.store.patch import Patch

Bson = dict[str, Any]
_OPERATORS = {"<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte", "!=": "$ne", "in": "$in"}
_ESCAPES = {"%": "%25", ".": "%2E", "$": "%24"}
_ORIGINALS = {escape: original for original, escape in _ESCAPES.items()}
_SPECIAL = re.compile(r"[%.]|^\$")
_ESCAPED = re.compile(r"%2[54E]")


def name(field: str) -> str:
    """Our name of a field as the server knows it."""
    return "_id" if field == "id" else field


def document(doc: Mapping[str, Any]) -> Bson:
    """A document or some of its fields, to be sent."""
    return {name(field): _sent(value) for field, value in doc.items()}


def plain(doc: Mapping[str, Any]) -> Doc:
    """A document as it was given to us."""
    found = {field: _read(value) for field, value in doc.items() if field != "_id"}
    return {"id": doc["_id"], **found}


def _sent(value: Any) -> Any:
    if isinstance(value, dict):
        return {_escaped(key): _sent(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_sent(item) for item in value]
    return str(value) if isinstance(value, str) else value  # an enum's text is a text


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        return {_unescaped(key): _read(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_read(item) for item in value]
    # 64-bit integers come as a class of their own
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _escaped(key: str) -> str:
    return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], key) if key else "%"


def _unescaped(key: str) -> str:
    return _ESCAPED.sub(lambda found: _ORIGINALS[found[0]], key) if key != "%" else ""


def where(conditions: Where) -> Bson:
    """All conditions together."""
    return {
        name(field): _condition(value) if isinstance(value, Cond) else value
        for field, value in conditions.items()
    }


def _condition(cond: Cond) -> Bson:
    if cond.op == "!=" and cond.value is None:
        return {"$nin": [None]}  # the same as $ne, and understood by more servers
    return {_OPERATORS[cond.op]: cond.value}


def sort(order: Sequence[str]) -> list[tuple[str, int]]:
    """The order; what is equal comes in no particular order."""
    return [(name(key.removeprefix("-")), -1 if key.startswith("-") else 1) for key in order]


def behind(order: Sequence[str], after: Sequence[Scalar]) -> Bson:
    """What comes after the document with these values, where None comes before everything."""
    ways: list[Bson] = []
    equal: list[Bson] = []
    for (field, way), value in zip(sort(order), after, strict=True):
        ways += [{"$and": [*equal, beyond]} for beyond in _beyond(field, way, value)]
        equal.append({field: value})
    return {"$or": ways}


def _beyond(field: str, way: int, value: Scalar) -> list[Bson]:
    if way < 0:
        return [] if value is None else [{field: {"$lt": value}}, {field: None}]
    return [{field: {"$nin": [None]} if value is None else {"$gt": value}}]


def update(patch: Patch) -> Bson:
    """The patch; parts that change nothing are left out, because servers refuse them."""
    pushed = {
        field: {"$each": [_sent(value)], "$slice": -patch.keep}
        for field, value in patch.push.items()
    }
    parts = {"$set": document(patch.set), "$inc": dict(patch.inc), "$push": pushed}
    return {operator: fields for operator, fields in parts.items() if fields}


def pipeline(conditions: Where, by: Sequence[str], sums: Sequence[str]) -> list[Bson]:
    """How many and how much, per group. One field goes as itself: every server can do that."""
    added = {f"s{n}": {"$sum": f"${field}"} for n, field in enumerate(sums)}
    return [
        {"$match": where(conditions)},
        {"$group": {"_id": _grouping(by), "many": {"$sum": 1}, **added}},
    ]


def _grouping(by: Sequence[str]) -> Any:
    if len(by) < 2:
        return f"${name(by[0])}" if by else None
    return {f"k{n}": f"${name(field)}" for n, field in enumerate(by)}


def ungrouped(groups: Sequence[Bson], by: Sequence[str]) -> bool:
    """Did the server take several fields for a text of ours, and call it one group?"""
    return len(by) > 1 and any(group["_id"] == _grouping(by) for group in groups)


def tallied(
    groups: Iterable[Bson], by: Sequence[str], sums: Sequence[str]
) -> list[tuple[tuple[Scalar, ...], int, tuple[float, ...]]]:
    """What `pipeline` answers; "missing" and None are one group, True and 1 are two."""
    found: dict[tuple[Any, ...], tuple[tuple[Scalar, ...], int, tuple[float, ...]]] = {}
    for group in groups:
        key = _key(group["_id"], len(by))
        kinds = tuple(isinstance(value, bool) for value in key)
        added = tuple(_read(group[f"s{n}"] or 0) for n in range(len(sums)))
        _, many, before = found.get((key, kinds), (key, 0, (0,) * len(sums)))
        total = tuple(map(sum, zip(before, added, strict=True)))
        found[key, kinds] = (key, many + group["many"], total)
    return list(found.values())


def _key(group: Any, fields: int) -> tuple[Scalar, ...]:
    if fields < 2:
        return (_read(group),) if fields else ()
    return tuple(_read(group.get(f"k{n}")) for n in range(fields))
