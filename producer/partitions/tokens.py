"""Tokens: how many partitions may be on the move at once, per nodeset, source and target disk.

A token document names its holders. Whoever changes it writes what it becomes, and names the version
that it saw; the limit is judged on exactly what was seen.
"""

from __future__ import annotations

from producer.partitions.facts import Tokens


def taken(tokens: Tokens, entry: tuple[str, int]) -> Tokens | None:
    """The document with this entry; None if none is free. Who has one has one."""
    if tokens.has(entry):
        return tokens
    return tokens._replace(held=(*tokens.held, entry)) if tokens.free else None


def without(tokens: Tokens, entry: tuple[str, int]) -> Tokens:
    """The document without this entry; another attempt's entry stays."""
    return tokens._replace(held=tuple(held for held in tokens.held if held != entry))
