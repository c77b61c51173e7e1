"""A store in memory, small enough to be copied for every state that a search comes to.

It keeps the promises of the document port for one thread, and nothing beyond the test; the store
contract runs against it as against the real drivers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import ge, gt, le, lt
from typing import Any

from common.errors import Conflict, Refused
from common.store.base import Cond, Doc, Scalar, Shape, Where
from common.store.patch import Patch
from common.store.schema import SHAPES
from common.store.values import (
    check_doc,
    check_names,
    check_order,
    check_single,
    check_where,
    seed,
)

_COMPARE = {"<": lt, "<=": le, ">": gt, ">=": ge}


class Collection:
    """One collection: a dict of documents (`common.store.base.Documents`)."""

    def __init__(self, shape: Shape = Shape()) -> None:  # noqa: B008 (frozen)
        self.docs: dict[str, Doc] = {}
        self._unique = shape.unique
        self._indexed = {name for key in (*shape.unique, *shape.indexes) for name in key} - {"id"}

    def insert(self, doc: Doc) -> bool:
        check_doc(doc)
        check_single(self._indexed, doc)
        if doc["id"] in self.docs or self._taken(doc):
            return False
        self.docs[doc["id"]] = dict(doc)
        return True

    def insert_many(self, docs: Sequence[Doc]) -> int:
        for doc in docs:
            check_doc(doc)
        return sum(map(self.insert, docs))

    def get(self, id: str) -> Doc | None:
        doc = self.docs.get(id)
        return dict(doc) if doc else None

    def find(
        self,
        where: Where,
        *,
        order: Sequence[str] = (),
        limit: int = 0,
        after: Sequence[Scalar] | None = None,
        fields: Sequence[str] = (),
    ) -> Iterator[Doc]:
        check_where(where)
        check_order(order, after)
        check_names(fields)
        return iter(self._found(where, order, limit, after, fields))

    def _found(
        self,
        where: Where,
        order: Sequence[str],
        limit: int,
        after: Sequence[Scalar] | None,
        fields: Sequence[str],
    ) -> list[Doc]:
        found = self._matching(where)
        for name in reversed(order):
            plain = name.removeprefix("-")
            found.sort(key=lambda doc: _rank(doc.get(plain)), reverse=plain != name)
        if after is not None:
            found = [doc for doc in found if _behind(doc, order, after)]
        kept = {"id", *fields}
        return [
            {name: doc.get(name) for name in kept} if fields else dict(doc)
            for doc in found[: limit or None]
        ]

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
        check_where(where)
        patch = self._checked(Patch(set, inc, push, keep))
        new = patch.apply(seed(where)) if upsert else None
        for doc in self._matching(where):
            return dict(self._apply(patch, doc))
        if new is None or new["id"] in self.docs:
            return None
        if not self.insert(new):
            raise Conflict(f"a unique key of {new['id']} is taken")
        return dict(new)

    def change_many(
        self,
        where: Where,
        *,
        set: Mapping[str, Any] | None = None,
        inc: Mapping[str, int | float] | None = None,
    ) -> int:
        check_where(where)
        patch = self._checked(Patch(set, inc))
        return len([self._apply(patch, doc) for doc in self._matching(where)])

    def remove(self, where: Where) -> int:
        check_where(where)
        gone = [doc["id"] for doc in self._matching(where)]
        for id_ in gone:
            del self.docs[id_]
        return len(gone)

    def count(self, where: Where) -> int:
        check_where(where)
        return len(self._matching(where))

    def tally(
        self, where: Where, *, by: Sequence[str], sums: Sequence[str] = ()
    ) -> list[tuple[tuple[Scalar, ...], int, tuple[float, ...]]]:
        check_where(where)
        check_names([*by, *sums])
        groups: dict[tuple[Any, ...], list[Doc]] = {}
        for doc in self._matching(where):
            key = tuple(_rank(doc.get(name)) for name in by)  # its kind with it: True is not 1
            groups.setdefault(key, []).append(doc)
        return [
            (
                tuple(docs[0].get(name) for name in by),
                len(docs),
                tuple(sum(doc.get(name) or 0 for doc in docs) for name in sums),
            )
            for docs in groups.values()
        ]

    def _checked(self, patch: Patch) -> Patch:
        patch.check_single(self._indexed)
        return patch.normal()

    def _apply(self, patch: Patch, doc: Doc) -> Doc:
        new = patch.apply(dict(doc))
        if self._unique and self._taken(new):
            raise Conflict(f"a unique key of {doc['id']} is taken")
        doc.update(new)
        return doc

    def _matching(self, where: Where) -> list[Doc]:
        wanted = where.get("id")
        if isinstance(wanted, str):
            docs = [self.docs[wanted]] if wanted in self.docs else []
        else:
            docs = list(self.docs.values())
        return [doc for doc in docs if all(_meets(doc.get(k), v) for k, v in where.items())]

    def _taken(self, doc: Doc) -> bool:
        return any(
            all(_same(other.get(name), doc.get(name)) for name in key)
            for key in self._unique
            for other in self.docs.values()
            if other["id"] != doc["id"]
        )


class MemoryStore:
    """All collections (`common.store.base.Store`)."""

    def __init__(self, shapes: Mapping[str, Shape] = SHAPES) -> None:
        self._collections = {name: Collection(shape) for name, shape in shapes.items()}

    def collection(self, name: str) -> Collection:
        if name not in self._collections:
            raise Refused(f"no collection {name!r}")
        return self._collections[name]

    def replace(self, name: str, collection: Collection) -> None:
        """Let another kind of collection stand for `name`."""
        self._collections[name] = collection

    def close(self) -> None:
        """Nothing to let go of."""


def _meets(value: Any, wanted: Scalar | Cond) -> bool:
    if not isinstance(wanted, Cond):
        return _same(value, wanted)
    if wanted.op == "in":
        return any(_same(value, one) for one in wanted.value)
    if wanted.op == "!=":
        return not _same(value, wanted.value)
    comparable = isinstance(value, str) == isinstance(wanted.value, str)
    if value is None or isinstance(value, bool | list | dict) or not comparable:
        return False
    return bool(_COMPARE[wanted.op](value, wanted.value))


def _same(value: Any, wanted: Any) -> bool:
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


def _rank(value: Any) -> tuple[int, Any]:
    """None, then numbers, then texts, then booleans."""
    kinds = {type(None): 0, int: 1, float: 1, str: 2, bool: 3}
    return kinds.get(type(value), 4), 0 if value is None else value


def _behind(doc: Doc, order: Sequence[str], after: Sequence[Scalar]) -> bool:
    here = [_rank(doc.get(name.removeprefix("-"))) for name in order]
    there = [_rank(value) for value in after]
    return here < there if order[0].startswith("-") else here > there
