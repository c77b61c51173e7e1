"""What a person does on the page: each act ends in the store and in the audit trail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from common.model import Migration
from common.store.audit import Audit
from tests.factories import Ground
from tests.scenery import ground_of, moving, stuck
from tests.servers.browser import Visit, chromium, visit
from tests.servers.centre import PASSWORD, Serving, centre
from tests.waiting import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAUSE = """() => {
  document.querySelector("[data-act=pause]")?.click();
  document.querySelector("dialog button[type=submit]")?.click();
}"""
pytestmark = pytest.mark.xdist_group("page")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ground, Serving]]:
    home = tmp_path_factory.mktemp("page") / "home"
    with ground_of(home) as ground, centre(home) as serving:
        yield ground, serving


@pytest.fixture
def ground(stage: tuple[Ground, Serving]) -> Ground:
    return stage[0]


@pytest.fixture
def serving(stage: tuple[Ground, Serving]) -> Serving:
    return stage[1]


@pytest.fixture
def moved(ground: Ground, request: pytest.FixtureRequest) -> Migration:
    """A migration of this test alone, on its way."""
    return moving(ground, request.node.name)


@pytest.fixture
def halted(ground: Ground, request: pytest.FixtureRequest) -> Migration:
    """A migration of this test alone, with three units in quarantine."""
    return stuck(ground, request.node.name)


@pytest.fixture
def here(browser: Browser, serving: Serving) -> Iterator[Visit]:
    with visit(browser, serving) as person:
        yield person


def tell(here: Visit, act: str, why: str, *, name: str = "") -> None:
    """Press the act's button, give a reason (and the name, where it is wanted), and send it."""
    page = here.page
    page.click(f"[data-act={act}]")
    page.fill("#ask-why", why)
    if name:
        page.fill("#ask-confirm", name)
    page.click("dialog button[type=submit]")
    page.wait_for_selector("dialog", state="detached")


def now(ground: Ground, migration: Migration) -> Migration:
    return ground.migrations.get(migration.id)


def parked(ground: Ground, migration: Migration) -> int:
    return ground.units.sums(migration).quarantined


def trail(ground: Ground, migration: Migration) -> list[tuple[str, str, str, str]]:
    """What the audit trail says of it, the newest first: what, who, why, outcome."""
    lines = Audit(ground.store).latest(to=migration.id)
    return [(line["what"], line["by"], line["why"], line["outcome"]) for line in lines]


def test_a_migration_is_paused_and_resumed(here: Visit, ground: Ground, moved: Migration) -> None:
    here.go(f"migrations/{moved.id}")
    tell(here, "pause", "the source is slow")
    assert now(ground, moved).hold == "paused"
    assert trail(ground, moved)[0] == ("pause", "ann@centre", "the source is slow", "done")
    here.page.wait_for_selector("h1 + .state .badge:text-is('paused')")
    tell(here, "resume", "it is well again")
    assert now(ground, moved).hold is None
    assert trail(ground, moved)[0] == ("resume", "ann@centre", "it is well again", "done")
    here.page.wait_for_selector("h1 + .state .badge:text-is('moving')")


def test_a_migration_is_drained(here: Visit, ground: Ground, moved: Migration) -> None:
    here.go(f"migrations/{moved.id}")
    tell(here, "drain", "a host goes down tonight")
    assert now(ground, moved).hold == "draining"
    assert trail(ground, moved)[0][0] == "drain"


def test_a_migration_is_cancelled_by_its_name_only(
    here: Visit, ground: Ground, moved: Migration
) -> None:
    page = here.go(f"migrations/{moved.id}")
    page.click("[data-act=cancel]")
    send = page.locator("dialog button[type=submit]")
    assert send.is_disabled()
    page.fill("#ask-confirm", moved.id[:-1])
    assert send.is_disabled()
    page.keyboard.press("Escape")
    assert now(ground, moved).phase == "moving"
    tell(here, "cancel", "the wrong list", name=moved.id)
    assert now(ground, moved).phase == "cancelled"
    assert trail(ground, moved)[0] == ("cancel", "ann@centre", "the wrong list", "done")
    page.wait_for_selector(".lit:has-text('cancelled')")
    assert page.locator("[data-act]").count() == 0


def test_all_units_in_quarantine_are_queued_again(
    here: Visit, ground: Ground, halted: Migration
) -> None:
    assert parked(ground, halted) == 3
    here.go(f"migrations/{halted.id}")
    tell(here, "requeue", "permissions are mended", name=halted.id)
    assert parked(ground, halted) == 0
    assert trail(ground, halted)[0] == ("requeue", "ann@centre", "permissions are mended", "done")
    here.page.wait_for_selector(".notice:has-text('3 units')")


def test_chosen_units_are_released_from_quarantine(
    here: Visit, ground: Ground, halted: Migration
) -> None:
    page = here.go(f"migrations/{halted.id}")
    page.click("text=Every unit, by user")
    page.select_option("[aria-label='State of units']", "quarantined")
    page.locator("[aria-label^='Choose ']").first.check()
    page.click("button:has-text('Release 1 unit')")
    page.fill("#ask-why", "this one is mended")
    page.click("dialog button[type=submit]")
    page.wait_for_selector("dialog", state="detached")
    assert parked(ground, halted) == 2
    assert trail(ground, halted)[0][1:] == ("ann@centre", "this one is mended", "done")


