"""The records of one manifest, kept on disk and sorted by path: memory stays flat.

A path that is listed twice with different contents is refused, and so is a file that would have
to be a directory as well. The disk space is given back when it is closed or the process ends.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator

from common.endpoints.manifest.records import Record
from common.errors import Refused
from common.model import Failure

BATCH = 1000
CACHE = 32 * 1024  # KiB of memory
BAD = 10_000  # entries that are refused one by one; a list with more is no manifest
_ADVICE = "correct it in the manifest"
_TABLE = """
create table records (path blob primary key, url text, size integer, md5 text, mtime integer,
                      mode integer, refused text) without rowid
"""
_ADD = """
insert into records values (?, ?, ?, ?, ?, ?, '') on conflict (path) do update
set refused = 'it is listed twice, differently'
where (url, size, md5) is not (excluded.url, excluded.size, excluded.md5)
"""
_FIELDS = "select path, url, size, md5, mtime, mode, refused from records"


class Catalogue:
    """Safe from many threads."""

    def __init__(self, found: Iterable[Record | Failure]) -> None:
        self._lock = threading.Lock()
        self._failures: list[Failure] = []
        self._db = sqlite3.connect("", check_same_thread=False)  # "": a file that has no name
        try:
            self._db.execute(f"pragma cache_size = -{CACHE}")
            self._db.execute("pragma journal_mode = off")
            self._db.execute(_TABLE)
            self._db.executemany(_ADD, self._rows(found))
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._db.close()

    def all(self) -> Iterator[Record | Failure]:
        """Sorted by the bytes of their paths; what was refused comes first or in its place."""
        yield from self._failures
        last = b""
        while rows := self._select(f"{_FIELDS} where path > ? order by path limit {BATCH}", last):
            yield from map(_shown, rows)
            last = rows[-1][0]

    def find(self, path: str) -> Record | None:
        """The file at a path."""
        found = [_shown(row) for row in self._select(f"{_FIELDS} where path = ?", _blob(path))]
        return found[0] if found and isinstance(found[0], Record) else None

    def below(self, path: str) -> bool:
        """Is there anything in this directory?"""
        start, end = _blob(f"{path}/"), _blob(f"{path}0")  # "0" follows "/"
        query = "select 1 from records where path > ? and path < ? limit 1"
        return bool(self._select(query, start, end))

    def _select(
        self, query: str, *values: bytes
    ) -> list[tuple[bytes, str, int, str, int, int, str]]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def _rows(
        self, found: Iterable[Record | Failure]
    ) -> Iterator[tuple[bytes, str, int, str, int, int]]:
        for record in found:
            if isinstance(record, Failure):
                self._failures.append(record)
                if len(self._failures) > BAD:
                    raise Refused(
                        f"no manifest: more than {BAD} of its entries are none",
                        hint=f"the first: {record.reason}",
                    )
            else:
                yield (_blob(record.path), *record[1:])


def _shown(row: tuple[bytes, str, int, str, int, int, str]) -> Record | Failure:
    path = row[0].decode("utf-8", "surrogateescape")
    return Failure(path, row[6], _ADVICE) if row[6] else Record(path, *row[1:6])


def _blob(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")
