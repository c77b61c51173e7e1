"""Rows as a table for a person: one per host, the failed ones again below with what to do."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from common.quantities import show_size, show_span
from ops.cli import show, terminal
from ops.fleet.crowd import Row
from ops.host.roles import ROLES

Column = tuple[str, Callable[[Mapping[str, Any]], str]]


def show_rows(rows: Sequence[Row], *, as_json: bool = False) -> bool:
    """Show them on standard output; did every host do what it was asked?"""
    failed = [row for row in rows if not row.ok]
    if as_json:
        sys.stdout.write(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
        return not failed
    for row in rows:
        for text in (row.facts.get("out"), row.facts.get("err")):
            for line in str(text or "").splitlines():
                terminal.tell(f"{row.host}: {line}")
    terminal.out().print(_table(rows))
    if failed:
        terminal.say(f"{len(failed)} of {len(rows)} failed:", show.BAD)
    for row in failed:
        tries = f" ({row.tries} tries)" if row.tries > 1 else ""
        terminal.say(f"  {row.host}: {row.said}{tries}" + f"\n    {row.hint}" * bool(row.hint))
    return not failed


def _table(rows: Sequence[Row]) -> Table:
    columns = _columns(rows)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("host", overflow="fold")
    table.add_column("")
    for name, _ in columns:
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("", overflow="fold", ratio=1)
    for row in rows:
        cells = [read(row.facts) if "posts" in row.facts else "" for _, read in columns]
        state = Text("ok", "green") if row.ok else Text("failed", show.BAD)
        table.add_row(row.host, state, *map(show.plain, cells), show.plain(row.said))
    return table


def _columns(rows: Sequence[Row]) -> list[Column]:
    """What a status says, if one was given."""
    told = [row.facts for row in rows if "posts" in row.facts]
    if not told:
        return []
    spoken = {name for facts in told for name, each in facts["roles"].items() if _any(each)}
    roles: list[Column] = [(f"{name}s", _alive(name)) for name in ROLES if name in spoken]
    return [
        *roles,
        ("busy", _busy),
        ("sign", _sign),
        ("version", _versions),
        ("free", lambda facts: show_size(facts["disk_free"])),
        ("clock", _skew),
        ("watchdog", _watchdog),
    ]


def _any(role: Mapping[str, Any]) -> bool:
    return bool(role["count"] or role["alive"])


def _alive(name: str) -> Callable[[Mapping[str, Any]], str]:
    def read(facts: Mapping[str, Any]) -> str:
        each = facts["roles"].get(name)
        if each is None:
            return ""
        off = "" if each["on"] else " off"
        ending = f" ({each['ending']} ending)" if each["ending"] else ""
        return f"{each['alive']}/{each['wanted']}{off}{ending}"

    return read


def _busy(facts: Mapping[str, Any]) -> str:
    """How many have a unit in hand; which one, if it is only one."""
    units = [post["unit"] for post in facts["posts"] if post["unit"]]
    return str(units[0] if len(units) == 1 else len(units))


def _sign(facts: Mapping[str, Any]) -> str:
    """How old the oldest sign of life is."""
    ages = [post["sign"] for post in facts["posts"] if post["sign"] is not None]
    return show_span(max(ages)) if ages else ""


def _versions(facts: Mapping[str, Any]) -> str:
    """What the next start takes, and what else runs."""
    current = str(facts["deployed"] or facts["version"])
    others = {post["version"] for post in facts["posts"] if post["version"]} - {current}
    return current + (f" (runs {', '.join(sorted(others))})" if others else "")


def _skew(facts: Mapping[str, Any]) -> str:
    skew = float(facts.get("skew", 0.0))
    return f"{skew:+.1f}s" if abs(skew) >= 1 else "ok"


def _watchdog(facts: Mapping[str, Any]) -> str:
    age = facts["watchdog"]
    return "never" if age is None else f"{show_span(age)} ago"
