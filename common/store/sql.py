"""The SQL of the SQLite driver as text and parameters; no connection is opened here.

The values of fields with an index stand in columns `f_<field>` beside the JSON body, written by the
same statement; those of other fields are taken out of the body. (Generated columns would not let
them differ, but make every change rewrite every index: twice the time of a beat.) Either way a
value keeps its type: booleans are one-byte blobs, so that True is not 1, and numbers, texts and
booleans sort in this order behind NULL, which stands for None and for "missing".
Only checked words (names of collections and fields) enter the text; every value is a parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from common.store.base import Cond, Doc, Scalar, Shape, Where
from common.store.patch import Patch, encode

_BOOL = {True: b"\x01", False: b"\x00"}
Value = str | int | float | bytes | None
Row = tuple[Any, ...]


class Clause(NamedTuple):
    """A piece of SQL and what its question marks stand for."""

    text: str
    values: tuple[Value, ...] = ()

    def __and__(self, other: Clause) -> Clause:
        return Clause(f"({self.text}) AND ({other.text})", self.values + other.values)


class Key(NamedTuple):
    """One term of an order."""

    text: str
    down: bool

    def __str__(self) -> str:
        return f"{self.text} DESC" if self.down else self.text


def stored(value: Scalar) -> Value:
    """A value of ours as it stands in a column."""
    return _BOOL[value] if isinstance(value, bool) else value


def scalar(value: Value) -> Scalar:
    """The way back."""
    return value == _BOOL[True] if isinstance(value, bytes) else value


class Layout:
    """How one collection lies in its table."""

    def __init__(self, name: str, shape: Shape) -> None:
        self.name = name
        self.table = f'"{name}"'
        # for rows whose numbers are known: else SQLite may prefer an index that finds half of all
        self.by_row = f"{self.table} NOT INDEXED"
        self.shape = shape
        fields = {field for key in (*shape.unique, *shape.indexes) for field in key}
        self.columns = {field: f'"f_{field}"' for field in sorted(fields - {"id"})}
        self._terms = {"id": "id", **self.columns}

    def of(self, field: str) -> str:
        """The expression for a field's value."""
        return self._terms.get(field) or _extracted(field)

    def literal(self, field: str, value: Scalar) -> Clause:
        """A value to compare the field with.

        A float for a field in the body goes through SQLite's own reading of decimal text, as the
        body does: so that what was read from a document finds it again, whatever the last bit.
        """
        if isinstance(value, float) and field not in self._terms:
            return Clause("CAST(? AS REAL)", (float.__repr__(value),))
        return Clause("?", (stored(value),))

    def parts(self) -> dict[str, str]:
        """Everything that must exist beside the table, by name, and what makes it."""
        parts = {}
        for key in self.shape.indexes:
            name = f"{self.name}:{','.join(key)}"
            terms = ", ".join(self.of(field) for field in key)
            parts[name] = f'CREATE INDEX "{name}" ON {self.table} ({terms})'
        for key in self.shape.unique:  # None is a value here, as in MongoDB: there may be one
            name = f"{self.name}!{','.join(key)}"
            terms = ", ".join(f"ifnull({self.of(field)}, x'')" for field in key)
            parts[name] = f'CREATE UNIQUE INDEX "{name}" ON {self.table} ({terms})'
        return parts

    def creation(self) -> str:
        """The table. Columns have no type, so that the text "5" is not the number 5."""
        columns = ["seq INTEGER PRIMARY KEY", "id NOT NULL UNIQUE", "body TEXT NOT NULL"]
        return f"CREATE TABLE {self.table} ({', '.join([*columns, *self.columns.values()])})"

    def insertion(self) -> str:
        names = ", ".join(["id", "body", *self.columns.values()])
        marks = ", ".join("?" * (2 + len(self.columns)))
        return f"INSERT OR IGNORE INTO {self.table} ({names}) VALUES ({marks})"

    def row(self, doc: Doc) -> Row:
        """What `insertion` takes."""
        values = map(doc.get, self.columns)  # and `stored`, written out: bulk inserts live on it
        plain = [_BOOL[v] if v is True or v is False else v for v in values]
        return (doc["id"], encode(doc), *plain)

    def update(self, table: str, patch: Patch, where: Clause) -> Clause:
        """Apply the patch that `patched` knows, to the body and to the columns."""
        texts, values = ["body = patched(body)"], []
        for field, column in self.columns.items():
            if field in patch.set:
                texts.append(f"{column} = ?")
                values.append(stored(patch.set[field]))
            elif field in patch.inc:
                texts.append(f"{column} = ifnull({column}, 0) + ?")
                values.append(patch.inc[field])
        text = f"UPDATE {table} SET {', '.join(texts)} WHERE {where.text}"
        return Clause(text, (*values, *where.values))

    def where(self, where: Where) -> Clause:
        """All conditions together."""
        texts: list[str] = []
        values: list[Value] = []
        for field, value in where.items():
            if isinstance(value, Cond):
                text, more = self._condition(field, value)
                texts.append(text)
                values += more
            elif value is None:
                texts.append(f"{self.of(field)} IS NULL")
            else:
                text, more = self.literal(field, value)
                texts.append(f"{self.of(field)} = {text}")
                values += more
        return Clause(" AND ".join(texts) or "1", tuple(values))

    def _condition(self, field: str, cond: Cond) -> Clause:
        term = self.of(field)
        if cond.op == "in":
            return self._among(field, cond.value)
        text, values = self.literal(field, cond.value)
        if cond.op == "!=":
            return Clause(f"{term} IS NOT {text}", values)
        return Clause(f"{term} {cond.op} {text}{_bracket(term, cond)}", values)

    def _among(self, field: str, wanted: Sequence[Scalar]) -> Clause:
        literals = [self.literal(field, value) for value in wanted if value is not None]
        term = self.of(field)
        text = f"{term} IN ({', '.join(one.text for one in literals)})"
        values = tuple(v for one in literals for v in one.values)
        return Clause(f"({text} OR {term} IS NULL)" if None in wanted else text, values)

    def keys(self, order: Sequence[str]) -> list[Key]:
        """The terms of an order, made total: what is equal stays in the order of insertion."""
        keys = [Key(self.of(name.removeprefix("-")), name.startswith("-")) for name in order]
        if order and order[-1].removeprefix("-") == "id":
            return keys
        return [*keys, Key("seq", bool(keys) and keys[-1].down)]


