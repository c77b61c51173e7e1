"""The store of one machine: a SQLite file, one table per collection, documents as JSON.

Every change is one statement, so that it is atomic among all threads and processes that have the
file open. What was acknowledged survives the death of any process; a power cut may take back the
last changes unless the store is `durable` (batches of `insert_many` always are). Refuses `:memory:`
and a disk on which SQLite cannot keep its log, as over most network file systems.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from common.errors import Conflict, Denied, Permanent, Refused, Transient
from common.store.base import Doc, Scalar, Shape, Where
from common.store.links import Link, Links
from common.store.patch import Patch, decode, encode
from common.store.schema import SHAPES
from common.store.search import Search, among_rows
from common.store.sql import Clause, Layout, scalar
from common.store.values import check_doc, check_names, check_order, check_single, check_where, seed

FORMAT = 1  # of the file; a store of another format is refused, never guessed at
CHUNK = 1_000  # documents changed or removed in one transaction, so that others get in between
OLDEST = (3, 38)  # JSON built in


class SqliteStore:
    """All collections in the file `path`, which is made (0600, its directory 0700) if missing."""

    def __init__(
        self, path: str, *, durable: bool = False, shapes: Mapping[str, Shape] = SHAPES
    ) -> None:
        if sqlite3.sqlite_version_info < OLDEST:
            raise Permanent(
                f"SQLite {sqlite3.sqlite_version} is too old",
                hint=f"use a Python with SQLite {'.'.join(map(str, OLDEST))} or newer",
            )
        path = _private(path)
        self._links = Links(path, durable=durable)
        self._layouts = {name: Layout(name, shape) for name, shape in shapes.items()}
        with self._links.link("opening") as link:
            _prepare(link, path, list(self._layouts.values()))

    def collection(self, name: str) -> Table:
        """The collection `name`; Refused if it was not declared."""
        if name not in self._layouts:
            raise Refused(f"no collection {name!r}", hint="declare it in common/store/schema.py")
        return Table(self._links, self._layouts[name])

    def close(self) -> None:
        """Let go of the file. Using the store again is an error."""
        self._links.close()


class Table:
    """One collection (see `Documents` for what each method promises)."""

    def __init__(self, links: Links, layout: Layout) -> None:
        self._links = links
        self._layout = layout
        self._table = layout.table
        self._insertion = layout.insertion()

    def insert(self, doc: Doc) -> bool:
        self._check(doc)
        with self._links.link(f"insert into {self._table}") as link:
            return link.run(self._insertion, self._layout.row(doc)) == 1

    def insert_many(self, docs: Sequence[Doc]) -> int:
        for doc in docs:
            self._check(doc)
        rows = list(map(self._layout.row, docs))
        with self._links.link(f"insert into {self._table}") as link:
            durable = link.durable
            link.sync(True)
            with link.transaction():
                added = link.run_many(self._insertion, rows)
            link.sync(durable)
        return added

    def _check(self, doc: Doc) -> None:
        check_doc(doc)
        check_single(self._layout.columns, doc)

    def get(self, id: str) -> Doc | None:
        with self._links.link(f"get from {self._table}") as link:
            rows = link.rows(f"SELECT body FROM {self._table} WHERE id = ?", (id,))
        return decode(rows[0][0]) if rows else None

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
        return Search(self._links, self._layout, where, order, fields).run(limit, after)

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
        patch = Patch(set, inc, push, keep).normal()
        patch.check_single(self._layout.columns)
        clause = self._layout.where(where)
        if not isinstance(where.get("id"), str):  # else there is at most one anyway
            one = f"seq = (SELECT seq FROM {self._table} WHERE {clause.text} LIMIT 1)"
            clause = Clause(one, clause.values)
        update = self._layout.update(self._table, patch, clause)
        with self._links.link(f"change in {self._table}") as link:
            if upsert:
                return self._upsert(link, update, where, patch)
            return link.patch(update.text, update.values, patch)[1]

    def _upsert(self, link: Link, update: Clause, where: Where, patch: Patch) -> Doc | None:
        new = patch.apply(seed(where))
        with link.transaction():
            doc = link.patch(update.text, update.values, patch)[1]
            if doc is None and self._insert_new(link, new):
                doc = decode(encode(new))
        return doc

    def _insert_new(self, link: Link, doc: Doc) -> bool:
        """False if the id is taken, by a document that does not match; Conflict on other keys."""
        if link.rows(f"SELECT 1 FROM {self._table} WHERE id = ?", (doc["id"],)):
            return False
        if link.run(self._insertion, self._layout.row(doc)) == 0:
            raise Conflict(f"{self._table}: a unique key of {doc['id']} is taken")
        return True

    def change_many(
        self,
        where: Where,
        *,
        set: Mapping[str, Any] | None = None,
        inc: Mapping[str, int | float] | None = None,
    ) -> int:
        check_where(where)
        patch = Patch(set, inc).normal()
        patch.check_single(self._layout.columns)
        clause = self._layout.where(where)
        found = array("q")
        with self._links.link(f"find in {self._table}") as link:
            text = f"SELECT seq FROM {self._table} WHERE {clause.text}"
            found.extend(seq for (seq,) in link.connection.execute(text, clause.values))
        return sum(
            self._change_these(found[first : first + CHUNK], clause, patch)
            for first in range(0, len(found), CHUNK)
        )

    def _change_these(self, seqs: Sequence[int], clause: Clause, patch: Patch) -> int:
        again = among_rows(seqs) & clause  # each may have changed since it was found
        update = self._layout.update(self._layout.by_row, patch, again)
        with self._links.link(f"change in {self._table}") as link:
            return link.patch(update.text, update.values, patch)[0]

    def remove(self, where: Where) -> int:
        check_where(where)
        clause = self._layout.where(where)
        some = f"SELECT seq FROM {self._table} WHERE {clause.text} LIMIT {CHUNK}"
        removed, last = 0, CHUNK
        while last == CHUNK:
            with self._links.link(f"remove from {self._table}") as link:
                last = link.run(f"DELETE FROM {self._table} WHERE seq IN ({some})", clause.values)
            removed += last
        return removed

    def count(self, where: Where) -> int:
        check_where(where)
        text, values = self._layout.where(where)
        with self._links.link(f"count in {self._table}") as link:
            rows = link.rows(f"SELECT count(*) FROM {self._table} WHERE {text}", values)
        return int(rows[0][0])

    def tally(
        self, where: Where, *, by: Sequence[str], sums: Sequence[str] = ()
    ) -> list[tuple[tuple[Scalar, ...], int, tuple[float, ...]]]:
        check_where(where)
        check_names([*by, *sums])
        keys = [self._layout.of(field) for field in by]
        added = [f"ifnull(sum(json_extract(body, '$.{field}')), 0)" for field in sums]
        text, values = self._layout.where(where)
        grouped = f" GROUP BY {', '.join(keys)}" if keys else ""
        columns = ", ".join([*keys, "count(*)", *added])
        text = f"SELECT {columns} FROM {self._table} WHERE {text}{grouped}"
        with self._links.link(f"tally of {self._table}") as link:
            rows = link.rows(text, values)
        n = len(by)
        return [(tuple(map(scalar, r[:n])), r[n], r[n + 1 :]) for r in rows if r[n]]


def _private(path: str) -> str:
    """The file, whole path, made with its directory for this user only unless it is there."""
    if not path or path.startswith(":"):
        raise Refused(f"{path!r} is no path of a store", hint="use a file on a local disk")
    path = os.path.abspath(path)  # whoever changes directory still means the same file
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        os.mknod(path, 0o600 | stat.S_IFREG)  # not opened: closing would drop SQLite's locks
    except FileExistsError:
        return path
    except PermissionError as exc:
        raise Denied(f"{path} was not made: {exc.strerror}") from exc
    except OSError as exc:
        raise Transient(f"{path} was not made: {exc.strerror}", hint="look at the disk") from exc
    return path


def _prepare(link: Link, path: str, layouts: Sequence[Layout]) -> None:
    """Make what is missing: the log, tables, columns and indexes. Nothing is ever dropped."""
    [(version,)] = link.rows("PRAGMA user_version")
    if version not in (0, FORMAT):
        raise Permanent(
            f"{path} has format {version}, this program knows {FORMAT}",
            hint="use the version of convoy that wrote it",
        )
    asking = ("PRAGMA journal_mode", "PRAGMA journal_mode = WAL")
    if not any(link.rows(text) == [("wal",)] for text in asking):
        raise Permanent(f"{path}: SQLite cannot keep its log there", hint="use a local disk")
    if version == FORMAT and not list(_missing(link, layouts)):
        return
    with link.transaction():
        for statement in _missing(link, layouts):
            link.run(statement)
        link.run(f"PRAGMA user_version = {FORMAT}")


def _missing(link: Link, layouts: Sequence[Layout]) -> Iterator[str]:
    there = {name for (name,) in link.rows("SELECT name FROM sqlite_master")}
    for layout in layouts:
        if layout.name not in there:
            yield layout.creation()
        else:
            columns = {row[1] for row in link.rows(f"PRAGMA table_xinfo({layout.table})")}
            for field, column in layout.columns.items():
                if column.strip('"') not in columns:
                    yield f"ALTER TABLE {layout.table} ADD COLUMN {column}"
                    yield f"UPDATE {layout.table} SET {column} = held(body, '{field}')"
        yield from (text for name, text in layout.parts().items() if name not in there)
