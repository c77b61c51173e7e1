"""The long-lived roles that a host may run. One line per role, written out, nothing discovered.

A role that this version does not know is refused, wherever it is named.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from common.errors import Refused
from ops.local import consumer_argv, producer_argv


@dataclass(frozen=True, slots=True)
class Role:
    """One kind of process; its posts on a host are numbered."""

    name: str
    letter: str
    argv: Callable[[str, str], list[str]]  # of a post's name and its host's

    def post(self, number: int) -> str:
        """The name of a post: c01, c02, ..."""
        return f"{self.letter}{number:02}"

    def number(self, post: str) -> int | None:
        """Which post a name means; None if it is no numbered one."""
        digits = post.removeprefix(self.letter)
        return int(digits) if digits.isdecimal() and self.post(int(digits)) == post else None


def command(word: str, name: str) -> list[str]:
    """A command of ours that bears the name of its post."""
    return [sys.executable, "-P", "-m", "ops.cli", word, "-n", name]


ROLES: Mapping[str, Role] = {
    "consumer": Role("consumer", "c", consumer_argv),
    "producer": Role("producer", "p", lambda name, _host: producer_argv(name)),
    "exporter": Role("exporter", "x", lambda name, _host: command("exporter", name)),
    "alarms": Role("alarms", "a", lambda name, _host: command("alarms", name)),
    "centre": Role("centre", "s", lambda name, _host: command("serve", name)),
}


def role(name: str) -> Role:
    """The role of this name; Refused if there is none."""
    if name not in ROLES:
        raise Refused(f"no role {name!r} in this version", hint=f"one of: {', '.join(ROLES)}")
    return ROLES[name]
