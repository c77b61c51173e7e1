"""Can two endpoints have places in common? Then one would be written while it is read."""

from __future__ import annotations

import os
from collections.abc import Sequence

from common.endpoints.template import Slice, Template

Component = tuple[str | Slice, ...]


def overlap(source: Template, target: Template) -> bool:
    """True unless no user's place on one side can be, contain or lie in a place of the other."""
    if _store(source) != _store(target):
        return False
    return not disjoint((*_root(source), *source.below), (*_root(target), *target.below))


def disjoint(left: Sequence[Component], right: Sequence[Component]) -> bool:
    """Do these paths part for every user? They do where plain names differ, while all before is
    the same; where a user's name stands against anything else, it might be the same."""
    for mine, other in zip(left, right, strict=False):
        if mine != other:
            return all(isinstance(part, str) for part in (*mine, *other))
    return False


def _store(template: Template) -> tuple[str, ...]:
    if template.scheme == "file":
        return ("file",)
    return (template.scheme, template.host, template.query.get("endpoint", ""))


def _root(template: Template) -> tuple[Component, ...]:
    """The fixed part as names; of files the real one, whatever links lead to it."""
    fixed = template.fixed
    if template.scheme == "file":
        fixed = os.path.realpath(fixed)
    return tuple((name,) for name in fixed.split("/") if name)
