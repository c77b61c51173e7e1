"""Alarms as pure rules: raised once, resolved once, and silent about what nobody knows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.lifecycle.units import State
from common.model import Kind
from ops.alarms import memory
from ops.alarms.memory import Memory, Untold
from ops.alarms.rules import RULES, Rule, Severity
from ops.alarms.standing import RAISED, RESOLVED, Notice, Standing, judge
from ops.exporter.facts import Facts, Queue, Records, Work
from ops.exporter.metrics import families

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "ops/prometheus"
EMPTY = Queue({Kind.USERS: 0})
FULL = Queue({Kind.USERS: 9}, 2, 3.0)


def facts(
    work: Work | None = None, queue: Queue | None = FULL, *, wanted: int = 0, alive: int = 0
) -> Facts:
    return Facts(Records({Kind.USERS: work or Work()}, {}, wanted, alive), queue)


def wrong(found: Facts) -> set[str]:
    return {rule.name for rule in RULES if rule.condition(found)}


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (facts(), set()),
        (facts(Work(open=3, still=119)), set()),
        (facts(Work(open=3, still=120)), {"NoProgress"}),
        (facts(Work(open=0, still=120)), set()),
        (facts(Work(units={State.QUARANTINED: 1})), {"Quarantine"}),
        (facts(Work(due=1.0), EMPTY), {"QueueEmpty"}),
        (facts(Work(due=1.0), FULL), set()),
        (facts(Work(due=None), EMPTY), set()),
        (facts(Work(due=86_401.0), FULL), {"Backlog"}),
        (facts(wanted=3, alive=2), {"ConsumersMissing"}),
        (facts(wanted=3, alive=4), set()),
        (facts(queue=None), {"BrokerAway"}),
        (Facts(None, FULL), {"StoreAway"}),
        (Facts(None, None), {"StoreAway", "BrokerAway"}),
        (Facts(Records({Kind.USERS: Work()}, {}), None, idle=True), set()),
        (Facts(Records({}, {}, alarmed={"consumer c01@h": "died"}), FULL), {"PostAlarmed"}),
    ],
)
def test_each_condition_speaks_of_its_own_matter_alone(found: Facts, names: set[str]) -> None:
    assert wrong(found) == names


def test_a_notice_names_a_few_posts_and_says_how_many_more() -> None:
    alarmed = {f"consumer c{number:02}@h": "died" for number in range(7)}
    said = rule("PostAlarmed").condition(Facts(Records({}, {}, alarmed=alarmed), FULL))
    assert said is not None
    assert said.startswith("consumer c00@h: died; ")
    assert said.endswith("consumer c04@h: died; and 2 more")


def test_what_the_store_alone_knows_is_not_known_while_it_is_away() -> None:
    unknown = {rule.name for rule in RULES if rule.condition(Facts(None, None)) is None}
    assert unknown == {
        "NoProgress",
        "QueueEmpty",
        "ConsumersMissing",
        "PostAlarmed",
        "Quarantine",
        "Backlog",
    }


def told(rule: Rule, *answers: str | None) -> list[tuple[int, str]]:
    """At which minute what is told, of answers one minute apart."""
    standing, found = Standing(), []
    for minute, said in enumerate(answers):
        tick = 60.0 * minute
        standing, notice = judge(rule, standing, said, tick=tick, wall=tick, host="h1")
        if notice:
            found.append((minute, notice.event))
    return found


def rule(name: str) -> Rule:
    return next(rule for rule in RULES if rule.name == name)


def test_an_alarm_is_raised_once_and_resolved_once() -> None:
    assert told(rule("Quarantine"), "", "1", "2", "2", "", "") == [(1, RAISED), (4, RESOLVED)]


def test_a_condition_must_hold_without_a_gap_for_as_long_as_the_rule_says() -> None:
    assert told(rule("ConsumersMissing"), "x", "x", "x", "", "x", "x", "x") == []
    assert told(rule("ConsumersMissing"), "x", "x", "x", "x", "x") == [(3, RAISED)]


def test_what_is_not_known_neither_raises_nor_resolves() -> None:
    assert told(rule("Quarantine"), None, "1", None, None, "1", "") == [(1, RAISED), (5, RESOLVED)]


def test_after_a_reboot_what_was_raised_is_not_raised_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notice = Notice("Quarantine", RAISED, "warning", "x", "page", 5.0, "h1")
    before = Memory(
        {"consumer/c": ("1", 9.0)},
        {"Quarantine": Standing(9.0, 5.0, "x")},
        [Untold(notice, ("webhook",))],
    )
    memory.write(tmp_path, before)
    assert memory.read(tmp_path) == before
    monkeypatch.setattr(memory, "boot", lambda: "another")
    after = memory.read(tmp_path)
    assert after == Memory({}, {"Quarantine": Standing(None, 5.0, "x")}, before.untold)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"boot": 1, "signs": 3}'])
def test_a_memory_that_cannot_be_read_is_an_empty_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / memory.FILE).write_text(text)
    assert memory.read(tmp_path) == Memory()


def alerts() -> dict[str, Any]:
    [group] = yaml.safe_load((SHIPPED / "alerts.yml").read_text())["groups"]
    return {alert["alert"]: alert for alert in group["rules"]}


def test_prometheus_is_told_the_same_alarms_and_that_the_exporter_is_away() -> None:
    theirs = {
        name: (alert["labels"]["severity"], alert["annotations"]["runbook"], alert["for"])
        for name, alert in alerts().items()
    }
    spans = {0: "0s", 60: "1m", 120: "2m", 180: "3m", 600: "10m"}
    ours = {
        rule.name: (rule.severity.value, rule.runbook, spans[int(rule.lasts.total_seconds())])
        for rule in RULES
    }
    away = (Severity.CRITICAL.value, "docs/runbooks/exporter-away.md", "2m")
    assert theirs == ours | {"ExporterAway": away}


@pytest.mark.parametrize("name", sorted(alerts()))
def test_every_alarm_has_a_page_that_names_what_to_do_and_a_case(name: str) -> None:
    page = ROOT / alerts()[name]["annotations"]["runbook"]
    assert "## What to do" in page.read_text()
    cases = yaml.safe_load((SHIPPED / "alerts.test.yml").read_text())["tests"]
    expected = [
        c["exp_alerts"] for t in cases for c in t["alert_rule_test"] if c["alertname"] == name
    ]
    assert any(expected) and not all(expected)  # it fires, and it does not


METER = dict.fromkeys(("units/x", "items/x", "bytes/x", "failures/x", "microseconds/x"), 1)


def samples() -> set[str]:
    work = Work({State.QUARANTINED: 1}, 1, 1, 1, 1.0, 1.0)
    records = Records({Kind.USERS: work}, {}, meters={"c01@h": METER})
    found = families(Facts(records, FULL))
    return {sample.name for family in found for sample in family.samples}


def test_rules_and_dashboard_ask_for_metrics_that_the_exporter_has() -> None:
    dashboard = json.loads((SHIPPED / "dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [alert["expr"] for alert in alerts().values()]
    names = {name for expr in asked for name in re.findall(r"convoy_\w+", expr)}
    assert names - samples() == set()
    assert samples() - names == set()  # what nobody looks at need not be measured


def test_labels_are_words_of_enums_and_names_of_consumers_never_ids() -> None:
    records = Records({Kind.USERS: Work()}, {}, meters={"c01@h": METER})
    found = families(Facts(records, FULL))
    labels = {label for family in found for s in family.samples for label in s.labels}
    assert labels == {"kind", "state", "phase", "consumer", "outcome", "reason"}


def test_every_metric_is_in_the_documents() -> None:
    page = (ROOT / "docs/metrics.md").read_text()
    assert {name for name in samples() if f"`{name}`" not in page} == set()
