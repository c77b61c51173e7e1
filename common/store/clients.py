"""The connection to MongoDB: opened when needed, once per process; its errors become ours.

A client must not cross a fork, not even to be closed on the other side: a child opens its own and
leaves the inherited one alone, for good. User and password never enter an error.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote_plus, unquote, urlsplit

from bson.errors import BSONError, InvalidDocument
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
    WTimeoutError,
)
from pymongo.uri_parser import parse_uri

from common.errors import Conflict, ConvoyError, Denied, Permanent, Refused, Transient
from common.store.mql import Bson

OPTIONS = {  # unless the address says otherwise
    "appname": "convoy",
    "serverSelectionTimeoutMS": 10_000,
    "connectTimeoutMS": 5_000,
    "socketTimeoutMS": 30_000,
    "waitQueueTimeoutMS": 10_000,
}
_PASSING = (AutoReconnect, ConnectionFailure, ExecutionTimeout, WTimeoutError)
_LEFT_BEHIND: list[MongoClient[Bson]] = []  # opened by our parent process

# error codes of the server
_DENIED = {13, 18, 8000}  # Unauthorized, AuthenticationFailed (two spellings)
_AGAIN = {
    43,  # CursorNotFound: the server forgot a long answer
    50,  # MaxTimeMSExpired
    91,  # ShutdownInProgress
    112,  # WriteConflict
    14031,  # OutOfDiskSpace
}
_UNFIT = {2, 14}  # BadValue, TypeMismatch: adding to what is no number, appending to no list
_HINT_ADDRESS = "mongodb://user:password@host:port/database, special characters %-escaped"


class Server:
    """One deployment and one database of it. Safe to use from many threads."""

    def __init__(self, url: str, database: str) -> None:
        self._url = url
        self.name, self.place, self._secrets = _parsed(url, database)
        self._lock = threading.Lock()
        self._client: MongoClient[Bson] | None = None
        self._pid = 0
        self._closed = False

    def database(self) -> Database[Bson]:
        """The database through this process' own client."""
        if self._pid != os.getpid() or self._client is None:
            with self._lock:
                self._open()
        assert self._client is not None
        return self._client[self.name]

    def _open(self) -> None:
        if self._closed:
            raise Permanent(f"{self.place} is closed", hint="a program error: open it again")
        if self._client is not None and self._pid == os.getpid():
            return
        if self._client is not None:
            _LEFT_BEHIND.append(self._client)
        said = {pair.partition("=")[0].lower() for pair in urlsplit(self._url).query.split("&")}
        options: dict[str, Any] = {k: v for k, v in OPTIONS.items() if k.lower() not in said}
        try:
            self._client = MongoClient(self._url, **options)
        except (PyMongoError, ValueError, TypeError) as exc:
            raise Permanent(self._safe(f"{self.place}: {exc}"), hint=_HINT_ADDRESS) from None
        self._pid = os.getpid()

    def close(self) -> None:
        """Let go of the server. Using the store again is an error."""
        with self._lock:
            self._closed = True
            if self._client is not None and self._pid == os.getpid():
                self._client.close()
                self._client = None

    @contextmanager
    def talk(self, what: str) -> Iterator[None]:
        """Whatever goes wrong inside is told as one of our errors."""
        try:
            yield
        except (PyMongoError, BSONError) as exc:
            said = self._safe(f"{self.place}: {what}: {exc}")
            raise translated(exc, said) from None  # the original may quote the address

    def _safe(self, said: str) -> str:
        for secret in self._secrets:
            said = said.replace(secret, "***")
        return said


def translated(exc: Exception, said: str) -> ConvoyError:
    """Our error for pymongo's, with what to do about it."""
    code = exc.code if isinstance(exc, OperationFailure) else None
    if isinstance(exc, BulkWriteError):
        errors = [*exc.details["writeErrors"], *exc.details["writeConcernErrors"]]
        code = next((error["code"] for error in errors if error.get("code") != 11000), None)
    if isinstance(exc, DuplicateKeyError):
        return Conflict(said)
    if isinstance(exc, WaitQueueTimeoutError):
        return Transient(said, hint="too many threads share the connection; raise maxPoolSize")
    if isinstance(exc, _PASSING) or code in _AGAIN:
        return Transient(said, hint="look whether MongoDB is up and has a primary, if it lasts")
    if code in _DENIED:
        return Denied(said, hint="check user and password of the store, and the user's roles")
    if isinstance(exc, InvalidDocument | DocumentTooLarge) or code in _UNFIT:
        return Refused(said, hint="the document does not fit: an error of the program, report it")
    if isinstance(exc, ConfigurationError):
        return Permanent(said, hint=_HINT_ADDRESS)
    return Permanent(said, hint="see the server's log")


def _parsed(url: str, database: str) -> tuple[str, str, tuple[str, ...]]:
    """Name of the database, the address without secrets, and the secrets."""
    try:
        parts = urlsplit(url)
        hosts, password = parts.hostname or "", unquote(parts.password or "")
        if parts.scheme == "mongodb":  # the other scheme asks a name server: not yet
            found = parse_uri(url, warn=True)
            hosts = ",".join(f"{host}:{port}" for host, port in found["nodelist"])
            password = found["password"] or ""
    except (PyMongoError, ValueError, TypeError):
        raise Permanent("the address of MongoDB is not valid", hint=_HINT_ADDRESS) from None
    if not hosts or ("@" in url and "@" not in parts.netloc):
        raise Permanent("the address of MongoDB is not valid", hint=_HINT_ADDRESS)
    name = unquote(parts.path.strip("/")) or database
    secrets = {password, quote_plus(password)} - {""}
    return name, f"{parts.scheme}://{hosts}/{name}", tuple(secrets)
