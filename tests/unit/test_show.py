"""What a person sees, at 80 and at 120 columns; strangers' names do nothing to a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console, RenderableType

from common.errors import (
    Conflict,
    ConvoyError,
    Corrupt,
    Denied,
    IllegalTransition,
    Missing,
    Refused,
    Transient,
)
from ops.cli import exits, show
from ops.doctor import Finding
from tests.unit.test_report import composed, migration

FAILURE = {
    "unit": "users-1.2.0123456789abcdef",
    "user": "ann",
    "item": "a/very/long/path/" * 12,
    "reason": "the target holds something else that was not published by us",
    "advice": "look at both",
}


def drawn(what: RenderableType, width: int) -> str:
    file = io.StringIO()
    Console(file=file, width=width, highlight=False, markup=False).print(what)
    return file.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_a_report_fits_the_terminal_and_loses_no_part_of_a_name(width: int) -> None:
    text = drawn(show.report(composed(listed=[FAILURE])), width)
    assert max(map(len, text.splitlines())) <= width
    assert "".join(text.split()).count("a/very/long/path/") >= 1
    for word in ("users-1", "generation 2", "7 moved", "2 right already", "1 mended", "look at"):
        assert word in text


def test_the_verdict_comes_first_and_is_plain() -> None:
    complete, wanting = drawn(show.report(composed()), 80), composed(listed=[FAILURE])
    wanting["items"]["failed"] = 1
    assert "Everything arrived." in complete.splitlines()[2]
    assert "Not complete: 1 item did not arrive." in drawn(show.report(wanting), 80)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"phase": "cancelled"}, "Cancelled."),
        ({"phase": "planning"}, "Still planning."),
        ({"refused": 2}, "Not complete: 2 lines of the list refused."),
        (
            {"units": {"queued": 1, "running": 1, "done": 1, "quarantined": 3, "total": 6}},
            "Not complete: 3 units in quarantine, 2 units not done.",
        ),
    ],
)
def test_the_verdict_names_everything_that_is_wanting(
    changes: dict[str, Any], verdict: str
) -> None:
    assert show.verdict(composed() | {"complete": False} | changes).plain == verdict


def test_a_verification_has_words_of_its_own() -> None:
    agree = composed(migration(options={"pass": "verify"}))
    assert show.verdict(agree).plain == "Both sides agree, item by item."
    differ = agree | {"complete": False, "items": agree["items"] | {"failed": 2}}
    assert show.verdict(differ).plain == "The two sides differ: 2 items differ."
    assert "2 agree, 2 differ" in drawn(show.report(differ), 80)


def test_long_lists_are_cut_and_say_where_the_rest_is() -> None:
    found = composed(listed=[FAILURE] * 30, more=70)
    found["notices"] = [f"notice {number}" for number in range(15)]
    text = drawn(show.report(found), 100)
    assert "and 80 more: convoy failures users-1" in text
    assert "owner: not kept (3 times)" in text
    assert "and 6 more (--json shows them)" in text


def test_what_a_terminal_would_obey_is_shown_as_an_escape() -> None:
    assert show.plain("a\x1b[31mb\nc\u202ed\udcff") == "a\\x1b[31mb\\nc\\u202ed\\udcff"
    assert show.plain("müller 田中 [red]") == "müller 田中 [red]"
    row = FAILURE | {"item": "\x1b]0;title\x07[bold]x", "user": "\x9b2J"}
    text = drawn(show.report(composed(listed=[row])), 120)
    assert not {"\x1b", "\x07", "\x9b"} & set(text)
    assert "[bold]x" in text


def test_a_reason_does_not_repeat_the_name_of_its_item() -> None:
    row = FAILURE | {"item": "a.txt", "reason": "a.txt: changed while it was read"}
    assert drawn(show.failures([row]), 100).count("a.txt") == 1


def test_options_are_named_only_where_they_are_in_force() -> None:
    assert show.options({"check": "md5", "overwrite": False, "hook_freeze": ""}) == "check md5"
    assert show.options({"overwrite": True, "check": "size"}) == "check size, overwrite"


def test_findings_say_what_to_do_below_what_is_wrong() -> None:
    found = [Finding("home", "wrong", "open to others", "chmod 700"), Finding("disk", "good", "ok")]
    lines = [line.rstrip() for line in drawn(show.findings(found), 80).splitlines()]
    assert lines == ["wrong  home  open to others", "             chmod 700", "good   disk  ok"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused("x"), 2),
        (Missing("x"), 2),
        (Conflict("x"), 2),
        (Corrupt("x"), 1),
        (Transient("x"), 3),
        (Denied("x"), 3),
        (IllegalTransition("x"), 70),
        (ConvoyError("x"), 3),
    ],
)
def test_every_error_has_its_exit_code(error: ConvoyError, code: int) -> None:
    assert exits.code_of(error) == code
