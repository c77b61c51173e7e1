"""Plans migrations of users: one unit each, and a final one where the operator has hooks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any

from common.endpoints import registry
from common.endpoints.overlap import overlap
from common.endpoints.place import Capabilities
from common.endpoints.template import Template, check_user
from common.errors import ConvoyError
from common.model import Draft, Migration
from common.settings import Settings
from producer import decide
from producer.planner import Facts, Preflight

VERIFY = "verify"
_LOSSES = {
    "links": "symbolic links",
    "hardlinks": "hard links (each name becomes a file of its own)",
    "owners": "owners",
    "modes": "permission bits",
    "xattrs": "extended attributes and ACLs",
    "sparse": "holes of sparse files (contents stay the same)",
    "directories": "empty directories and directory times",
    "headers": "content headers and user metadata",
    "tags": "object tags",
    "any_name": "names that are not UTF-8 (refused by name)",
}


class UsersPlanner:
    """The plans of the kind `users` (`producer.planner.Planner`)."""

    queue = "users"

    def spelling(self, url: str) -> str:
        return Template.parse(url, cwd=os.getcwd()).url

    def preflight(
        self, source: str, target: str, options: Mapping[str, Any], settings: Settings
    ) -> Preflight:
        try:
            old, new = Template.parse(source), Template.parse(target)
            if overlap(old, new):
                return Preflight(errors=("source and target have places in common",))
            there = registry.capabilities(source, settings)
            writes = options.get("pass") != VERIFY
            if writes:
                registry.prepare(target, settings)
            here = registry.capabilities(target, settings, writes=writes)
        except ConvoyError as error:
            return Preflight(errors=(f"{error} ({error.hint})",))
        if not writes:
            return Preflight(notices=tuple(_shallow(old, new)) if options.get("deep") else ())
        return Preflight(notices=tuple(losses(there, here)))

    def subjects(self, source: str, settings: Settings) -> Iterator[str]:
        return registry.users(source, settings)

    def refuse(self, subject: str) -> str | None:
        return check_user(subject)

    def drafts(self, subjects: Iterable[str], options: Mapping[str, Any]) -> Iterator[Draft]:
        verify = options.get("pass") == VERIFY
        hooks = bool(options.get("hook_freeze") or options.get("hook_switch"))
        for user in subjects:
            yield Draft(VERIFY if verify else "user", user, group=user, wakes=hooks)
            if hooks and not verify:
                after = (user, f"{user}/files", f"{user}/close")
                yield Draft("final", user, group=f"{user}/final", after=after)

    def decide(self, facts: Facts) -> StrEnum | None:
        return decide.users(facts)

    def describe(self, migration: Migration) -> str:
        return f"users from {migration.source} to {migration.target}"


def _shallow(source: Template, target: Template) -> Iterator[str]:
    for side, place in (("source", source), ("target", target)):
        if place.scheme not in registry.DEEP:
            yield f"the {side} is read over the network: from which memory is its own matter"


def losses(source: Capabilities, target: Capabilities) -> Iterator[str]:
    """What the source may show and the target cannot hold."""
    for field, words in _LOSSES.items():
        if getattr(source, field) and not getattr(target, field):
            yield f"the target cannot hold {words}"
    if not target.conditional:
        yield "the target has no conditional writes: while a unit is taken over, two may write it"
    if target.folds and not source.folds:
        yield "the target takes names that differ only in case or form for one: refused by name"
