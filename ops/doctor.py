"""Looks at everything that Convoy needs here, and says for each thing that is wrong what to do.

It starts nothing and mends nothing; the only thing it writes is one record, which it removes.
No password ever leaves it.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import SecretStr

from common.errors import ConvoyError, Transient
from common.lifecycle.units import State
from common.quantities import show_size, show_span
from common.queue.broker import Broker
from common.settings import Settings
from common.store.base import Doc
from ops import embedded
from ops.desk import Desk, addressed, desk

GOOD, NOTE, WRONG = "good", "note", "wrong"
LEAST_FREE, LITTLE_FREE = 100 << 20, 1 << 30  # bytes
LEAST_CELERY = (5, 7)  # older ones do not come back when the broker went away
SKEW = 5.0  # seconds between two clocks that are still nothing to mention
GLANCE = 0.2  # seconds between two looks for signs of life
PACKAGES = ("convoy", "celery", "kombu", "redis", "pymongo", "boto3")
_TIME = "local t = redis.call('TIME') return {tonumber(t[1])}"
_PASSWORD = re.compile(r"//.*@")
_PATH = re.compile(r"^(https?://[^/]*)/.*")  # of a webhook it is the secret


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: str  # good, note, wrong
    said: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Sign:
    """A consumer's record as it was just written, and how far its clock is ahead of ours."""

    row: Doc
    skew: float

    @property
    def clock(self) -> str:
        way = "ahead of" if self.skew > 0 else "behind"
        return f"that of {self.row['id']} is {show_span(abs(self.skew))} {way} ours"


def findings(settings: Settings) -> Iterator[Finding]:
    """Look at one thing after the other; one that cannot be looked at is wrong."""
    for what, look in (
        ("software", _software),
        ("addresses", _addresses),
        ("home", _home),
        ("disk", _disk),
        ("broker", _broker),
        ("store", _store),
        ("consumers", _consumers),
        ("migrations", _migrations),
    ):
        yield from _looked(what, look, settings)


def as_json(found: list[Finding], settings: Settings) -> dict[str, Any]:
    """All findings and settings, for a program."""
    return {
        "ok": all(f.state != WRONG for f in found),
        "findings": [asdict(f) for f in found],
        "settings": shown(settings),
    }


def shown(settings: Settings) -> dict[str, str]:
    """Every setting as text, passwords left out."""
    values = ((name, getattr(settings, name)) for name in type(settings).model_fields)
    return {
        name: redacted(value.get_secret_value()) if isinstance(value, SecretStr) else str(value)
        for name, value in values
    }


def redacted(url: str) -> str:
    """A URL without user, password and options; one of the web without its path, too."""
    return _PATH.sub(r"\1/***", _PASSWORD.sub("//***@", url.partition("?")[0]))


def _looked(
    what: str, look: Callable[[Settings], Iterator[Finding]], settings: Settings
) -> Iterator[Finding]:
    try:
        yield from look(settings)
    except ConvoyError as error:
        yield Finding(what, WRONG, str(error), error.hint)