def test_a_limit_is_changed_and_another_taken_away(
    here: Visit, ground: Ground, moved: Migration
) -> None:
    page = here.go(f"migrations/{moved.id}")
    page.click("[data-act=limits]")
    page.fill("#ask-bandwidth", "")
    page.fill("[name='source.requests']", "500/s")
    page.fill("#ask-why", "office hours")
    page.click("dialog button[type=submit]")
    page.wait_for_selector("dialog", state="detached")
    assert dict(now(ground, moved).limits) == {"source.requests": "500/s"}
    assert trail(ground, moved)[0] == ("limits", "ann@centre", "office hours", "done")
    page.wait_for_selector("dd:text-is('500/s')")


def test_a_refusal_is_shown_where_it_was_asked_and_what_was_typed_stays(
    here: Visit, ground: Ground, moved: Migration
) -> None:
    page = here.go(f"migrations/{moved.id}")
    page.click("[data-act=limits]")
    page.fill("#ask-bandwidth", "a lot")
    page.click("dialog button[type=submit]")
    page.wait_for_selector("dialog [role=alert]:has-text('is no size')")
    assert page.input_value("#ask-bandwidth") == "a lot"
    assert dict(now(ground, moved).limits) == {"bandwidth": "200MiB/s"}


def test_an_order_is_previewed_and_only_what_was_previewed_begins(
    here: Visit, ground: Ground, tmp_path: Path
) -> None:
    for user in ("ada", "bob"):
        (tmp_path / "old" / user).mkdir(parents=True)
    page = here.go("new")
    page.fill("#order-source", f"{tmp_path}/old")
    page.fill("#order-target", f"{tmp_path}/new")
    page.fill("#order-users", "ada\nbob\n../etc")
    page.click("button:text-is('Preview')")
    page.wait_for_selector(".verdict:has-text('can be begun')")
    assert page.locator(".preview dt:text-is('Users') + dd").inner_text() == "2"
    assert "../etc" in page.inner_text(".preview")
    assert not (tmp_path / "new").exists()
    page.fill("#order-users", "ada\nbob")
    page.wait_for_selector("text=The order was changed")
    assert page.locator("text=Begin the migration").is_hidden()
    page.click("button:text-is('Preview')")
    page.click("text=Begin the migration")
    page.wait_for_selector("h1:has-text('users-')")
    begun = ground.migrations.get(page.inner_text("h1"))
    assert begun.source == f"file://{tmp_path}/old/{{user}}"
    assert ground.units.sums(begun).total == 2
    assert [act[:2] for act in trail(ground, begun)] == [("migrate", "ann@centre")]


def test_an_order_that_cannot_be_is_told_with_what_to_do(here: Visit, tmp_path: Path) -> None:
    page = here.go("new")
    page.fill("#order-source", f"{tmp_path}/nowhere")
    page.fill("#order-target", f"{tmp_path}/new")
    page.click("button:text-is('Preview')")
    page.wait_for_selector(".preview :is(.trouble, .note.bad)")
    assert page.locator("text=Begin the migration").is_hidden()


def test_a_viewer_sees_everything_and_is_offered_nothing(
    browser: Browser, serving: Serving, halted: Migration
) -> None:
    with visit(browser, serving, "vera") as vera:
        page = vera.go(f"migrations/{halted.id}")
        page.wait_for_selector(".reason")
        assert page.locator("[data-act], [data-hold=requeue-all]").count() == 0
        vera.go()
        assert page.locator("text=New migration").count() == 0
        vera.go("new")
        page.fill("#order-source", "/srv/old")
        page.fill("#order-target", "/srv/new")
        page.click("button:text-is('Preview')")
        page.wait_for_selector("[role=alert]:has-text('wants operator')")


def test_somebody_signs_in_and_out(browser: Browser, serving: Serving, moved: Migration) -> None:
    with visit(browser, serving, "") as stranger:
        page = stranger.page
        page.goto(f"{serving.url}/#/migrations/{moved.id}")
        page.fill("#enter-user", "ann")
        page.fill("#enter-password", "wrong")
        page.click("button:text-is('Sign in')")
        page.wait_for_selector("[role=alert]:has-text('not right')")
        page.fill("#enter-password", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector(f"h1:has-text('{moved.id}')")
        page.click("#leave")
        page.wait_for_selector("h1:has-text('Sign in')")
        assert page.locator("h1:has-text('users-')").count() == 0
        assert not any(cookie["name"] == "convoy_session" for cookie in stranger.context.cookies())


def test_a_session_that_ended_leads_to_the_sign_in_and_back(
    here: Visit, serving: Serving, ground: Ground, moved: Migration
) -> None:
    page = here.go(f"migrations/{moved.id}")
    here.context.clear_cookies()
    page.evaluate(PAUSE)  # unless the page has noticed by itself already
    page.wait_for_selector("h1:has-text('Sign in')")
    assert now(ground, moved).hold is None
    page.fill("#enter-user", "otto")
    page.fill("#enter-password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector(f"h1:has-text('{moved.id}')")
    eventually(lambda: page.inner_text("#person") == "otto (approver)")
