"""Migrations as rows of a list: what stands in them, which are wanted, in which order. Pure.

Fields are named as `convoy list --json` and `convoy show --json` name them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import Refused
from common.model import Counts, Sums
from common.store.migrations import Brief
from ops.report import heading, items_of, overall, total, units_of
from ops.watching import users

Row = dict[str, Any]
MOST = 1_000  # rows of one answer
STUCK = "stuck"  # nothing can go on by itself


@dataclass(frozen=True, slots=True)
class Counted:
    """What the units of a migration said together, once."""

    generation: int
    version: int
    sums: Sums
    counts: Counts
    users: tuple[int, int]
    jobs: Mapping[str, Sums]
    rates: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @classmethod
    def of(cls, brief: Brief, jobs: Mapping[str, Sums]) -> Counted:
        return cls(brief.generation, brief.version, total(jobs), overall(jobs), users(jobs), jobs)

    @property
    def items(self) -> int:
        """Looked at so far, those of units that still run included."""
        counts = self.counts
        return counts.moved + counts.skipped + counts.mended + self.sums.live_items

    @property
    def bytes(self) -> int:
        return self.counts.bytes + self.sums.live_bytes


def row(brief: Brief, counted: Counted | None) -> Row:
    """One migration; what was not counted yet is None."""
    return {
        **heading(brief),
        "name": brief.id,
        "state": state(brief, counted),
        "over": brief.over,
        "planned": brief.planned,
        "refused": brief.refused,
        "limits": dict(brief.limits),
        "created": brief.created,
        "started": brief.started,
        "ended": brief.ended,
        **(_numbers(brief, counted) if counted else _NOTHING),
    }


def state(brief: Brief, counted: Counted | None) -> str:
    """One word for people."""
    if brief.over:
        return brief.phase
    if brief.hold:
        return brief.hold.value
    if counted and counted.sums.quarantined and not counted.sums.open:
        return STUCK
    return brief.phase


_NOTHING: Row = dict.fromkeys(("units", "items", "bytes", "users", "share", "rate", "eta"))


def _numbers(brief: Brief, counted: Counted) -> Row:
    sums, (unit_rate, item_rate, byte_rate) = counted.sums, counted.rates
    moving = not brief.over and not brief.hold and unit_rate > 0
    return {
        "units": units_of(sums),
        "items": items_of(counted.counts) | {"so_far": counted.items},
        "bytes": {
            "total": counted.counts.bytes,
            "moved": counted.counts.bytes_moved,
            "so_far": counted.bytes,
        },
        "users": {"done": counted.users[0], "total": counted.users[1]},
        "share": sums.done / sums.total if sums.total else 0.0,
        "rate": {"units": unit_rate, "items": item_rate, "bytes": byte_rate},
        "eta": sums.open / unit_rate if moving else None,
    }


def _share(row: Row) -> float:
    return float(row["share"] or 0.0)


ORDERS: Mapping[str, Callable[[Row], Any]] = {
    "created": lambda row: row["created"],
    "started": lambda row: row["started"],
    "ended": lambda row: row["ended"] or 0.0,
    "name": lambda row: row["name"],
    "state": lambda row: row["state"],
    "source": lambda row: row["source"],
    "target": lambda row: row["target"],
    "tenant": lambda row: row["tenant"],
    "share": _share,
    "rate": lambda row: row["rate"]["bytes"] if row["rate"] else 0.0,
    "eta": lambda row: 1e18 if row["eta"] is None else row["eta"],
    "quarantined": lambda row: row["units"]["quarantined"] if row["units"] else 0,
}


def ordered(rows: Iterable[Row], order: str) -> list[Row]:
    """All rows by a field of `ORDERS`; "-field" downwards; equals by ID."""
    key = _keyed(order)
    return sorted(rows, key=key, reverse=order.startswith("-"))


def page(
    rows: Iterable[Row],
    *,
    order: str,
    limit: int,
    after: str,
    wanted: Callable[[Row], bool],
) -> tuple[list[Row], str, int]:
    """Of rows in this order: those of one page, the cursor of the next, how many are wanted."""
    key, down, limit = _keyed(order), order.startswith("-"), max(1, min(limit, MOST))
    behind = _opened(after, order) if after else None
    found: list[Row] = []
    total = 0
    more = False
    for each in rows:
        if not wanted(each):
            continue
        total += 1
        if behind is not None and not _beyond(key(each), behind, down):
            continue
        if len(found) < limit:
            found.append(each)
        else:
            more = True
    return found, _sealed(order, key(found[-1])) if more else "", total


def filtered(*, state: str, kind: str, text: str) -> Callable[[Row], bool]:
    """Is a row wanted? `state`: one or several with commas, also `active`, `over`."""
    states, needle = {word for word in state.split(",") if word}, text.casefold()

    def wanted(row: Row) -> bool:
        if states and states.isdisjoint(
            (row["state"], row["phase"], "over" if row["over"] else "active")
        ):
            return False
        if kind and row["kind"] != kind:
            return False
        return not needle or any(
            needle in str(row[name]).casefold() for name in ("id", "source", "target", "tenant")
        )

    return wanted


def seal(values: Sequence[Any]) -> str:
    """A cursor: opaque to whoever gets it."""
    return base64.urlsafe_b64encode(json.dumps(list(values)).encode()).decode().rstrip("=")


def unseal(cursor: str, kinds: Sequence[type | tuple[type, ...]]) -> list[Any]:
    """What was sealed; Refused unless it has values of these kinds."""
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if [isinstance(v, k) for v, k in zip(values, kinds, strict=True)] == [True] * len(kinds):
            return list(values)
    except (ValueError, TypeError, RecursionError):
        pass
    raise Refused("`after` is no cursor of ours", hint="take it from `next` of the page before")


def _keyed(order: str) -> Callable[[Row], tuple[Any, str]]:
    name = order.removeprefix("-")
    if name not in ORDERS:
        raise Refused(f"no order {name!r}", hint=f"one of: {', '.join(ORDERS)}; - before it: down")
    key = ORDERS[name]
    return lambda row: (key(row), row["id"])


def _beyond(key: tuple[Any, str], behind: tuple[Any, str], down: bool) -> bool:
    return key < behind if down else key > behind


def _sealed(order: str, key: tuple[Any, str]) -> str:
    return seal([order, *key])


def _opened(after: str, order: str) -> tuple[Any, str]:
    number = isinstance(ORDERS[order.removeprefix("-")](_SAMPLE), int | float)
    found, key, id = unseal(after, [str, (int, float) if number else str, str])
    if found != order:
        raise Refused("`after` belongs to another order", hint="begin again without it")
    return key, id


_SAMPLE: Row = dict.fromkeys(("name", "state", "source", "target", "tenant"), "") | {
    "created": 0.0, "started": 0.0, "ended": None, "share": None, "rate": None, "eta": None,
    "units": None,
}  # fmt: skip
