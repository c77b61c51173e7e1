"""The document port: the little that every store can promise.

Atomic on one document, nothing more. `change` is the compare-and-set: it finds at most one
document that matches `where` and changes it in the same act. Every switch in this project is one
such call; what must follow it is idempotent redo.

Documents are flat JSON objects (values: str, int, float, bool, None, lists and dicts of them);
field names are simple words (a-z, 0-9, _), `id` is the key, a text we choose. Text must be
encodable as UTF-8 (no lone surrogates) and hold no U+0000; integers fit 64 bits, floats are finite,
times are numbers. Keys inside nested dicts may be any such text. A field with an index holds
single values. Anything else is Refused before it is sent (`common/store/values.py`), and what is
accepted comes back as it was: 1, 1.0 and True stay three.

Conditions and orders mean the same everywhere. A missing field counts as None. 1 equals 1.0; True
is not 1, and "5" is not 5. `<` and the like compare numbers with numbers and texts with texts (by
code point), never None or booleans. In an order None comes first, then numbers, texts, booleans.
Which lists and dicts match a condition is not promised, nor the order of those with equal keys:
end the order with `id` where it matters, and let a field that is ordered by hold one kind.

A Transient from a write leaves open whether it happened: read before going on. Drivers are `sqlite`
and `mongo`; they and the model of the tests pass one suite, `tests/conformance/test_store_*.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Doc = dict[str, Any]
Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Cond:
    """A condition other than equality. A missing field counts as None; None is never ordered."""

    op: Literal["<", "<=", ">", ">=", "!=", "in"]
    value: Any


def below(value: float | str) -> Cond:
    return Cond("<", value)


def at_most(value: float | str) -> Cond:
    return Cond("<=", value)


def above(value: float | str) -> Cond:
    return Cond(">", value)


def at_least(value: float | str) -> Cond:
    return Cond(">=", value)


def differs(value: Scalar) -> Cond:
    return Cond("!=", value)


def among(values: Iterable[Scalar]) -> Cond:
    return Cond("in", list(values))


Where = Mapping[str, Scalar | Cond]
Filter = dict[str, Scalar | Cond]  # a Where while it is being put together


@dataclass(frozen=True, slots=True)
class Shape:
    """What a collection promises: its unique keys and its indexes, each a tuple of fields.

    None (and "missing") is a value of a unique key like any other: only one document may have it.
    """

    unique: tuple[tuple[str, ...], ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()


class Documents(Protocol):
    """One collection."""

    def insert(self, doc: Doc) -> bool:
        """Add `doc`; False (and nothing changed) if its id or a unique key is taken."""

    def insert_many(self, docs: Sequence[Doc]) -> int:
        """Add those that are not there yet, durably, as one batch; how many were added.

        After an error some may be there (SQLite: none); the same batch again adds the rest.
        """

    def get(self, id: str) -> Doc | None:
        """The document, as of the latest acknowledged write."""

    def find(
        self,
        where: Where,
        *,
        order: Sequence[str] = (),
        limit: int = 0,
        after: Sequence[Scalar] | None = None,
        fields: Sequence[str] = (),
    ) -> Iterator[Doc]:
        """Matching documents, streamed in pages with flat memory; `-field` orders downwards.

        What is neither changed nor removed meanwhile is found exactly once, and nothing is locked
        between pages; a document whose order fields change meanwhile may be missed or met again.
        `after` gives the values of the `order` fields of the last document seen: the page begins
        behind it (the order must then end with `id` and go one way). `fields` limits what is
        read: exactly these and `id`, None for what is missing. 0 is no limit.
        """

    def change(
        self,
        where: Where,
        *,
        set: Mapping[str, Any] | None = None,
        inc: Mapping[str, int | float] | None = None,
        push: Mapping[str, Any] | None = None,
        keep: int = 200,
        upsert: bool = False,
    ) -> Doc | None:
        """Change at most one matching document; the new document, or None if none matched.

        `inc` adds to a number (a missing field starts from 0), `push` appends one value to each
        named list (or starts it) and keeps the last `keep`; Refused if the field holds something
        else, None included, or the sum leaves 64 bits. Conflict if a unique key is taken. With
        `upsert`, `where` must be equality only and name the id; a missing document is made from
        it, and None still means that there is one which does not match.
        """

    def change_many(
        self,
        where: Where,
        *,
        set: Mapping[str, Any] | None = None,
        inc: Mapping[str, int | float] | None = None,
    ) -> int:
        """Change every document that matches now, each atomically and once; how many.

        One that no longer matches when its turn comes is left alone.
        """

    def remove(self, where: Where) -> int:
        """Delete every matching document; how many."""

    def count(self, where: Where) -> int:
        """How many match."""

    def tally(
        self, where: Where, *, by: Sequence[str], sums: Sequence[str] = ()
    ) -> list[tuple[tuple[Scalar, ...], int, tuple[float, ...]]]:
        """Grouped by the fields `by`: (their values, how many, the sums of the fields `sums`).

        Fields that are summed hold numbers, None or nothing. No order; no group without documents.
        """


class Store(Protocol):
    """All collections of one deployment. Safe to use from many threads.

    After a fork each side goes on with connections of its own.
    """

    def collection(self, name: str) -> Documents:
        """The collection `name`; Refused unless declared in `common.store.schema.SHAPES`."""

    def close(self) -> None: ...
