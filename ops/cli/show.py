"""How things look on a terminal: reports, tables, progress. Pure: values in, renderables out.

Names and reasons come from strangers' disks: whatever a terminal would obey is shown as an
escape, and nothing in them is taken for markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from common.quantities import show_size, show_span
from ops.doctor import Finding
from ops.report import VERIFY
from ops.watching import Progress

FAILURES_SHOWN = 20
NOTICES_SHOWN = 10
GOOD, BAD, DIM = "bold green", "bold red", "dim"
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def plain(text: str) -> str:
    """`text` without anything that a terminal would obey or hide."""
    return _UNPRINTABLE.sub(lambda m: m[0].encode("unicode_escape").decode(), text)


def moment(at: float | None) -> str:
    """Seconds since the epoch as a local time; nothing for None."""
    if at is None:
        return ""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def many(count: float, what: str) -> str:
    """`many(2, "file")` -> `2 files`."""
    return f"{count:,.0f} {what}{'' if count == 1 else 's'}"


def report(found: Mapping[str, Any]) -> RenderableType:
    """The report, its verdict first."""
    facts = _grid()
    for name, text in _facts(found):
        facts.add_row(name, plain(text))
    parts: list[RenderableType] = [
        _heading(found),
        "",
        Padding(verdict(found), (0, 0, 1, 2)),
        facts,
    ]
    if found["failures"]:
        parts += ["", failures(found["failures"][:FAILURES_SHOWN])]
        if (more := found["failures_total"] - FAILURES_SHOWN) > 0:
            parts.append(Text(f"  and {more:,} more: convoy failures {found['id']}", DIM))
    remarks = [f"{text} ({many(n, 'time')})" for text, n in found["remarks"].items()]
    if notices := [*remarks, *found["notices"]]:
        parts += ["", *_notices(notices)]
    return Group(*parts)


def verdict(found: Mapping[str, Any]) -> Text:
    """One sentence that says plainly whether everything arrived."""
    if found["complete"]:
        if found["pass"] == VERIFY:
            return Text("Both sides agree, item by item.", GOOD)
        return Text("Everything arrived.", GOOD)
    return Text(_shortfall(found), BAD)


def _shortfall(found: Mapping[str, Any]) -> str:
    units, wanting = found["units"], []
    if parked := units["quarantined"]:
        wanting.append(f"{many(parked, 'unit')} in quarantine")
    if left := units["queued"] + units["running"]:
        wanting.append(f"{many(left, 'unit')} not done")
    if found["items"]["failed"]:
        word = "differ" if found["pass"] == VERIFY else "did not arrive"
        wanting.append(f"{many(found['items']['failed'], 'item')} {word}")
    if found["refused"]:
        wanting.append(f"{many(found['refused'], 'line')} of the list refused")
    leads = {"cancelled": "Cancelled", "planning": "Still planning"}
    lead = leads.get(found["phase"], "Not complete")
    if found["pass"] == VERIFY and found["items"]["failed"]:
        lead = "The two sides differ"
    return f"{lead}: {', '.join(wanting)}." if wanting else f"{lead}."


def _heading(found: Mapping[str, Any]) -> Text:
    head = Text(found["id"], "bold")
    units = found["units"]
    stopped = found["phase"] == "moving" and units["done"] + units["quarantined"] == units["total"]
    phase = "ended incomplete" if stopped else found["phase"]
    head.append(f"  generation {found['generation']}, {phase}", "default")
    if found["hold"] and not found["ended"]:
        head.append(f", {found['hold']}", "yellow")
    return head


def _facts(found: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    units, items, size = found["units"], found["items"], found["bytes"]
    seconds = max(found["seconds"], 0.001)
    yield "from", found["source"]
    yield "to", found["target"]
    done = f"{units['done']:,} of {units['total']:,} done"
    yield "units", done + (f", {units['quarantined']:,} in quarantine" * bool(units["quarantined"]))
    yield "items", f"{items['total']:,}: {_items(found)}"
    moved = f", {show_size(size['moved'])} of them moved" if found["pass"] != VERIFY else ""
    yield "bytes", show_size(size["total"]) + moved
    rate = f"{items['total'] / seconds:,.0f} items/s, {show_size(size['total'] / seconds)}/s"
    yield "took", f"{show_span(found['seconds'])} ({rate})"
    yield "proof", f"{found['check']}, digest {found['digest'] or 'unknown'}"


def _items(found: Mapping[str, Any]) -> str:
    items = found["items"]
    if found["pass"] == VERIFY:
        return f"{items['skipped']:,} agree, {items['failed']:,} differ"
    words = {"moved": "moved", "skipped": "right already", "mended": "mended", "failed": "failed"}
    return ", ".join(f"{items[k]:,} {w}" for k, w in words.items() if items[k] or k == "moved")


def failures(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Failures as a table: whose, what, why, and what to do."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("user", overflow="fold", max_width=20)
    table.add_column("item", overflow="fold", ratio=2)
    table.add_column("why, and what to do", overflow="fold", ratio=3)
    for row in rows:
        why = Text(plain(row["reason"].removeprefix(f"{row['item']}: ")))
        if row["advice"]:
            why.append(f"\n{plain(row['advice'])}", DIM)
        table.add_row(Text(plain(row["user"])), Text(plain(row["item"])), why)
    return Group(Text("Did not arrive", "bold"), table)


def _notices(texts: Sequence[str]) -> Iterable[RenderableType]:
    yield Text("Worth knowing", "bold")
    for text in texts[:NOTICES_SHOWN]:
        yield Text(f"  - {plain(text)}")
    if (more := len(texts) - NOTICES_SHOWN) > 0:
        yield Text(f"  and {more:,} more (--json shows them)", DIM)


def migrations(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """All migrations, one line or two each."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for name in ("id", "gen", "phase", "units done"):
        table.add_column(name, no_wrap=True, justify="right" if name == "gen" else "left")
    table.add_column("from, to", overflow="fold", ratio=1)
    for row in rows:
        units = row["units"]
        phase = row["phase"] if row["ended"] else row["hold"] or row["phase"]
        done = f"{units['done']:,}/{units['total']:,}"
        if units["quarantined"]:
            done += f" ({units['quarantined']:,} parked)"
        way = Text(f"{plain(row['source'])}\n{plain(row['target'])}")
        table.add_row(row["id"], str(row["generation"]), phase, done, way)
    return table