def _software(_: Settings) -> Iterator[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    versions = {name: installed(name) for name in PACKAGES}
    said = ", ".join(f"{name} {number}" for name, number in versions.items())
    yield Finding("software", GOOD, f"python {python}, sqlite {sqlite3.sqlite_version}, {said}")
    if tuple(map(int, re.findall(r"\d+", versions["celery"])[:2])) < LEAST_CELERY:
        yield Finding("software", WRONG, "celery is too old", "install convoy's own dependencies")


def installed(package: str) -> str:
    """The version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unpackaged"


def _addresses(settings: Settings) -> Iterator[Finding]:
    if settings.embedded:
        yield Finding("addresses", GOOD, "none set: everything runs on this machine")
        return
    here = addressed(settings)  # Refused if one is missing
    said = f"broker {redacted(here.broker())}, store {redacted(here.state())}"
    yield Finding("addresses", GOOD, said)


def _home(settings: Settings) -> Iterator[Finding]:
    home = settings.home
    if not home.exists():
        yield Finding("home", GOOD, f"{home} is made on first use")
        return
    found = home.stat()
    if found.st_uid != os.getuid():
        yield Finding("home", WRONG, f"{home} is not yours", "set CONVOY_HOME to one of your own")
    elif found.st_mode & 0o077:
        said = f"{home} is open to others (mode {found.st_mode & 0o777:o})"
        yield Finding("home", WRONG, said, f"chmod 700 {home}")
    else:
        yield Finding("home", GOOD, f"{home}, yours alone")


def _disk(settings: Settings) -> Iterator[Finding]:
    place = settings.home
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    said = f"{show_size(free)} free for {settings.home}"
    if free < LITTLE_FREE:
        state = WRONG if free < LEAST_FREE else NOTE
        yield Finding("disk", state, said, "make room: records and logs are kept there")
    else:
        yield Finding("disk", GOOD, said)


def _broker(settings: Settings) -> Iterator[Finding]:
    here = addressed(settings)
    if here.broker_url is None:
        server = embedded.find_server(os.environ)
        yield Finding("broker", GOOD, f"nothing runs here now; {server} is there to be started")
        return
    broker = Broker(here.broker())
    try:
        told = broker.settings()
        [theirs] = broker.script(_TIME, [], [])
        with desk(settings) as known:
            skew = theirs - known.clock.wall()
    finally:
        broker.close()
    yield Finding("broker", GOOD, f"redis {told['version']} answers")
    if told["appendonly"] != "yes":
        said = "it keeps no append-only file: what is queued is lost when it dies, and sent again"
        yield Finding("broker", NOTE, said, "set appendonly yes, appendfsync everysec")
    if told["policy"] != "noeviction":
        said = f"it throws keys away when memory is short ({told['policy']})"
        yield Finding("broker", WRONG, said, "set maxmemory-policy noeviction")
    if abs(skew) > SKEW:
        said = f"its clock is {show_span(abs(skew))} {'ahead of' if skew > 0 else 'behind'} ours"
        yield Finding("broker", NOTE, said, "set both clocks by NTP; timetables go by them")


def _store(settings: Settings) -> Iterator[Finding]:
    if settings.embedded and not (settings.home / "state.db").exists():
        yield Finding("store", GOOD, "no records yet")
        return
    with desk(settings) as here:
        marks, name = here.store.collection("marks"), f"doctor/{uuid.uuid4().hex}"
        began = here.clock.tick()
        written = marks.insert({"id": name, "migration": "doctor", "group": "", "fence": 0})
        gone = marks.remove({"id": name})
        spent = here.clock.tick() - began
        where = redacted(here.settings.state())
    if not (written and gone):
        raise Transient(f"{where} does not keep what is written", hint="look at its log")
    yield Finding("store", GOOD, f"{where} takes a write in {spent / 2 * 1000:.1f} ms")


def _consumers(settings: Settings) -> Iterator[Finding]:
    if addressed(settings).broker_url is None:
        yield Finding("consumers", GOOD, "none: nothing runs here now")
        return
    with desk(settings) as here:
        yield from life(here)


def life(here: Desk) -> Iterator[Finding]:
    """Who of the consumers lives: whose counter moves while we look, whatever the clocks say."""
    signs = _signs(here)
    alive = [sign for sign in signs.values() if sign]
    if not alive:
        yield Finding("consumers", WRONG, "none gave a sign of life", "start `convoy consumer`")
        return
    said = f"{len(alive)} of {len(signs)} gave a sign of life"
    if silent := [name for name, sign in signs.items() if not sign]:
        advice = "look at their hosts and logs; what they held goes to others by itself"
        yield Finding("consumers", NOTE, f"{said}; none came from {_some(silent)}", advice)
    else:
        yield Finding("consumers", GOOD, said)
    if off := [sign.clock for sign in alive if abs(sign.skew) > SKEW]:
        said, advice = (
            f"clocks differ: {_some(off)}",
            "set all by NTP; no lease depends on them",
        )
        yield Finding("consumers", NOTE, said, advice)
    if len(kinds := {str(sign.row.get("version")) for sign in alive}) > 1:
        said = f"they run different versions: {', '.join(sorted(kinds))}"
        yield Finding("consumers", NOTE, said, "upgrade all of them")


def _signs(here: Desk) -> dict[str, Sign | None]:
    """Every consumer with the sign it gave while we looked, two beats long at most."""
    first = {row["id"]: row["beat"] for row in here.consumers.all()}
    signs: dict[str, Sign | None] = dict.fromkeys(first)
    until = here.clock.tick() + 2 * here.settings.beat.total_seconds() + GLANCE
    while not all(signs.values()) and here.clock.tick() < until:
        here.clock.sleep(GLANCE)
        for row in here.consumers.all():
            if not signs.get(row["id"]) and row["beat"] != first.get(row["id"]):
                signs[row["id"]] = Sign(row, row["at"] - here.clock.wall())
    return signs


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _migrations(settings: Settings) -> Iterator[Finding]:
    if settings.embedded and not (settings.home / "state.db").exists():
        return
    with desk(settings) as here:
        active = here.migrations.active()
        parked = [m.id for m in active if here.units.some(m, State.QUARANTINED)]
        runs = here.broker is not None
    yield Finding("migrations", GOOD, f"{len(active)} are not at an end")
    if parked:
        said = f"a person has to look at {', '.join(parked[:5])}"
        yield Finding("migrations", NOTE, said, f"`convoy failures {parked[0]}`")
    if active and not runs:
        advice = "`convoy up`, or the same `convoy migrate` again"
        yield Finding("migrations", NOTE, "nothing runs that could move them", advice)
