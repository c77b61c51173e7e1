"""How soon the page can be used over a large fleet: `python -m tests.e2e.page_speed`.

A browser without anything in its cache opens the lists over 10,000 migrations and 1,000 consumers,
again and again. Counted is the time from the start of the navigation to a painted list whose main
thread is free again; then the time from a keystroke in the search to the list that it asks for.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.scenery import crowd, ground_of, moving
from tests.servers.browser import chromium, visit
from tests.servers.centre import Serving, centre

if TYPE_CHECKING:
    from playwright.sync_api import Browser

GOAL = 1.0  # seconds
READY = """
new MutationObserver(() => {
  if (window.__seen || document.querySelectorAll("tbody tr").length < 50) return;
  window.__seen = true;
  requestAnimationFrame(() => setTimeout(() => {
    document.documentElement.dataset.ready = performance.now();
  }));
}).observe(document, {childList: true, subtree: true});
"""
FOUND = """
async (text) => {
  const field = document.getElementById("seek"), began = performance.now();
  field.value = text;
  field.dispatchEvent(new Event("input"));
  const one = () => document.querySelectorAll("tbody tr").length === 1;
  while (!one()) await new Promise(requestAnimationFrame);
  return performance.now() - began;
}
"""


def opened(browser: Browser, serving: Serving, place: str) -> float:
    """Seconds until a list can be used, by a browser that was never here."""
    with visit(browser, serving) as here:
        here.page.add_init_script(READY)
        here.page.goto(f"{serving.url}/#/{place}")
        here.page.wait_for_selector("html[data-ready]")
        return float(here.page.get_attribute("html", "data-ready") or "nan") / 1000


def found(browser: Browser, serving: Serving, text: str) -> float:
    """Seconds from a keystroke to the one row that it asks for (the page waits 0.25 of them)."""
    with visit(browser, serving) as here:
        here.go()
        return float(here.page.evaluate(FOUND, text)) / 1000


def said(what: str, taken: list[float]) -> bool:
    middle, worst = statistics.median(taken), max(taken)
    print(f"{what:34} median {middle:5.2f} s   worst {worst:5.2f} s   of {len(taken)}")  # noqa: T201
    return middle < GOAL


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--migrations", type=int, default=10_000)
    words.add_argument("--consumers", type=int, default=1_000)
    words.add_argument("--rounds", type=int, default=10)
    given = words.parse_args()
    home = Path(tempfile.mkdtemp()) / "home"
    with ground_of(home) as ground, chromium() as browser:
        moving(ground)
        crowd(ground, given.migrations, given.consumers)
        with centre(home) as serving:
            rounds = range(given.rounds)
            opened(browser, serving, "")  # the centre's own first look is its start, not ours
            good = [
                said("list of migrations", [opened(browser, serving, "") for _ in rounds]),
                said("list of consumers", [opened(browser, serving, "consumers") for _ in rounds]),
                said(
                    "a search for one of all",
                    [found(browser, serving, f"/srv/old{4321 + n}") for n in rounds],
                ),
            ]
    load = os.getloadavg()[0]
    print(f"{given.migrations:,} migrations, {given.consumers:,} consumers; load {load:.1f}")  # noqa: T201
    raise SystemExit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
