"""Logs are lines of JSON on standard error, bound to what is in hand; checked in a child."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from common.errors import Refused
from common.telemetry import logs

PROGRAM = """
import logging
import structlog
from common.telemetry import logs

logs.configure()
log = structlog.get_logger("ours")
log.info("unit.claimed")
with structlog.contextvars.bound_contextvars(migration="m", unit="u", epoch=3):
    log.info("unit.moved", items=2, name="caf\\udce9", odd={1}, two="a\\nb")
    logging.getLogger("theirs").warning("%s of %d", "one", 2)
    try:
        raise ValueError("no")
    except ValueError:
        log.exception("unit.crashed")
        logging.getLogger("theirs").exception("broke")
log.debug("unit.looked")
logs.configure(level="debug")
log.debug("unit.looked")
"""


def lines(**environ: str) -> list[dict[str, Any]]:
    """What the program wrote, each line read as JSON."""
    env = {k: v for k, v in os.environ.items() if k != "CONVOY_LOG"} | environ
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, env=env, check=True)
    assert done.stdout == b""
    assert done.stderr.isascii()
    return [json.loads(line) for line in done.stderr.splitlines()]


@pytest.fixture(scope="module")
def said() -> list[dict[str, Any]]:
    return lines()


def test_every_line_has_a_time_a_level_and_an_event(said: list[dict[str, Any]]) -> None:
    events = ["unit.claimed", "unit.moved", "one of 2", "unit.crashed", "broke", "unit.looked"]
    assert [line["event"] for line in said] == events
    assert [line["level"] for line in said] == [
        "info",
        "info",
        "warning",
        "error",
        "error",
        "debug",
    ]
    assert all(line["timestamp"].endswith("Z") for line in said)


def test_what_is_bound_stands_in_our_lines_and_in_those_of_libraries(
    said: list[dict[str, Any]],
) -> None:
    bound = [{k: line.get(k) for k in ("migration", "unit", "epoch")} for line in said]
    assert bound[1:5] == [{"migration": "m", "unit": "u", "epoch": 3}] * 4
    assert bound[0] == bound[5] == {"migration": None, "unit": None, "epoch": None}


def test_any_value_can_be_logged_in_one_line(said: list[dict[str, Any]]) -> None:
    moved = said[1]
    assert (moved["items"], moved["name"], moved["odd"], moved["two"]) == (
        2,
        "caf\udce9",
        "{1}",
        "a\nb",
    )


def test_a_crash_is_logged_with_its_traceback_whoever_logs_it(said: list[dict[str, Any]]) -> None:
    for line in said[3:5]:
        assert "Traceback" in line["exception"] and "ValueError: no" in line["exception"]


def test_the_level_comes_from_the_environment() -> None:
    events = [line["event"] for line in lines(CONVOY_LOG="warning")]
    assert events == ["one of 2", "unit.crashed", "broke", "unit.looked"]


def test_an_empty_level_is_the_usual_one() -> None:
    assert len(lines(CONVOY_LOG="")) == 6


def test_a_level_that_does_not_exist_is_refused_by_the_name_of_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONVOY_LOG", "loud")
    with pytest.raises(Refused, match="CONVOY_LOG: 'loud' is no level") as caught:
        logs.configure()
    assert "DEBUG" in caught.value.hint
