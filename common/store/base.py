"""The document port: the little that every store can promise.

Atomic on one document, nothing more. `change` is the compare-and-set: it finds at most one
document that matches `where` and changes it in the same act. Every switch in this project is one
such call; what must follow it is idempotent redo.

Documents are flat JSON objects (values: str, int, float, bool, None, lists and dicts of them);
field names are simple words, `id` is the key, a string we choose. Text must be encodable as
UTF-8 (no lone surrogates); times are numbers. Two drivers (`sqlite`, `mongo`) pass one suite,
`tests/conformance/test_store_contract.py`.
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
    """What a collection promises: its unique keys and its indexes, each a tuple of fields."""

    unique: tuple[tuple[str, ...], ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()


class Documents(Protocol):
    """One collection."""

    def insert(self, doc: Doc) -> bool:
        """Add `doc`; False (and nothing changed) if its id or a unique key is taken."""

    def insert_many(self, docs: Sequence[Doc]) -> int:
        """Add those that are not there yet, durably, as one batch; how many were added."""

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
        """Matching documents, streamed in pages; `-field` orders downwards.

        `after` gives the values of the `order` fields of the last document seen: the page begins
        behind it (the order must then end with `id` and go one way). `fields` limits what is
        read (`id` is always there). 0 is no limit.
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

        `push` appends one value to each named list and keeps the last `keep`. With `upsert`,
        `where` must be equality only and name the id; a missing document is made from it.
        """

    def change_many(
        self,
        where: Where,
        *,
        set: Mapping[str, Any] | None = None,
        inc: Mapping[str, int | float] | None = None,
    ) -> int:
        """Change every matching document, each atomically; how many."""

    def remove(self, where: Where) -> int:
        """Delete every matching document; how many."""

    def count(self, where: Where) -> int:
        """How many match."""

    def tally(
        self, where: Where, *, by: Sequence[str], sums: Sequence[str] = ()
    ) -> list[tuple[tuple[Scalar, ...], int, tuple[float, ...]]]:
        """Grouped by the fields `by`: (their values, how many, the sums of the fields `sums`)."""


class Store(Protocol):
    """All collections of one deployment. Safe to use from many threads; not across a fork."""

    def collection(self, name: str) -> Documents:
        """The collection `name`, which must be declared in `common.store.schema.SHAPES`."""

    def close(self) -> None: ...
