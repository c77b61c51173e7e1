"""The page while things happen: a real migration moves, lines break, the centre goes away."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from common.lifecycle.users import Event
from tests.guest import Guest
from tests.scenery import ground_of, moving
from tests.servers.browser import Visit, chromium, visit
from tests.servers.centre import PASSWORD, Serving, centre
from tests.terminal import Terminal
from tests.waiting import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.xdist_group("page")
USERS, FILES, SIZE = 24, 4, 64 << 10
SLOW = "512KiB/s"  # twelve seconds for all of them


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@contextmanager
def up(home: Path) -> Iterator[Terminal]:
    """A fleet of this machine that waits for orders."""
    terminal = Terminal(home)
    with terminal.started("up", "--consumers", "2") as running:
        eventually(lambda: (home / "redis").is_dir() and terminal.told("list") == [])
        yield terminal
        running.terminate()
        running.wait(30)


def trees(root: Path) -> None:
    for user in range(USERS):
        home = root / f"user{user:02}"
        home.mkdir(parents=True)
        for number in range(FILES):
            (home / f"file{number}").write_bytes(bytes([user]) * SIZE)


def done(page_text: str) -> int:
    found = re.search(r"([\d,]+) of [\d,]+ units?", page_text)
    return int(found[1].replace(",", "")) if found else -1


def test_a_migration_is_begun_slowed_hurried_and_watched_to_its_end_without_a_reload(
    browser: Browser, tmp_path: Path
) -> None:
    trees(tmp_path / "old")
    home = tmp_path / "home"
    with up(home) as terminal, centre(home) as serving, visit(browser, serving) as here:
        page = here.go("new")
        page.evaluate("window.__loaded = 1")
        page.fill("#order-source", str(tmp_path / "old"))
        page.fill("#order-target", str(tmp_path / "new"))
        page.click("text=Limits, tenant, reason")
        page.fill("#order-why", "old disks")
        page.fill("#order-bandwidth", SLOW)
        page.click("button:text-is('Preview')")
        page.click("text=Begin the migration")
        page.wait_for_selector(".figure.far .value")
        seen: set[int] = set()

        def moves() -> bool:
            seen.add(done(page.inner_text(".figure.far")))
            return len(seen) >= 3

        eventually(moves, within=60)
        page.wait_for_selector(".crew li")
        page.click("[data-act=limits]")
        page.fill("#ask-bandwidth", "")
        page.click("dialog button[type=submit]")
        page.wait_for_selector(".state .badge:text-is('done')", timeout=60_000)
        eventually(lambda: done(page.inner_text(".figure.far")) == USERS)
        page.wait_for_selector(".lit:has-text('done')")
        assert page.evaluate("window.__loaded") == 1
        eventually(lambda: page.locator(".heat .cell.s4").count() == USERS)
        here.shot("live-done", whole=True)
        [row] = terminal.told("list")
        assert row["phase"] == "done"
        trail = {line["what"]: (line["by"], line["why"]) for line in terminal.told("audit")}
        assert trail["migrate"] == ("ann@centre", "old disks")
        assert trail["limits"] == ("ann@centre", "")
    assert (tmp_path / "new/user05/file1").read_bytes() == bytes([5]) * SIZE


def test_rows_of_the_list_change_and_appear_by_themselves(browser: Browser, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with ground_of(home) as ground, centre(home) as serving, visit(browser, serving) as here:
        ground.turned.now = time.time()  # the centre asks for what changed of late
        first = moving(ground, "first")
        page = here.go()
        page.wait_for_selector(f"tr:has-text('{first.id}') .badge:text-is('moving')")
        ground.turned.now = time.time()
        ground.migrations.advance(first, Event.CANCEL, by="somebody@elsewhere")
        page.wait_for_selector(f"tr:has-text('{first.id}') .badge:text-is('cancelled')")
        second = moving(ground, "second")
        page.wait_for_selector(f"tr:has-text('{second.id}')")


def test_a_centre_that_goes_away_is_said_and_its_return_shows_what_happened_meanwhile(
    browser: Browser, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    with ground_of(home) as ground:
        migration = moving(ground)
        with centre(home) as serving, visited(browser, serving) as here:
            place = serving.url.removeprefix("http://")
            page = here.go(f"migrations/{migration.id}")
            serving.child.kill()
            page.wait_for_selector("#live:has-text('Not live')")
            page.click("[data-act=pause]")
            page.click("dialog button[type=submit]")
            page.wait_for_selector("dialog [role=alert]:has-text('does not answer')")
            page.keyboard.press("Escape")
            ground.turned.now = time.time()
            ground.migrations.amend(migration, by="x", what="paused", hold="paused")
            with centre(home, listen=place):
                page.wait_for_selector("h1:has-text('Sign in')", timeout=60_000)
                page.fill("#enter-user", "ann")
                page.fill("#enter-password", PASSWORD)
                page.keyboard.press("Enter")
                page.wait_for_selector(".state .badge:text-is('paused')")


@contextmanager
def visited(browser: Browser, serving: Serving) -> Iterator[Visit]:
    """A visit during which the centre may be away, which browsers complain about."""
    with visit(browser, serving) as here:
        yield here
        here.complaints[:] = [each for each in here.complaints if "ERR_" not in each]


def test_a_page_before_which_nobody_sits_keeps_no_session_alive(tmp_path: Path) -> None:
    with centre(tmp_path / "home", CONVOY_CENTRE_IDLE="3s") as serving:
        guest = Guest(serving.url)
        assert guest.log_in("vera", PASSWORD).status == 204
        guest.headers["X-Convoy-Absent"] = "1"
        eventually(lambda: guest.get("/migrations").status == 401)
