"""A real Chromium from Debian's package, driven through Playwright, and one visitor's page in it.

Whatever the page complains about (an error in a script, a breach of its content policy, an answer
of 500) is kept, and a visit that ends with complaints fails its test.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.servers import roll
from tests.servers.centre import PASSWORD, Serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build/screenshots"  # kept for people to look at; git ignores build/
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
FITS = """
[document.documentElement, ...document.querySelectorAll(".card, .listing, dialog, form")]
    .every(each => each.scrollWidth <= each.clientWidth)
"""
PATIENCE = 60_000  # milliseconds for anything that a page does; it takes a fraction
_COOKIES: dict[tuple[str, int, str], Any] = {}
DESK, PHONE = (1280, 860), (390, 844)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run it until the block ends; the test is skipped where there is none."""
    binary = shutil.which("chromium")
    if binary is None or find_spec("playwright") is None:
        roll.absent("chromium", "or playwright is not installed", required=False)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=FLAGS)
        roll.used("chromium", f"{binary} {browser.version}")
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """Somebody at a page of a centre."""

    serving: Serving
    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE)
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on("console", lambda line: self._said(line.type, line.text))
        self.page.on("response", lambda answer: self._answered(answer.status, answer.url))

    def enter(self, who: str) -> None:
        """Be logged in; everybody logs in once to a centre, since passwords are slow on purpose."""
        key = (self.serving.url, self.serving.child.pid, who)
        if key not in _COOKIES:
            answer = self.context.request.post(
                f"{self.serving.url}/api/v1/session", data={"user": who, "password": PASSWORD}
            )
            assert answer.status == 204, answer.text()
            _COOKIES[key] = self.context.cookies()
        self.context.add_cookies(_COOKIES[key])

    def go(self, place: str = "") -> Page:
        """Open a view by its address, as from a bookmark, and wait until it is there."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.serving.url}/#/{place}")
        self.settled()
        return self.page

    def settled(self) -> None:
        """Wait until the view is there and the line to the centre is open."""
        self.page.wait_for_selector("main .view:not([aria-busy])")
        self.page.wait_for_selector("#live.live:not(.connecting):not(.off)")

    def shot(self, name: str, *, whole: bool = False) -> None:
        """Keep a picture for people to look at."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        if whole:
            self.page.evaluate("scrollTo(0, 0)")
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=whole)

    def fits(self) -> bool:
        """Does nothing reach beyond the sides of the window, of a card, or of a dialog?"""
        return bool(self.page.evaluate(FITS))

    def _said(self, kind: str, text: str) -> None:
        if kind == "error" and "Failed to load resource" not in text:
            self.complaints.append(f"console: {text}")

    def _answered(self, status: int, url: str) -> None:
        if status == 500:
            self.complaints.append(f"{status} from {url}")


@contextmanager
def visit(
    browser: Browser,
    serving: Serving,
    who: str = "ann",
    *,
    size: tuple[int, int] = DESK,
    **how: Any,
) -> Iterator[Visit]:
    """A visitor in a browser profile of his own; `who` is "" for a stranger."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        locale="en-GB",
        timezone_id="Europe/Berlin",
        **how,
    )
    try:
        here = Visit(serving, context, context.new_page())
        if who:
            here.enter(who)
        yield here
        assert here.complaints == []
    finally:
        context.close()


def axe() -> Any:
    """The accessibility checker; the test is skipped where it is not installed."""
    if find_spec("axe_playwright_python") is None:
        roll.absent("axe", required=False)
    from axe_playwright_python.sync_playwright import Axe

    checker = Axe()
    roll.used("axe", checker.axe_script.splitlines()[0].strip("/*! "))
    return checker
