"""Who keeps the watchdog itself running: the line for cron, the units for systemd.

A crontab keeps all that is not ours, and is not touched if it cannot be read. The template for
consumers serves those who would rather have systemd start each of them: it obeys the same orders,
because a post that is not wanted is not started.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from common.errors import Denied, Missing, Permanent, Refused
from common.settings import Settings
from ops.host.files import replace
from ops.local import ROOT

MARK = "# convoy watchdog"  # at the end of our line in a crontab
SERVICE = "convoy-watchdog.service"
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
            SERVICE: WATCHDOG.format(**given),
            "convoy-consumer@.service": CONSUMER.format(**given),
        }

    def install(self, where: str) -> str:
        """Have cron or systemd keep the watchdog from now on; what was done."""
        if where == "cron":
            return self._into_crontab()
        if where == "systemd":
            return self._into_systemd(user=os.geteuid() != 0)
        raise Refused(f"{where!r} keeps no watchdog", hint="cron or systemd")

    def _into_crontab(self) -> str:
        program = _program("crontab", "apt install cron, or use systemd")
        before = _call([program, "-l"])
        if before.returncode and "no crontab" not in before.stderr:
            raise Denied(
                f"the crontab cannot be read: {before.stderr.strip()}", hint="see crontab(1)"
            )
        mark, line = f"{MARK} {self.home.absolute()}", self.cron()
        lines = before.stdout.splitlines() if before.returncode == 0 else []
        if line in lines:
            return "cron keeps it already"
        kept = [text for text in lines if not text.endswith(mark.replace("%", "\\%"))]
        done = _call([program, "-"], "\n".join([*kept, line]) + "\n")
        if done.returncode:
            raise Denied(
                f"the crontab was not changed: {done.stderr.strip()}", hint="see crontab(1)"
            )
        return "cron keeps it, once a minute"

    def _into_systemd(self, *, user: bool) -> str:
        program = _program("systemctl", "install systemd, or use cron")
        folder = Path.home() / ".config/systemd/user" if user else Path("/etc/systemd/system")
        for name, text in self.systemd(user=user).items():
            replace(folder / name, text, mode=0o644)
        ours = [program, "--user"] if user else [program]
        for words in (["daemon-reload"], ["enable", "--now", SERVICE], ["restart", SERVICE]):
            done = _call([*ours, *words])
            if done.returncode:
                raise Permanent(
                    f"systemctl {' '.join(words)}: {done.stderr.strip()}",
                    hint=f"the units are in {folder}; is systemd what runs here? else use cron",
                )
        linger = "; `loginctl enable-linger` lets it run when nobody is logged in" if user else ""
        return f"systemd keeps it, by {SERVICE}{linger}"

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


def _program(name: str, hint: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Missing(f"there is no {name} here", hint=hint)
    return found


def _call(words: list[str], given: str = "") -> subprocess.CompletedProcess[str]:
    env = os.environ | {"LC_ALL": "C"}  # we read what it says
    return subprocess.run(words, input=given, env=env, capture_output=True, text=True, check=False)
