"""Connections to one SQLite file: opened when needed, used by one thread at a time, kept.

A connection must not cross a fork, not even to be closed on the other side. So idle ones are
closed before every fork, and one that slipped through is left alone, for good. Foreign errors
become ours here; text of documents never enters them.
"""

from __future__ import annotations

import os
import sqlite3
import urllib.parse
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from common.errors import Conflict, ConvoyError, Denied, Permanent, Refused, Transient
from common.store.base import Doc
from common.store.patch import Patch, decode, encode
from common.store.sql import Row, Value, stored

PATIENCE = 30.0  # seconds that a writer waits for other processes before it gives up
_SETTINGS = (
    "PRAGMA cache_size = -4000",  # KiB, per connection; more is no faster, the kernel caches too
    "PRAGMA wal_autocheckpoint = 4000",  # pages: bulk inserts rewrite the same index pages
    "PRAGMA journal_size_limit = 67108864",
)

_ALL: weakref.WeakSet[Links] = weakref.WeakSet()
_LEFT_BEHIND: list[Link] = []  # opened by our parent process


class Link:
    """One connection, with functions of ours for SQL: `patched(body)` and `held(body, field)`."""

    def __init__(self, path: str, *, durable: bool) -> None:
        self.pid = os.getpid()
        self.durable = durable
        self._patch: Patch | None = None
        self._made: Doc | None = None
        self._fault: BaseException | None = None
        self.connection = sqlite3.connect(
            f"file:{urllib.parse.quote(path)}?mode=rw",  # never makes the file: see sqlite.py
            uri=True,
            timeout=PATIENCE,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        self.connection.create_function("patched", 1, self._patched)
        self.connection.create_function("held", 2, _held, deterministic=True)
        for setting in _SETTINGS:
            self.connection.execute(setting)
        self.sync(durable)

    def sync(self, durable: bool) -> None:
        """Whether a commit waits for the disk. Without, only a power cut can take it back."""
        self.connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")

    def rows(self, text: str, values: Sequence[Value] = ()) -> list[Row]:
        """All rows of a query; nothing stays open behind it."""
        return self.connection.execute(text, values).fetchall()

    def run(self, text: str, values: Sequence[Value] = ()) -> int:
        """Run a statement; how many rows it changed."""
        return self.connection.execute(text, values).rowcount

    def run_many(self, text: str, rows: Iterable[Row]) -> int:
        """Run a statement once per row; how many rows were changed in all."""
        return self.connection.executemany(text, rows).rowcount

    def patch(self, text: str, values: Sequence[Value], patch: Patch) -> tuple[int, Doc | None]:
        """Run an UPDATE that sets body = patched(body); how many, and the last one changed."""
        self._patch, self._made, self._fault = patch, None, None
        try:
            return self.run(text, values), self._made
        except sqlite3.OperationalError:
            if self._fault is not None:
                raise self._fault from None
            raise

    def _patched(self, body: str) -> str:
        try:
            assert self._patch is not None
            self._made = self._patch.apply(decode(body))
            return encode(self._made)
        except BaseException as fault:
            self._fault = fault  # SQLite would only say that a function failed
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Take the write lock; all or nothing. A failed one ends with its connection."""
        self.run("BEGIN IMMEDIATE")
        yield
        self.run("COMMIT")


class Links:
    """The connections of one store in this process."""

    def __init__(self, path: str, *, durable: bool) -> None:
        self.path = path
        self._durable = durable
        self._idle: list[Link] = []
        self._closed = False
        _ALL.add(self)

    @contextmanager
    def link(self, what: str) -> Iterator[Link]:
        """A connection for one operation. After an error it is not used again."""
        link: Link | None = None
        try:
            link = self._take()
            yield link
        except sqlite3.Error as exc:
            _discard(link)
            raise translated(exc, f"{self.path}: {what}") from exc
        except BaseException:
            _discard(link)
            raise
        self._idle.append(link)
        if self._closed:  # meanwhile, by another thread
            self.let_go()

    def _take(self) -> Link:
        if self._closed:
            raise Permanent(f"{self.path} is closed", hint="a program error: open it again")
        return self._pop() or Link(self.path, durable=self._durable)

    def _pop(self) -> Link | None:
        """An idle connection that this process opened, if there is one."""
        while True:
            try:
                link = self._idle.pop()  # atomic: no two threads get the same
            except IndexError:
                return None
            if link.pid == os.getpid():
                return link
            _LEFT_BEHIND.append(link)

    def let_go(self) -> None:
        """Close what is idle."""
        while link := self._pop():
            link.connection.close()

    def close(self) -> None:
        self._closed = True
        self.let_go()


def _held(body: str, field: str) -> Value:
    return stored(decode(body).get(field))


def _discard(link: Link | None) -> None:
    if link is not None:
        link.connection.close()


def _before_fork() -> None:
    for links in list(_ALL):
        links.let_go()


os.register_at_fork(before=_before_fork)

# primary result codes: what to do about each
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_PASSING = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT)
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_FORBIDDEN = (sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_READONLY)


def translated(exc: sqlite3.Error, what: str) -> ConvoyError:
    """Our error for SQLite's, with what to do about it."""
    code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
    said = f"{what}: {exc}"
    if code == sqlite3.SQLITE_CONSTRAINT:
        return Conflict(f"{what}: a unique key is taken")
    if code in _BUSY:
        return Transient(said, hint=f"another process held the file for {PATIENCE:.0f} s; see who")
    if code == sqlite3.SQLITE_FULL:
        return Transient(said, hint="free space on the disk that holds it; nothing was lost")
    if code in _PASSING:
        return Transient(said, hint="look at the disk and its log if it happens again")
    if code in _FORBIDDEN:
        return Denied(said, hint="make the file and its directory writable for this user")
    if code in _BROKEN:
        return Permanent(said, hint="not a store, or a damaged one: move it away, or restore it")
    if code == sqlite3.SQLITE_CANTOPEN:
        return Permanent(said, hint="look whether the file and its directory are still there")
    if code == sqlite3.SQLITE_TOOBIG:
        return Refused(said, hint="the document is too large for any store: keep it in pieces")
    return Permanent(said, hint="an error of the program or of SQLite: report it")
