"""The same for every host, a few at once; one that fails stops no other.

Each host is tried, and those that failed are tried once more when all others are done, unless
trying again cannot help or would do something twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from common.clock import Clock
from common.errors import ConvoyError, Denied, Permanent
from ops.fleet.line import Line, Reach

AT_ONCE = 8  # sshd drops connections at random from the tenth that is not logged in yet


class Done(Permanent):
    """It was done, and ended badly: doing it again is for a person to decide."""


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one host."""

    host: str
    ok: bool
    said: str = ""
    hint: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    tries: int = 1
    again: bool = False  # another try may help


@dataclass(frozen=True, slots=True)
class Answer:
    """What an act says of the host it was done to."""

    said: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    ok: bool = True


Act = Callable[[Line], Answer]


def everywhere(
    hosts: Sequence[str],
    act: Act,
    *,
    reach: Reach,
    at_once: int = AT_ONCE,
    clock: Clock | None = None,
) -> list[Row]:
    """Do it on all hosts; a row for each, in their order."""
    one = partial(_one, act=act, reach=reach, clock=clock or Clock())
    with ThreadPoolExecutor(max_workers=max(1, at_once), thread_name_prefix="host") as pool:
        rows = dict(zip(hosts, pool.map(one, hosts), strict=True))
        again = [host for host in hosts if rows[host].again]
        rows |= zip(again, pool.map(partial(one, tries=2), again), strict=True)
    return [rows[host] for host in hosts]


def _one(host: str, *, act: Act, reach: Reach, clock: Clock, tries: int = 1) -> Row:
    began = clock.tick()
    try:
        with Line(host, reach) as line:
            answer = act(line)
    except ConvoyError as error:
        again = not isinstance(error, Denied | Done)
        spent = clock.tick() - began
        return Row(host, False, str(error), error.hint, {}, spent, tries, again=again)
    spent = clock.tick() - began
    return Row(host, answer.ok, answer.said, "", answer.facts, spent, tries)
