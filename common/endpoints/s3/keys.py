"""Which names can be keys, and which keys can be names: the same rule in both directions."""

from __future__ import annotations

from common.endpoints.template import RESERVED
from common.errors import Refused
from common.legible import legible

LONGEST = 1024  # bytes of a key


def objection(path: str) -> str:
    """Why nothing can be kept or read under this path; "" if it can."""
    if not path.isascii():
        try:
            path.encode()
        except UnicodeEncodeError:
            return "its name is not UTF-8, which S3 cannot hold"
    if "\0" in path:
        return "its name contains a NUL"
    if "." in path and not {".", ".."}.isdisjoint(path.split("/")):
        return "a name in it is . or .. which a gateway may resolve to another place"
    return ""


def reserved(path: str) -> str:
    """Why this name is ours and no item's; "" if it is not."""
    return f"names that begin with {RESERVED} are reserved" if path.startswith(RESERVED) else ""


def key_for(prefix: str, path: str, *, marker: bool = False) -> str:
    """Where an item is written; Refused if it must not be."""
    reason = objection(path) or reserved(path)
    key = f"{prefix}{path}/" if marker and path else prefix + path
    if not reason and len(key.encode()) > LONGEST:
        reason = f"its key has more than {LONGEST} bytes"
    if reason:
        raise Refused(f"{legible(path)}: {reason}")
    return key


def checked_prefix(prefix: str) -> str:
    """The prefix of a user's place, if it is one."""
    reason = objection(prefix)
    if prefix and (not prefix.endswith("/") or prefix.startswith("/") or "//" in prefix):
        reason = 'the prefix of a place has no empty name in it and ends with "/"'
    if reason:
        raise Refused(f"{legible(prefix)!r}: {reason}")
    return prefix
