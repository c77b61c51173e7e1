"""Long answers from SQLite in pages, with flat memory and without a transaction between pages.

A document that is neither changed nor removed meanwhile is found exactly once. One whose order
fields change meanwhile may be missed or, in an answer longer than a window, be found twice.
"""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Iterator, Sequence

from common.store.base import Doc, Scalar, Where
from common.store.links import Links
from common.store.patch import decode
from common.store.sql import Clause, Layout, Row, Value, behind

PAGE = 250  # documents read at once
WINDOW = 200_000  # row numbers noted at once for a long answer: 8 bytes each


class Search:
    """One `find`. Between two pages nothing is held open: others write, the log can be emptied."""

    def __init__(
        self,
        links: Links,
        layout: Layout,
        where: Where,
        order: Sequence[str],
        fields: Sequence[str],
    ) -> None:
        self._links = links
        self._layout = layout
        self._where = layout.where(where)
        self._order = order
        self._keys = layout.keys(order)
        self._fields = ("id", *(field for field in fields if field != "id")) if fields else ()
        paths = ", ".join(f"'$.{field}'" for field in (*self._fields, "id"))
        self._body = f"json_extract(body, {paths})" if fields else "body"

    def run(self, limit: int, after: Sequence[Scalar] | None) -> Iterator[Doc]:
        """The first page at once; if there is more, note which, and read that page by page."""
        start = self._where
        if after is not None:
            names = [name.removeprefix("-") for name in self._order]
            start = start & behind(self._keys, list(map(self._layout.literal, names, after)))
        first = min(limit or PAGE, PAGE)
        with self._links.link(f"find in {self._layout.table}") as link:
            rows = link.rows(*self._query(start, f", {self._body}", first))
        yield from map(self._doc, rows)
        if len(rows) == first and first != limit:
            yield from self._rest(rows[-1][1:-1], limit - first if limit else sys.maxsize)

    def _rest(self, last: Row, left: int) -> Iterator[Doc]:
        """Up to `left` documents behind the one with the keys `last`."""
        while True:
            noted, last = self._note(last, most=min(WINDOW, left))
            for at in range(0, len(noted), PAGE):
                for doc in self._page(noted[at : at + PAGE]):
                    left -= 1
                    yield doc
            if left <= 0 or len(noted) < WINDOW:
                return

    def _note(self, last: Row, most: int) -> tuple[array[int], Row]:
        """The numbers of the next rows behind `last`, and the keys of the last of them."""
        noted = array("q")
        start = self._where & behind(self._keys, [Clause("?", (value,)) for value in last])
        with self._links.link(f"find in {self._layout.table}") as link:
            for row in link.connection.execute(*self._query(start, "", most)):
                noted.append(row[0])
                last = row[1:]
        return noted, last

    def _query(self, clause: Clause, more: str, limit: int) -> tuple[str, tuple[Value, ...]]:
        keys = ", ".join(key.text for key in self._keys)
        order = ", ".join(map(str, self._keys))
        text = (
            f"SELECT seq, {keys}{more} FROM {self._layout.table}"
            f" WHERE {clause.text} ORDER BY {order} LIMIT ?"
        )
        return text, (*clause.values, limit)

    def _page(self, seqs: Sequence[int]) -> Iterator[Doc]:
        """The noted ones that still match, in the order in which they were noted."""
        text, values = among_rows(seqs) & self._where
        text = f"SELECT seq, {self._body} FROM {self._layout.by_row} WHERE {text}"
        with self._links.link(f"find in {self._layout.table}") as link:
            rows = {row[0]: row for row in link.rows(text, values)}
        return (self._doc(rows[seq]) for seq in seqs if seq in rows)

    def _doc(self, row: Row) -> Doc:
        found = decode(row[-1])
        return dict(zip(self._fields, found, strict=False)) if self._fields else found


def among_rows(seqs: Sequence[int]) -> Clause:
    """The condition that a row is one of these."""
    return Clause("seq IN (SELECT value FROM json_each(?))", (json.dumps(list(seqs)),))
