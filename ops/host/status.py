"""What a host runs, as one look at its locks, signs and disk shows it; asks no store, no broker."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from typing import Any

from common import presence
from common.clock import Clock
from common.errors import Corrupt
from common.presence import Seen
from common.settings import Settings
from ops.doctor import installed
from ops.host import memory, wanted
from ops.host.judge import Limits, Past, silence
from ops.host.memory import Memory
from ops.host.roles import ROLES, Role


def look(home: Path, settings: Settings, clock: Clock) -> dict[str, Any]:
    """Everything about this host, as JSON; a person sees `ops.cli.show` of it."""
    known, now = memory.read(home), clock.tick()
    posts = [post for kind in ROLES.values() for post in _posts(home, kind, settings, known, now)]
    return {
        "host": settings.node,
        "machine": platform.node(),
        "home": str(home.absolute()),
        "version": installed("convoy"),
        "deployed": _deployed(home),
        "at": clock.wall(),
        "disk_free": shutil.disk_usage(_there(home)).free,
        "watchdog": now - known.round if known.round else None,
        "roles": {kind.name: _role(home, kind, posts) for kind in ROLES.values()},
        "posts": posts,
    }


def _role(home: Path, kind: Role, posts: list[dict[str, Any]]) -> dict[str, Any]:
    try:
        wish, damaged = wanted.read(home, kind), ""
    except Corrupt as error:
        wish, damaged = None, str(error)
    ours = [post for post in posts if post["role"] == kind.name]
    return {
        "on": bool(wish and wish.on),
        "count": wish.count if wish else 0,
        "wanted": len(wish.posts()) if wish else 0,
        "alive": sum(post["alive"] and not post["hung"] for post in ours),
        "ending": sum(bool(post["ending"]) for post in ours),
        "damaged": damaged,
    }


def _posts(
    home: Path, kind: Role, settings: Settings, known: Memory, now: float
) -> list[dict[str, Any]]:
    seen = {each.name: each for each in presence.everyone(home, kind.name, settings.node)}
    try:
        wish = wanted.read(home, kind)
    except Corrupt:
        wish = None
    names = set(wish.posts()) if wish else set()
    for name in names - seen.keys():
        seen[name] = Seen(kind.name, f"{name}@{settings.node}", held=False)
    there = {name: each for name, each in seen.items() if each.held or name in names}
    limits = Limits.of(settings)
    return [
        _post(each, known.of(kind.name, name), now, limits, wanted_=name in names)
        for name, each in sorted(there.items())
    ]


def _post(seen: Seen, past: Past, now: float, limits: Limits, *, wanted_: bool) -> dict[str, Any]:
    who, sign = seen.who, seen.sign if seen.held else None
    leaving = past.told and who and past.pid == who.pid
    return {
        "role": seen.role,
        "post": seen.node,
        "wanted": wanted_,
        "alive": seen.held,
        "hung": silence(seen, who, past, now, limits) if seen.held and who else "",
        "ending": past.why if leaving else "",
        "pid": who.pid if who else None,
        "version": who.version if who else "",
        "unit": sign.unit if sign else "",
        "sign": now - sign.tick if sign else None,
        "up": now - who.since if who else None,
        "falls": past.falls,
        "due": max(0.0, past.due - now) if past.due and not seen.held else None,
        "alarm": past.alarmed,
    }


def _deployed(home: Path) -> str:
    """The version that the next start takes, where versions are deployed."""
    current = home / "current"
    return current.resolve().name if current.is_symlink() else ""


def _there(home: Path) -> Path:
    while not home.exists():
        home = home.parent
    return home
