"""The store at an address. The one place that knows which driver serves which scheme."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from common.errors import Permanent
from common.store.base import Store
from common.store.sqlite import SqliteStore

_HINT = "sqlite:///path/of/state.db for one machine, mongodb://host/database for a fleet"


def connect(url: str, *, durable: bool = False) -> Store:
    """The store at `url`; Permanent if that names none.

    `durable` asks SQLite to wait for the disk at each change; MongoDB always does what its
    majority does.
    """
    scheme = url.partition("://")[0].lower()
    if scheme in ("mongodb", "mongodb+srv"):
        from common.store.mongo import MongoStore  # its imports cost a start a quarter second

        return MongoStore(url)
    if scheme == "sqlite":
        return SqliteStore(_path(url), durable=durable)
    raise Permanent("the address of the store is of no kind that we know", hint=_HINT)


def _path(url: str) -> str:
    """sqlite:///var/lib/state.db is /var/lib/state.db; a host or a query has no meaning here."""
    parts = urlsplit(url)
    path = "/" + unquote(parts.path).lstrip("/")
    if parts.netloc or parts.query or parts.fragment or path == "/":
        raise Permanent(f"{url} names no file", hint=_HINT)
    return path
