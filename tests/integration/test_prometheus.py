"""Prometheus itself takes our configuration and rules, scrapes the exporter and raises an alarm."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from common.store.connect import connect
from ops.exporter.server import exporting
from tests.factories import Ground, settings_for
from tests.servers.prometheus import asked, prometheus, promtool
from tests.waiting import eventually

SHIPPED = Path(__file__).parents[2] / "ops/prometheus"


def checked(*words: str) -> str:
    done = subprocess.run(
        [promtool(), *words], cwd=SHIPPED, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def firing(address: str) -> list[Any]:
    """Alerts that have lasted; before the first scrape the exporter itself seems to be away."""
    return [alert for alert in asked(address, "alerts")["alerts"] if alert["state"] == "firing"]


def test_promtool_accepts_configuration_and_rules_and_their_cases_hold() -> None:
    assert "is valid prometheus config" in checked("check", "config", "prometheus.yml")
    assert "9 rules found" in checked("check", "rules", "alerts.yml")
    assert "SUCCESS" in checked("test", "rules", "alerts.test.yml")


def test_a_case_that_does_not_hold_is_noticed(tmp_path: Path) -> None:
    for name in ("alerts.yml", "alerts.test.yml"):
        shutil.copy(SHIPPED / name, tmp_path)
    rules = tmp_path / "alerts.yml"
    rules.write_text(rules.read_text().replace(">= 120", ">= 150"))
    argv = [promtool(), "test", "rules", "alerts.test.yml"]
    assert subprocess.run(argv, cwd=tmp_path, capture_output=True, check=False).returncode != 0


def test_a_real_prometheus_scrapes_the_exporter_and_raises_its_alarm(
    tmp_path: Path, broker_url: str
) -> None:
    state = f"sqlite:///{tmp_path}/state.db"
    settings = settings_for(tmp_path / "home", broker_url=broker_url, state_url=state)
    store = connect(state)
    ground = Ground(store)
    unit = ground.only(migration := ground.moving())
    taken = ground.units.claim(migration, unit.id, unit.epoch, owner="c01@h")
    assert taken is not None
    ground.units.quarantine(taken, why="no room")
    store.close()
    shutil.copy(SHIPPED / "alerts.yml", tmp_path)
    with exporting(settings, ("127.0.0.1", 0)) as address:
        ours = (SHIPPED / "prometheus.yml").read_text()
        ours = ours.replace("127.0.0.1:9464", address.split("/")[2]).replace("15s", "1s")
        (tmp_path / "prometheus.yml").write_text(ours.replace("timeout: 10s", "timeout: 1s"))
        with prometheus(tmp_path / "prometheus.yml", tmp_path) as asking:
            query = 'convoy_units{state="quarantined"}'
            [found] = eventually(lambda: asked(asking, "query", query=query)["result"], 60)
            assert (found["metric"]["kind"], found["value"][1]) == ("users", "1")
            [alert] = eventually(lambda: firing(asking), 60)
            assert alert["labels"]["alertname"] == "Quarantine"
            assert alert["annotations"]["runbook"] == "docs/runbooks/quarantine.md"
