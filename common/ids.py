"""Names that are derived, never drawn: planning twice plans the same units once."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit, urlunsplit


def short(*parts: str) -> str:
    """16 hex digits that stand for `parts`."""
    text = "\0".join(parts)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def normalised(url: str) -> str:
    """The one spelling of an endpoint: lower-case scheme, no doubled or trailing slashes."""
    parts = urlsplit(url)
    path = "/" + "/".join(p for p in parts.path.split("/") if p not in ("", "."))
    query = "&".join(sorted(filter(None, parts.query.split("&"))))
    return urlunsplit((parts.scheme.lower(), parts.netloc, path, query, ""))


def migration_id(kind: str, source: str, target: str) -> str:
    """The same kind, source and target is the same migration, run after run."""
    return f"{kind}-{short(kind, normalised(source), normalised(target))[:10]}"


def unit_id(migration: str, generation: int, job: str, key: str, name: str) -> str:
    """Names a unit of one generation; 16 hex digits hide hostile keys from logs and file names."""
    return f"{migration}.{generation}.{short(job, key, name)}"
