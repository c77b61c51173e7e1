"""How fabric's tasks come to act on all hosts at once: each runs once, with the whole fleet.

Fabric itself runs a task once per host, one after the other, and stops at the first that fails.
Options that all tasks share are spelled here. The old spelling of hosts, users and passwords ends
with the new one.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fabric import Executor, task
from fabric.main import program
from invoke.exceptions import Exit
from invoke.tasks import Call

from common import quantities
from common.errors import ConvoyError, Refused
from ops.cli import exits, terminal
from ops.fleet.crowd import AT_ONCE, Row
from ops.fleet.fleet import Fleet
from ops.fleet.hosts import chosen, modern
from ops.fleet.line import Reach
from ops.fleet.table import show_rows

SHARED = {
    "hosts_file": "a file with one host per line, beside -H",
    "home": "the home on every host; default .local/state/convoy of who logs in",
    "known_hosts": "a file with keys of hosts, beside ~/.ssh/known_hosts",
    "trust_new_hosts": "take the key of a host that nobody knows yet",
    "at_once": "connections at once",
    "serial": "one host after the other",
    "connect_limit": "to connect and log in",
    "command_limit": "for one command on a host",
    "json": "print one JSON value instead of a table",
}
_DEFAULTS: dict[str, Any] = {
    "hosts_file": "",
    "home": "",
    "known_hosts": "",
    "trust_new_hosts": False,
    "at_once": AT_ONCE,
    "serial": False,
    "connect_limit": "10s",
    "command_limit": "5m",
    "json": False,
}


class Once(Executor):  # type: ignore[misc]
    """Calls every task once, whatever hosts are given."""

    def expand_calls(self, calls: Iterable[Any], apply_hosts: bool = True) -> list[Any]:  # noqa: ARG002
        return [call if isinstance(call, Call) else Call(call) for call in calls]


def begin(words: Sequence[str]) -> None:
    """To be called by the fabfile: the old spelling ends here, and tasks run once."""
    if new := modern(words):
        raise Exit(f"fab: this spelling is gone; say it like this:\n  {new}", code=exits.USAGE)
    program.executor_class = Once
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # what it says, our rows say


def over_hosts(act: Callable[..., list[Row]]) -> Any:
    """A fabric task out of a function of the fleet and its own options, which returns rows."""
    _, *own = inspect.signature(act).parameters.values()

    def body(c: Any, **given: Any) -> None:
        shared = {name: given.pop(name) for name in _DEFAULTS}
        _run(c, act, given, **shared)

    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
        for name, default in _DEFAULTS.items()
    ]
    first = inspect.Parameter("c", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    body.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [first, *(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own), *common]
    )
    body.__name__, body.__doc__ = act.__name__, act.__doc__
    return task(auto_shortflags=False, help=dict(SHARED))(body)


def count(role: str, count: int, consumers: int) -> int | None:
    """How many, however it was said; None if it was not."""
    if consumers >= 0 and (role != "consumer" or count >= 0):
        raise Refused("--consumers says it already", hint="--role ROLE --count N for other roles")
    most = max(count, consumers)
    return None if most < 0 else most


def command() -> str:
    """What stands behind `--`."""
    return str(program.core.remainder or "")


def _run(c: Any, act: Callable[..., list[Row]], given: dict[str, Any], **shared: Any) -> None:
    try:
        rows = act(_fleet(c, **shared), **given)
    except ConvoyError as error:
        terminal.say(f"fab: {error}", "bold red")
        terminal.say(f"  {error.hint}")
        raise Exit(code=exits.code_of(error)) from error
    if not show_rows(rows, as_json=shared["json"]):
        raise Exit(code=exits.INCOMPLETE)


def _fleet(c: Any, **shared: Any) -> Fleet:
    if shared["at_once"] < 1:
        raise Refused("--at-once must be 1 or more", hint=f"it is {AT_ONCE} unless given")
    reach = Reach(
        config=c.config,
        known_hosts=shared["known_hosts"],
        trust=shared["trust_new_hosts"],
        connect=quantities.span(shared["connect_limit"]),
        command=quantities.span(shared["command_limit"]),
    )
    hosts = chosen(str(program.args.hosts.value or ""), shared["hosts_file"])
    at_once = 1 if shared["serial"] else shared["at_once"]
    return Fleet(hosts, reach, home=shared["home"], at_once=at_once)
