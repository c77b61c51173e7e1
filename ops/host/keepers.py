"""Who keeps the watchdog itself running: the line for cron, the units for systemd. Only text.

The template for consumers serves those who would rather have systemd start each of them: it obeys
the same orders, because a post that is not wanted is not started.
"""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from common.errors import Refused
from common.settings import Settings
from ops.local import ROOT

MARK = "# convoy watchdog"  # at the end of our line in a crontab
_PLAIN = re.compile(r"[A-Za-z0-9_./@:+-]+")

WATCHDOG = """\
[Unit]
Description=Convoy watchdog of {home}
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
Environment=CONVOY_HOME={home}{more}
ExecStart={convoy} watchdog --loop
Restart=always
RestartSec=5
WatchdogSec=120
# what it started outlives it, and is found again by its locks
KillMode=process
OOMPolicy=continue
StandardOutput=append:{home}/log/watchdog.log
StandardError=inherit

[Install]
WantedBy={target}
"""

CONSUMER = """\
[Unit]
Description=Convoy consumer %i of {home}
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
# the child of the pool gives the signs
NotifyAccess=all
EnvironmentFile={home}/env
Environment=CONVOY_HOME={home}{more}
# a stopped host stays stopped
ExecCondition={convoy} host wants %i
ExecStart={convoy} consumer -n %i
Restart=always
RestartSec=5
WatchdogSec={silence}
TimeoutStartSec=120
# the host goes down: the unit in hand is given back at its next item (TERM would finish it)
KillSignal=SIGQUIT
KillMode=mixed
TimeoutStopSec=60
StandardOutput=append:{home}/log/%i.log
StandardError=inherit

[Install]
WantedBy={target}
"""


@dataclass(frozen=True, slots=True)
class Keepers:
    """The texts for one home."""

    home: Path
    settings: Settings

    def cron(self) -> str:
        """The line that runs the watchdog once a minute, the same as by hand."""
        home = self.home.absolute()
        log = shlex.quote(f"{home}/log/watchdog.log")
        words = [f"CONVOY_HOME={shlex.quote(str(home))}", *self._environment(), *self._convoy()]
        line = f"{' '.join(words)} watchdog --once >>{log} 2>&1 </dev/null {MARK} {home}"
        return "* * * * * " + line.replace("%", "\\%")  # cron's sign for a line's end

    def systemd(self, *, user: bool) -> dict[str, str]:
        """The units by name: the watchdog as a service, and the template of a consumer."""
        home = str(self.home.absolute())
        convoy = " ".join(self._convoy())
        if not _PLAIN.fullmatch(home) or not all(map(_PLAIN.fullmatch, self._convoy())):
            raise Refused(
                f"{home} or {convoy} holds characters that mean something to systemd",
                hint="give the home a plain path, or use cron",
            )
        given = {
            "home": home,
            "convoy": convoy,
            "more": "".join(f"\nEnvironment={each}" for each in self._environment()),
            "target": "default.target" if user else "multi-user.target",
            "silence": f"{self.settings.lease.total_seconds() * 3:.0f}",
        }
        return {
            "convoy-watchdog.service": WATCHDOG.format(**given),
            "convoy-consumer@.service": CONSUMER.format(**given),
        }

    def _convoy(self) -> list[str]:
        """The command by its absolute path: of the version that is current at that time."""
        current = self.home.absolute() / "current/bin/convoy"
        if current.exists():
            return [str(current)]
        return [sys.executable, "-P", "-m", "ops.cli"]

    def _environment(self) -> list[str]:
        """A checkout runs its own code."""
        checkout = (ROOT / "pyproject.toml").exists()
        return [f"PYTHONPATH={ROOT}"] if checkout else []
