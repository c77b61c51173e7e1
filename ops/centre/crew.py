"""Consumers and hosts as rows: who lives, and what each is doing. Pure.

Alive is whose counter moved within one lease, by our own clock. Who was never seen to move is
judged by what it wrote last, generously, until one lease has passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from common.store.base import Doc

Row = dict[str, Any]
GENEROUS = 3  # leases


def rows(
    docs: Sequence[Doc],
    holders: Iterable[Doc],
    still: Mapping[str, timedelta],
    *,
    lease: timedelta,
    wall: float,
    known: float,
) -> list[Row]:
    """A row each, in the order of their names. `known`: since when we look, in seconds."""
    held = {doc["owner"]: doc for doc in holders}
    return [
        _row(doc, held.get(doc["id"]), still[doc["id"]].total_seconds(), lease, wall, known)
        for doc in docs
    ]


def _row(
    doc: Doc, held: Doc | None, still: float, lease: timedelta, wall: float, known: float
) -> Row:
    patience, said = lease.total_seconds(), max(0.0, wall - doc["at"])
    unmoved = known <= still + 0.001  # never seen to move
    age = said if unmoved else still
    alive = age < patience * GENEROUS if known < patience else still < patience
    unit = held["id"] if held else doc.get("unit") or ""
    return {
        "name": doc["id"],
        "host": str(doc.get("host") or doc["id"].partition("@")[2]),
        "alive": alive,
        "unit": unit,
        "user": held["key"] if held else "",
        "migration": unit.partition(".")[0],
        "since": held["claimed_at"] if held else None,
        "heartbeat_age": round(age, 1),
        "version": str(doc.get("version") or ""),
        "done": _counted(doc, "units/moved"),
        "failed": _counted(doc, "units/quarantined"),
    }


def _counted(doc: Doc, what: str) -> int | None:
    """What it counted since it was started; None if its version does not say."""
    counters = doc.get("counters")
    return int(counters.get(what, 0)) if isinstance(counters, dict) else None


def stable(row: Row) -> Row:
    """A row without what changes each second of itself."""
    return {name: value for name, value in row.items() if name != "heartbeat_age"}


def hosts(consumers: Sequence[Row]) -> list[Row]:
    """What each host runs, as its consumers say."""
    found: dict[str, Row] = {}
    for each in consumers:
        host = found.setdefault(
            each["host"],
            {
                "host": each["host"],
                "consumers": 0,
                "alive": 0,
                "working": 0,
                "versions": [],
                "heartbeat_age": each["heartbeat_age"],
            },
        )
        host["consumers"] += 1
        host["alive"] += each["alive"]
        host["working"] += bool(each["alive"] and each["unit"])
        host["heartbeat_age"] = min(host["heartbeat_age"], each["heartbeat_age"])
        if each["version"] and each["version"] not in host["versions"]:
            host["versions"].append(each["version"])
    return [found[name] for name in sorted(found)]
