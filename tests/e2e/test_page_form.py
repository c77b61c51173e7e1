"""The page for everybody: keyboard, narrow windows, dark rooms, screen readers, hostile names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import pytest

from tests.factories import Ground
from tests.scenery import ACTIVE, MARK, SCRIPT, WRITTEN, Scenery, crowd, ground_of, scenery
from tests.servers.browser import PHONE, Visit, axe, chromium, visit
from tests.servers.centre import Serving, centre
from tests.waiting import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.xdist_group("page")
VIEWS = ("", "consumers", "hosts", "alarms", "audit", "new")
CROWD = 1_000  # migrations; the page is no slower with more, see tests/e2e/page_speed.py
COLOURS = "getComputedStyle(document.body.parentElement).backgroundColor"
LIGHT, DARK = "rgb(244, 246, 248)", "rgb(17, 22, 28)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Ground, Scenery, Serving]]:
    home = tmp_path_factory.mktemp("page") / "home"
    with ground_of(home) as ground:
        seen = scenery(ground)
        with centre(home) as serving:
            yield ground, seen, serving


@pytest.fixture
def ground(stage: tuple[Ground, Scenery, Serving]) -> Ground:
    return stage[0]


@pytest.fixture
def seen(stage: tuple[Ground, Scenery, Serving]) -> Scenery:
    return stage[1]


@pytest.fixture
def serving(stage: tuple[Ground, Scenery, Serving]) -> Serving:
    return stage[2]


@pytest.fixture
def here(browser: Browser, serving: Serving) -> Iterator[Visit]:
    with visit(browser, serving) as person:
        yield person


def everywhere(seen: Scenery) -> list[str]:
    """Every view, one migration of each sort among them."""
    return [*VIEWS, *(f"migrations/{m.id}" for m in (seen.moving, seen.stuck, seen.hostile))]


def named(place: str, seen: Scenery) -> str:
    """A view's name among the pictures that are kept."""
    sorts = {m.id: sort for sort, m in vars(seen).items()}
    return sorts.get(place.rpartition("/")[2], place or "list")


def complete(here: Visit, place: str) -> None:
    """A view with all its parts."""
    page = here.go(place)
    if place.startswith("migrations/"):
        page.wait_for_selector(".heat .cell")
        page.wait_for_selector(".chart svg, .chart .empty")
        page.wait_for_selector(".lines tbody tr")


def focused(here: Visit) -> str:
    return str(here.page.evaluate("document.activeElement.textContent.trim()"))


def serious(here: Visit) -> list[str]:
    found: list[dict[str, Any]] = axe().run(here.page).response["violations"]
    return [
        f"{each['id']}: {each['nodes'][0]['html']}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(
    ("scheme", "view"),
    [
        *(("light", view) for view in (*VIEWS, "moving")),
        *(("dark", view) for view in ("", "alarms", "new", "stuck")),  # the same parts
    ],
)
def test_no_view_has_a_serious_barrier(
    browser: Browser, serving: Serving, seen: Scenery, scheme: Literal["light", "dark"], view: str
) -> None:
    with visit(browser, serving, color_scheme=scheme) as person:
        complete(person, view if view in VIEWS else f"migrations/{vars(seen)[view].id}")
        person.shot(f"{scheme}-{view or 'list'}", whole=True)
        assert serious(person) == []


def test_dialogs_and_the_sign_in_have_no_serious_barrier(
    browser: Browser, serving: Serving, seen: Scenery
) -> None:
    with visit(browser, serving) as person:
        page = person.go(f"migrations/{seen.moving.id}")
        for act in ("cancel", "limits"):
            page.click(f"[data-act={act}]")
            person.shot(f"dialog-{act}")
            assert serious(person) == []
            page.keyboard.press("Escape")
        page.keyboard.press("?")
        person.shot("dialog-keys")
        assert serious(person) == []
    with visit(browser, serving, "") as stranger:
        stranger.page.goto(serving.url)
        stranger.page.wait_for_selector("h1:has-text('Sign in')")
        stranger.shot("sign-in")
        assert serious(stranger) == []


def test_nothing_reaches_beyond_a_narrow_window(
    browser: Browser, serving: Serving, seen: Scenery
) -> None:
    with visit(browser, serving, size=PHONE, is_mobile=True, has_touch=True) as person:
        for place in everywhere(seen):
            complete(person, place)
            person.shot(f"phone-{named(place, seen)}", whole=True)
            assert (place, person.fits()) == (place, True)
        person.go(f"migrations/{seen.moving.id}")
        person.page.click("[data-act=limits]")
        person.shot("phone-dialog")
        assert person.fits()


def test_a_migration_is_found_opened_and_paused_without_a_mouse(
    here: Visit, seen: Scenery, ground: Ground
) -> None:
    page = here.go()
    page.keyboard.press("Tab")
    assert focused(here) == "Skip to content"
    page.keyboard.press("Enter")
    page.keyboard.press("/")
    page.keyboard.type(seen.paused.id)
    eventually(lambda: page.locator("tbody tr").count() == 1)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")  # out of the fields, so that single keys mean something again
    page.keyboard.press("j")
    assert focused(here) == seen.paused.id
    page.keyboard.press("Enter")
    page.wait_for_selector(f"h1:has-text('{seen.paused.id}')")
    here.settled()
    page.keyboard.press("p")
    page.wait_for_selector("dialog:has-text('Resume')")
    page.keyboard.type("by keys alone")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog", state="detached")
    assert ground.migrations.get(seen.paused.id).hold is None
    page.keyboard.press("p")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog", state="detached")
    assert ground.migrations.get(seen.paused.id).hold == "paused"


