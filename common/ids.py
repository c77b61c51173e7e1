"""Names that are derived, never drawn: planning twice plans the same units once."""

from __future__ import annotations

import hashlib


def short(*parts: str) -> str:
    """16 hex digits that stand for `parts`."""
    text = "\0".join(parts)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def migration_id(kind: str, source: str, target: str) -> str:
    """The same kind, source and target (in their one spelling) is the same migration, always."""
    return f"{kind}-{short(kind, source, target)[:10]}"


def units_of(migration: str, generation: int) -> str:
    """What the IDs of all units of one generation begin with; hex digits follow."""
    return f"{migration}.{generation}."


def unit_id(migration: str, generation: int, job: str, key: str, name: str) -> str:
    """Names a unit of one generation; 16 hex digits hide hostile keys from logs and file names."""
    return f"{units_of(migration, generation)}{short(job, key, name)}"
