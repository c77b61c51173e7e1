"""With two gateways, late, frozen or dead, a client sees its own last write in every phase, there
and back. Each rule that is left out is missed: the search finds the way to a loss."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from common.lifecycle.buckets import Phase
from tests.props.bucket_gateways import Search
from tests.props.bucket_worlds import BACK, BUSY, FORWARD, LATE, WITHDRAWN, Rules

PAIRS = ["".join(pair) for pair in product("PDM", repeat=2)]
PATHS = {"there": FORWARD, "and back": BACK, "back late": LATE, "busy": BUSY}
PATHS["withdrawn"] = WITHDRAWN
MISSED: dict[str, tuple[tuple[Phase, ...], str, str]] = {
    "barrier": (FORWARD, "P", "shows o"),
    "fence": (FORWARD, "P", "gateway"),
    "sweep": (FORWARD, "D", "shows o"),
    "seal": (FORWARD, "D", "shows o"),
    "lease": (FORWARD, "P", "shows o"),
    "cut": (FORWARD, "M", "gateway"),
    "intent": (BACK, "P", "shows o"),
    "generations": (BACK, "PD", "gateway"),
    "open": (BACK, "P", "gateway"),
    "hold": (BACK, "P", "gateway"),
    "confirm": (BACK, "P", "gateway"),
    "fence_new": (BACK, "P", "shows o"),
}


@pytest.mark.parametrize("path", PATHS)
def test_no_interleaving_of_gateways_loses_or_revives_a_write(path: str) -> None:
    searches = [Search(script, PATHS[path], Rules()) for script in "PDM"]
    searches += [Search(pair, PATHS[path], Rules(), gates=1) for pair in PAIRS]
    assert [(s.script, way) for s in searches if (way := s.violated())] == []
    assert min(search.worlds for search in searches) > 100  # it does not hold for want of cases


@pytest.mark.parametrize("path", [FORWARD, BACK], ids=["there", "and back"])
@pytest.mark.parametrize("script", ["P", "D"])
def test_a_read_that_takes_its_time_answers_what_was_there_meanwhile(
    path: tuple[Phase, ...], script: str
) -> None:
    assert Search(script, path, Rules(), reader=True).violated() == ""


@pytest.mark.parametrize("rule", MISSED)
def test_every_rule_that_is_left_out_is_missed(rule: str) -> None:
    path, script, saying = MISSED[rule]
    rules = replace(Rules(), **{rule: False})
    way = Search(script, path, rules, gates=2 if len(script) == 1 else 1).violated()
    assert saying in way.rpartition("; ")[2]