@lru_cache(maxsize=1024)
def _extracted(field: str) -> str:
    path = f"'$.{field}'"
    return (
        f"CASE json_type(body, {path}) WHEN 'true' THEN x'01' WHEN 'false' THEN x'00'"
        f" ELSE json_extract(body, {path}) END"
    )


def _bracket(field: str, cond: Cond) -> str:
    """Numbers are compared with numbers and texts with texts only."""
    if isinstance(cond.value, str):
        return f" AND {field} >= ''" if cond.op.startswith("<") else f" AND {field} < x''"
    return "" if cond.op.startswith("<") else f" AND {field} < ''"


def behind(keys: Sequence[Key], values: Sequence[Clause]) -> Clause:
    """What comes after the document with `values`, where NULL comes before everything."""
    ways: list[Clause] = []
    equal: list[Clause] = []
    for key, value in zip(keys, values, strict=True):
        if beyond := _beyond(key, value):
            ways.append(_all([*equal, beyond]))
        equal.append(Clause(f"{key.text} IS {value.text}", value.values))
    either = Clause(
        " OR ".join(f"({way.text})" for way in ways) or "0",
        tuple(v for way in ways for v in way.values),
    )
    first, value = keys[0], values[0]
    if first.down or value.values == (None,):
        return either
    # implied by the rest, but this is the part from which SQLite finds its place in an index
    return Clause(f"{first.text} >= {value.text}", value.values) & either


def _beyond(key: Key, value: Clause) -> Clause | None:
    nothing = value.values == (None,)
    if key.down:
        text = f"({key.text} < {value.text} OR {key.text} IS NULL)"
        return None if nothing else Clause(text, value.values)
    text = f"{key.text} IS NOT NULL" if nothing else f"{key.text} > {value.text}"
    return Clause(text, () if nothing else value.values)


def _all(clauses: Sequence[Clause]) -> Clause:
    return Clause(
        " AND ".join(clause.text for clause in clauses),
        tuple(v for clause in clauses for v in clause.values),
    )
