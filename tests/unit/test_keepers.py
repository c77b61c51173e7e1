"""The line for cron and the units for systemd: absolute, quoted, and accepted by their readers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from common.errors import Missing, Refused
from ops.host.keepers import MARK, Keepers
from tests.factories import settings_for
from tests.servers import roll

CRONTAB = """\
#!/bin/sh
# a crontab of this test's own
case "$1" in
-l) [ -n "$BROKEN" ] && { echo "cannot read" >&2; exit 1; }
    cat "$TAB" 2>/dev/null || { echo "no crontab for me" >&2; exit 1; } ;;
-) cat >"$TAB" ;;
esac
"""


def keepers(home: Path) -> Keepers:
    return Keepers(home, settings_for(home))


@pytest.fixture
def tab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's `crontab` keeps its table."""
    program = tmp_path / "bin/crontab"
    program.parent.mkdir()
    program.write_text(CRONTAB)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("TAB", str(tmp_path / "tab"))
    return tmp_path / "tab"


def test_the_line_for_cron_is_once_a_minute_absolute_and_closed_on_all_sides(
    tmp_path: Path,
) -> None:
    line = keepers(tmp_path).cron()
    assert line.startswith(f"* * * * * CONVOY_HOME={tmp_path} ")
    assert f"watchdog --once >>{tmp_path}/log/watchdog.log 2>&1 </dev/null {MARK}" in line
    words = line.split()[5:]
    [program] = [word for word in words if "=" not in word][:1]
    assert Path(program).is_absolute()


def test_a_home_with_blanks_and_percents_survives_the_shell_and_cron(tmp_path: Path) -> None:
    home = tmp_path / "50% of 'it'"
    line = keepers(home).cron()
    assert "%" not in line.replace("\\%", "")
    said = line.removeprefix("* * * * * ").replace("\\%", "%").partition(" PYTHONPATH=")[0]
    shell = ["sh", "-c", f'{said}; printf %s "$CONVOY_HOME"']
    done = subprocess.run(shell, capture_output=True, text=True, check=True)
    assert done.stdout == str(home)


def test_a_deployed_home_is_kept_by_the_version_that_is_current_at_that_time(
    tmp_path: Path,
) -> None:
    program = tmp_path / "current/bin/convoy"
    program.parent.mkdir(parents=True)
    program.touch()
    assert f" {program} watchdog --once" in keepers(tmp_path).cron()
    assert f"ExecStart={program} watchdog --loop" in "".join(
        keepers(tmp_path).systemd(user=False).values()
    )


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        roll.absent("systemd-analyze", required=False)
    units = keepers(tmp_path / "home").systemd(user=False)
    for name, text in units.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [program, "verify", *(str(tmp_path / name) for name in units)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_template_starts_nobody_who_is_not_wanted_and_feeds_on_signs(tmp_path: Path) -> None:
    text = keepers(tmp_path).systemd(user=True)["convoy-consumer@.service"]
    lines = text.splitlines()
    assert {"Type=notify", "NotifyAccess=all", "Restart=always", "KillMode=mixed"} <= set(lines)
    assert "KillSignal=SIGQUIT" in lines
    assert "WatchdogSec=24" in lines  # three leases of these settings
    assert f"EnvironmentFile={tmp_path}/env" in lines
    [condition] = [line for line in lines if line.startswith("ExecCondition=")]
    assert condition.endswith("host wants %i")
    assert lines[-1] == "WantedBy=default.target"


def test_a_home_that_systemd_would_misread_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="systemd"):
        keepers(tmp_path / "50% off").systemd(user=False)


def test_a_crontab_gets_our_line_once_and_keeps_all_others(tab: Path, tmp_path: Path) -> None:
    mine, other = keepers(tmp_path / "home"), keepers(tmp_path / "home2")
    assert mine.install("cron") == "cron keeps it, once a minute"
    tab.write_text("MAILTO=me\n5 4 * * * backup\n" + tab.read_text())
    assert mine.install("cron") == "cron keeps it already"
    other.install("cron")
    assert tab.read_text().splitlines() == [
        "MAILTO=me",
        "5 4 * * * backup",
        mine.cron(),
        other.cron(),
    ]


def test_an_older_line_of_the_same_home_is_replaced(tab: Path, tmp_path: Path) -> None:
    mine = keepers(tmp_path / "home")
    tab.write_text(f"* * * * * /old/convoy watchdog --once {MARK} {tmp_path}/home\n")
    mine.install("cron")
    assert tab.read_text().splitlines() == [mine.cron()]


def test_a_crontab_that_cannot_be_read_is_not_replaced(
    tab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tab.write_text("5 4 * * * backup\n")
    monkeypatch.setenv("BROKEN", "yes")
    with pytest.raises(Exception, match="cannot be read"):
        keepers(tmp_path).install("cron")
    assert tab.read_text() == "5 4 * * * backup\n"


def test_where_there_is_no_cron_it_is_said_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for where, advice in (("cron", "apt install cron"), ("systemd", "use cron")):
        with pytest.raises(Missing) as caught:
            keepers(tmp_path).install(where)
        assert advice in caught.value.hint
    with pytest.raises(Refused, match="init"):
        keepers(tmp_path).install("init")