def units(rows: Iterable[Mapping[str, Any]]) -> RenderableType:
    """Units with their state and what is the matter with them."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("user", overflow="fold", ratio=2)
    for name in ("job", "state"):
        table.add_column(name, no_wrap=True)
    table.add_column("tries", justify="right")
    table.add_column("held by, or why", overflow="fold", ratio=3)
    for row in rows:
        said = Text(plain(row["owner"] or row["reason"]))
        table.add_row(
            Text(plain(row["user"])), row["job"], row["state"], str(row["attempts"]), said
        )
    return table


def history(lines: Iterable[Mapping[str, Any]]) -> RenderableType:
    """Who did what and when."""
    table = _grid()
    for line in lines:
        by, why = plain(str(line.get("by", ""))), plain(str(line.get("why") or ""))
        said = f"{plain(str(line.get('what') or line.get('event')))} by {by}"
        table.add_row(moment(line["at"]), said + (f": {why}" if why else ""))
    return Group(Text("History", "bold"), table)


def trail(lines: Iterable[Mapping[str, Any]]) -> RenderableType:
    """The audit trail, a line each."""
    table = _grid()
    for line in lines:
        said = f"{line['by']}: {line['what']} {line['to']}, {line['outcome']}"
        said += f": {line['why']}" if line["why"] else ""
        error = line["facts"].get("error")
        table.add_row(moment(line["at"]), plain(said + (f" ({error})" if error else "")))
    return table


def pairs(rows: Iterable[tuple[str, str]]) -> RenderableType:
    """Names and values in two columns."""
    table = _grid()
    for name, text in rows:
        table.add_row(name, plain(text))
    return table


def options(given: Mapping[str, Any]) -> str:
    """Options that are in force, in words: a switch by its name, the rest with its value."""
    named = ((k, v) for k, v in sorted(given.items()) if v not in (False, "", None))
    return ", ".join(k if v is True else f"{k} {v}" for k, v in named)


def findings(found: Iterable[Finding]) -> RenderableType:
    """What was looked at, each with what to do if it is not as it should be."""
    colours = {"good": "green", "note": "yellow", "wrong": BAD}
    table = Table.grid(padding=(0, 2))
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in found:
        said = Text(plain(each.said))
        if each.advice:
            said.append(f"\n{plain(each.advice)}", DIM)
        table.add_row(Text(each.state, colours[each.state]), Text(each.what), said)
    return table


def progress(seen: Progress) -> str:
    """One look in words; fits 80 columns for all but the largest numbers."""
    parts = [f"{seen.users:,}/{seen.users_total:,} users", many(seen.items, "item")]
    parts += [show_size(seen.bytes), f"{show_size(seen.byte_rate)}/s"]
    if seen.item_rate:
        parts.append(f"{seen.item_rate:,.0f} items/s")
    if seen.failed or seen.sums.quarantined:
        parts.append(f"{max(seen.failed, seen.sums.quarantined):,} failed")
    return ", ".join(parts)


def outlook(seen: Progress) -> str:
    """What is to be expected: the time left, or why nothing moves."""
    if seen.migration.hold:
        return f"{seen.migration.hold.value}: convoy resume {seen.migration.id}"
    if seen.migration.phase == "planning":
        return f"planning, {seen.migration.planned:,} units so far"
    if not seen.consumers:
        return "no consumer yet"
    if seen.eta is None:
        return many(seen.consumers, "consumer")
    left = max(1.0, seen.eta.total_seconds())
    return f"about {show_span(round(left))} left" if seen.sums.open else "nearly done"


def _grid() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style=DIM, no_wrap=True)
    table.add_column(overflow="fold")
    return table