def test_keys_lead_everywhere_and_can_be_switched_off(here: Visit) -> None:
    page = here.go()
    for letter, place in zip(
        "chatm", ("Consumers", "Hosts", "Alarms", "Audit", "Migr"), strict=True
    ):
        page.keyboard.press("g")
        page.keyboard.press(letter)
        page.wait_for_selector(f"h1:has-text('{place}')")
    page.keyboard.press("?")
    page.wait_for_selector("dialog:has-text('These keys')")
    page.uncheck("#keys-on")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    page.keyboard.press("n")
    page.keyboard.press("?")
    assert page.locator("dialog").count() == 0
    assert page.locator("h1").inner_text() == "Migrations"


def test_what_has_the_focus_is_seen_to_have_it(here: Visit) -> None:
    page = here.go()
    for _ in range(12):
        page.keyboard.press("Tab")
        style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert style == "solid", page.evaluate("document.activeElement.outerHTML")


def test_the_focus_comes_back_from_a_dialog(here: Visit, seen: Scenery) -> None:
    page = here.go(f"migrations/{seen.moving.id}")
    page.focus("[data-act=drain]")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog")
    page.keyboard.press("Escape")
    assert focused(here).startswith("Drain")


def test_single_cells_and_values_are_read_with_arrow_keys(here: Visit, seen: Scenery) -> None:
    complete(here, f"migrations/{seen.moving.id}")
    page = here.page
    page.focus(".heat")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert "user038" in str(page.get_attribute(".heat", "aria-valuetext"))
    page.focus(".plot")
    page.keyboard.press("Home")
    assert "KiB/s" in str(page.get_attribute(".plot", "aria-valuetext"))


def test_dark_and_light_follow_the_system_until_somebody_chooses(
    browser: Browser, serving: Serving
) -> None:
    with visit(browser, serving, color_scheme="dark") as person:
        page = person.go()
        assert page.evaluate(COLOURS) == DARK
        page.click("#shade")
        assert page.evaluate(COLOURS) == LIGHT
        person.go()
        assert page.evaluate(COLOURS) == LIGHT


def test_times_say_their_zone_and_change_it(here: Visit, seen: Scenery) -> None:
    page = here.go(f"migrations/{seen.done.id}")
    assert page.inner_text("#zone") == "UTC+1"
    assert "Europe/Berlin" in str(page.get_attribute("#zone", "aria-label"))
    berlin = page.inner_text(".state time >> nth=0")
    page.click("#zone")
    here.settled()
    page.wait_for_selector(".state time")
    assert page.inner_text("#zone") == "UTC"
    assert page.inner_text(".state time >> nth=0") != berlin


def test_names_and_texts_of_strangers_are_shown_and_never_obeyed(
    here: Visit, seen: Scenery
) -> None:
    for place in everywhere(seen):
        complete(here, place)
        page = here.page
        if place.endswith(seen.hostile.id):
            page.click("text=Every unit, by user")
            page.wait_for_selector("td:has-text('queued')")
            page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
            shown = page.inner_text("main")
            for text in (ACTIVE.format("item"), ACTIVE.format("owner"), SCRIPT, WRITTEN):
                assert text in shown
            assert MARK not in shown
            assert "\\u202e" in shown
        assert page.evaluate("window.__obeyed") is None
        assert page.locator("#written").count() == 0
        assert page.locator("main img").count() == 0
    page = here.go("migrations?text=odd")
    page.wait_for_selector("tbody tr")
    assert ACTIVE.format("tenant") in page.inner_text("main")
    page = here.go("consumers")
    assert page.evaluate("window.__obeyed") is None
    assert WRITTEN in page.inner_text("main")


def test_an_address_of_our_own_making_is_no_way_in_for_markup(here: Visit) -> None:
    page = here.go("migrations/" + "%3Cimg%20src=x%20onerror=%22window.__obeyed=1%22%3E")
    page.wait_for_selector("[role=alert]")
    assert page.evaluate("window.__obeyed") is None
    assert page.locator("main img").count() == 0
    here.go("constructor")
    page.wait_for_selector("h1:has-text('no such view')")


def test_of_thousands_of_migrations_a_page_is_loaded_and_the_rest_is_found(
    browser: Browser, serving: Serving, ground: Ground
) -> None:
    crowd(ground, CROWD, 300)
    with visit(browser, serving) as person:
        page = person.go()
        eventually(lambda: grown(person, CROWD))
        assert page.locator("tbody tr").count() == 50
        first = page.inner_text("tbody tr >> nth=0")
        page.click("text=Next")
        eventually(lambda: page.inner_text(".pager").startswith("51"))
        assert page.inner_text("tbody tr >> nth=0") != first
        page.click("text=Previous")
        eventually(lambda: page.inner_text(".pager").startswith("1\u2013"))
        page.fill("#seek", "/srv/old999")
        eventually(lambda: page.locator("tbody tr").count() == 1)
        person.go("consumers")
        assert page.locator("tbody tr").count() == 100
        assert "of 30" in page.inner_text(".pager")


def grown(person: Visit, many: int) -> bool:
    """Does the list, loaded again, say that it has more rows than `many`?"""
    page = person.page
    page.reload()
    page.wait_for_selector("tbody tr")
    said = page.inner_text(".pager .faint").rpartition(" of ")[2].replace(",", "")
    return said.isdigit() and int(said) > many
