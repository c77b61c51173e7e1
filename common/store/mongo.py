"""The store of a fleet: MongoDB through pymongo, majority writes, reads from the primary.

One document is the whole of what is atomic here, as the port says: `change` is one
find_one_and_update. A `Transient` from a write leaves open whether it happened; whoever gets one
reads before it goes on. Refuses what no MongoDB keeps unchanged, before it is sent.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.cursor import Cursor
from pymongo.errors import BulkWriteError, DuplicateKeyError
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from common.errors import Conflict, Refused
from common.store import mql
from common.store.base import Doc, Scalar, Shape, Where
from common.store.clients import Server
from common.store.mql import Bson
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

PAGE = 500  # documents the server sends at once
WAIT = 20_000  # milliseconds for the majority; then it is Transient
DUPLICATE = 11000  # error code of the server
ACKNOWLEDGED = WriteConcern(w="majority", wtimeout=WAIT)
JOURNALED = WriteConcern(w="majority", wtimeout=WAIT, j=True)  # on a single server too


class MongoStore:
    """All collections in one database: the one that `url` names, or else `database`."""

    def __init__(
        self, url: str, *, database: str = "convoy", shapes: Mapping[str, Shape] = SHAPES
    ) -> None:
        self._server = Server(url, database)
        self._shapes = shapes

    def collection(self, name: str) -> Documents:
        """The collection `name`; Refused if it was not declared."""
        if name not in self._shapes:
            raise Refused(f"no collection {name!r}", hint="declare it in common/store/schema.py")
        return Documents(self._server, name, self._shapes[name])

    def close(self) -> None:
        """Let go of the server. Using the store again is an error."""
        self._server.close()


class Documents:
    """One collection (see `common.store.base.Documents` for what each method promises)."""

    def __init__(self, server: Server, name: str, shape: Shape) -> None:
        self._server = server
        self._name = name
        self._shape = shape
        self._indexed = {f for key in (*shape.unique, *shape.indexes) for f in key} - {"id"}
        self._ready = 0  # the process that saw to the indexes

    def insert(self, doc: Doc) -> bool:
        self._check(doc)
        with self._server.talk(f"insert into {self._name}"):
            try:
                self._collection().insert_one(mql.document(doc))
            except DuplicateKeyError:
                return False
        return True

    def insert_many(self, docs: Sequence[Doc]) -> int:
        for doc in docs:
            self._check(doc)
        if not docs:
            return 0
        with self._server.talk(f"insert into {self._name}"):
            collection = self._collection().with_options(write_concern=JOURNALED)
            try:
                collection.insert_many(list(map(mql.document, docs)), ordered=False)
            except BulkWriteError as exc:
                return _inserted(exc)
        return len(docs)

    def get(self, id: str) -> Doc | None:
        with self._server.talk(f"get from {self._name}"):
            doc = self._collection().find_one({"_id": id})
        return mql.plain(doc) if doc else None

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
        wanted: Bson = mql.where(where)
        if after is not None:
            wanted = {"$and": [wanted, mql.behind(order, after)]}
        with self._server.talk(f"find in {self._name}"):
            cursor = self._collection().find(
                wanted,
                {mql.name(field): 1 for field in ("id", *fields)} if fields else None,
                sort=mql.sort(order) or None,
                limit=limit,
                batch_size=PAGE,
            )
        return self._stream(cursor, fields)

    def _stream(self, cursor: Cursor[Bson], fields: Sequence[str]) -> Iterator[Doc]:
        with cursor:
            while True:
                with self._server.talk(f"find in {self._name}"):
                    doc = next(cursor, None)
                if doc is None:
                    return
                yield {**dict.fromkeys(fields), **mql.plain(doc)}

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
        update = self._update(Patch(set, inc, push, keep))
        if upsert:
            self._check(seed(where))
        with self._server.talk(f"change in {self._name}"):
            try:
                doc = self._change_one(where, update, upsert)
            except DuplicateKeyError:
                if not upsert:
                    raise
                doc = self._change_after_all(where, update)
        return mql.plain(doc) if doc else None

    def _change_one(self, where: Where, update: Bson, upsert: bool = False) -> Bson | None:
        doc: Bson | None = self._collection().find_one_and_update(
            mql.where(where), update, upsert=upsert, return_document=ReturnDocument.AFTER
        )
        return doc

    def _change_after_all(self, where: Where, update: Bson) -> Bson | None:
        """An upsert found the id taken: by a matching document, made meanwhile, or another."""
        doc = self._change_one(where, update)
        if doc is None and self._collection().find_one({"_id": where["id"]}) is None:
            raise Conflict(f"{self._name}: a unique key of {where['id']} is taken")
        return doc

    def change_many(
        self,
        where: Where,
        *,
        set: Mapping[str, Any] | None = None,
        inc: Mapping[str, int | float] | None = None,
    ) -> int:
        check_where(where)
        update = self._update(Patch(set, inc))
        with self._server.talk(f"change in {self._name}"):
            return self._collection().update_many(mql.where(where), update).matched_count

    def remove(self, where: Where) -> int:
        check_where(where)
        with self._server.talk(f"remove from {self._name}"):
            return self._collection().delete_many(mql.where(where)).deleted_count

    def count(self, where: Where) -> int:
        check_where(where)
        with self._server.talk(f"count in {self._name}"):
            return self._collection().count_documents(mql.where(where))

    def tally(
        self, where: Where, *, by: Sequence[str], sums: Sequence[str] = ()
    ) -> list[tuple[tuple[Scalar, ...], int, tuple[float, ...]]]:
        check_where(where)
        check_names([*by, *sums])
        with self._server.talk(f"tally of {self._name}"):
            groups = list(self._collection().aggregate(mql.pipeline(where, by, sums)))
        if mql.ungrouped(groups, by):
            return list(self._one_by_one(where, by, sums))
        return mql.tallied(groups, by, sums)

    def _one_by_one(
        self, where: Where, by: Sequence[str], sums: Sequence[str]
    ) -> Iterator[tuple[tuple[Scalar, ...], int, tuple[float, ...]]]:
        """The tally of a server that groups by one field only: exact while nothing changes."""
        first, *rest = by
        for value, _, _ in self.tally(where, by=[first]):
            for key, many, added in self.tally({**where, first: value[0]}, by=rest, sums=sums):
                yield (*value, *key), many, added

    def _check(self, doc: Doc) -> None:
        check_doc(doc)
        check_single(self._indexed, doc)

    def _update(self, patch: Patch) -> Bson:
        patch.check_single(self._indexed)
        return mql.update(patch)

    def _collection(self) -> Collection[Bson]:
        collection = self._server.database().get_collection(
            self._name, read_preference=ReadPreference.PRIMARY, write_concern=ACKNOWLEDGED
        )
        if self._ready != os.getpid():
            for key in self._shape.indexes:
                collection.create_index(mql.sort(key))
            for key in self._shape.unique:
                collection.create_index(mql.sort(key), unique=True)
            self._ready = os.getpid()
        return collection


def _inserted(exc: BulkWriteError) -> int:
    """How many arrived, if all that went wrong is that others were there already."""
    details = exc.details
    others = [error for error in details["writeErrors"] if error["code"] != DUPLICATE]
    if others or details["writeConcernErrors"]:
        raise exc
    return int(details["nInserted"])
