"""Our protocol for one key holds in every interleaving; each plausible shortcut loses data.

The counts are those of the design: 39 scripts of up to three operations.
"""

from __future__ import annotations

import pytest

from tests.props.bucket_designs import COPIES, PLAIN, Design, Script, violated

OURS: dict[str, tuple[Design, list[Script]]] = {
    "conditional put, tombstone, marker": (Design(), PLAIN),
    "the same with copies by users, stored unmarked": (Design(), COPIES),
    "uploads that changes abort, every id kept": (Design(exclusive=False), PLAIN),
    "the same, and the marker means nothing": (
        Design(exclusive=False, aware=False, cleans=False),
        PLAIN,
    ),
    "a janitor at work that removes only what it looked at": (Design(live="if-match"), PLAIN),
}
OTHERS: dict[str, tuple[Design, list[Script], int]] = {
    "look, then put": (
        Design(conditional=False, buries=False, aware=False, cleans=False), PLAIN, 36,
    ),
    "look, then put, and a tombstone": (
        Design(conditional=False, aware=False, cleans=False), PLAIN, 36,
    ),
    "conditional put without tombstone": (
        Design(buries=False, aware=False, cleans=False), PLAIN, 25,
    ),
    "tombstone, and a reader who trusts new": (Design(aware=False, cleans=False), PLAIN, 25),
    "look again after the put": (Design(aware=False, cleans=False, compensates=True), PLAIN, 25),
    "hide old before a put": (Design(aware=False, cleans=False, masks=True), PLAIN, 32),
    "no janitor before the end": (Design(cleans=False), PLAIN, 18),
    "a janitor at work that looks and then removes": (Design(live="head"), PLAIN, 8),
    "one upload id per key": (
        Design(exclusive=False, slots=1, aware=False, cleans=False), PLAIN, 36,
    ),
    "a user's copy that keeps the marker": (Design(marks=True), COPIES, 8),
}  # fmt: skip


@pytest.mark.parametrize("name", OURS)
def test_no_interleaving_shows_a_user_anything_but_the_last_write(name: str) -> None:
    design, scripts = OURS[name]
    assert [(script, way) for script in scripts if (way := violated(design, script))] == []


@pytest.mark.parametrize("name", OTHERS)
def test_a_design_that_leaves_something_out_loses_or_revives_objects(name: str) -> None:
    design, scripts, count = OTHERS[name]
    assert len(scripts) == 39
    assert sum(bool(violated(design, script)) for script in scripts) == count


def test_the_way_to_a_loss_is_told_step_by_step() -> None:
    way = violated(OTHERS["tombstone, and a reader who trusts new"][0], ("D",))
    assert way == "copier 0 looks; user D bury; user D new; copier 0 puts; read"
