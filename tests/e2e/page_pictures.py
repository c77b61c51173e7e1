"""Draws the pictures in docs/ from a real page: `python -m tests.e2e.page_pictures`.

Look at them before you commit them.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common.lifecycle.users import Event
from common.model import Counts, Failure, Hold, Migration, Receipt
from tests.factories import Ground
from tests.scenery import failures_of, ground_of, order, planned, take
from tests.servers.browser import ROOT, Visit, chromium, visit
from tests.servers.centre import centre

PLACE = ROOT / "docs/pictures"
WINDOW = (1140, 760)
TURNS, PAUSE = 8, 700  # milliseconds
HOSTS, PER_HOST = 8, 9
KINDS = ("home", "mail", "web", "scratch", "archive", "lab", "projects", "photos", "backup", "www")


# what becomes of each: its part that is done, and how it stands
STANDS = ((0.62, "parked"), (0.95, "parked"), (0.4, "paused"), (1.0, "done"), (1.0, "done"),
          (0.2, ""), (0.7, ""), (1.0, "done"), (0.5, "cancelled"), (0.85, ""))  # fmt: skip
PACE = 15  # seconds between two units


def busy(ground: Ground, luck: random.Random) -> Migration:
    """Ten migrations in all states; the first is on its way, and is returned."""
    found = []
    for number, (name, (part, stand)) in enumerate(zip(KINDS, STANDS, strict=True)):
        users = [f"{name}{user:04}" for user in range(60 if number else 420)]
        many = round(len(users) * part)
        ground.turned.now = time.time() - PACE * many - 300 * number
        tenant = ("", "acme", "lab")[number % 3]
        migration = planned(ground, order(ground, name, tenant=tenant), users)
        _work(ground, migration, many, luck)
        _end(ground, migration, stand)
        found.append(migration)
    _crew(ground, found[0])
    return found[0]


def _end(ground: Ground, migration: Migration, stand: str) -> None:
    change = ground.migrations
    if stand == "done":
        change.advance(migration, Event.MOVED, by="p01@h01")
    elif stand == "cancelled":
        change.advance(migration, Event.CANCEL, by="ann@centre", why="the wrong list")
    elif stand == "paused":
        change.amend(migration, by="ann@centre", what="paused", hold=Hold.PAUSED.value)
    elif stand == "parked":
        _park(ground, migration, 4)


def _work(
    ground: Ground, migration: Migration, many: int, luck: random.Random, *, size: float = 1.0
) -> None:
    for unit in take(ground, migration, "c01@h01", many):
        items, bytes_ = luck.randrange(80, 400), round(luck.randrange(300, 900) * 1e6 * size)
        ground.turned.now = min(time.time(), ground.turned.now + PACE * luck.uniform(0.6, 1.4))
        counts = Counts(items=items, moved=items - 7, skipped=7, bytes=bytes_, bytes_moved=bytes_)
        ground.units.finish(unit, Receipt(counts), seconds=20.0)


def _park(ground: Ground, migration: Migration, many: int) -> None:
    kept = Failure("notes.txt", "the target holds something that this migration did not publish",
                   "look at both; run again with --overwrite if the source is right")  # fmt: skip
    for number, unit in enumerate(take(ground, migration, "c02@h02", many)):
        found = [kept] if number == 1 else failures_of([f"Documents/report {number}.pdf"])
        ground.failures.replace(unit, found)
        receipt = Receipt(Counts(items=90, failed=1), failures=tuple(found))
        ground.units.quarantine(unit, why=found[0].reason, receipt=receipt)


def _crew(ground: Ground, migration: Migration) -> None:
    names = [f"c{n:02}@h{host:02}" for host in range(1, HOSTS + 1) for n in range(1, PER_HOST + 1)]
    for number, name in enumerate(names):
        units = take(ground, migration, name, 1) if number % 7 else []
        facts = {"host": name.partition("@")[2], "version": "0.1.0"}
        ground.turned.now = time.time()
        ground.consumers.beat(name, unit=units[0].id if units else "", **facts)


def _draw(here: Visit, place: str, name: str, work: Callable[[], object]) -> None:
    page = here.go(place)
    page.wait_for_selector("tbody tr")
    for _ in range(TURNS):
        work()
        page.wait_for_timeout(PAUSE)
    page.screenshot(path=PLACE / f"{name}.png")


def main() -> None:
    PLACE.mkdir(exist_ok=True)
    home = Path(tempfile.mkdtemp()) / "home"
    with ground_of(home) as ground, chromium() as browser:
        luck = random.Random(1)
        first = busy(ground, luck)

        def work() -> None:
            """Units go on being finished, so that there are rates."""
            for migration in ground.migrations.active():
                if not migration.hold:
                    _work(ground, migration, 1, luck, size=0.06)

        with centre(home) as serving:
            with visit(browser, serving, size=WINDOW) as here:
                _draw(here, "", "centre-list", work)
            with visit(browser, serving, size=WINDOW, color_scheme="dark") as here:
                _draw(here, f"migrations/{first.id}", "centre-migration", work)


if __name__ == "__main__":
    main()
