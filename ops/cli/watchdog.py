"""The command that keeps a host as it is wanted to be: once from cron, or as a loop."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from common import notify
from common.errors import ConvoyError, Refused
from common.telemetry import logs
from ops.cli import terminal
from ops.cli.options import settings
from ops.host import detached, environment
from ops.host.files import replace
from ops.host.keepers import Keepers
from ops.watchdog import SOON, Watchdog

Once = Annotated[bool, typer.Option("--once", metavar="", help="One round, for cron.")]
Loop = Annotated[bool, typer.Option("--loop", metavar="", help="Rounds until told to end.")]
Cron = Annotated[bool, typer.Option("--print-cron", metavar="", help="Show the line for crontab.")]
Systemd = Annotated[
    bool, typer.Option("--print-systemd", metavar="", help="Show the units for systemd.")
]
Into = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write the units there instead.")]
Install = Annotated[
    str, typer.Option(metavar="WHERE", help="Have `cron` or `systemd` keep it from now on.")
]


def watchdog(
    once: Once = False,
    loop: Loop = False,
    print_cron: Cron = False,
    print_systemd: Systemd = False,
    into: Into = None,
    install: Install = "",
) -> None:
    """Keep this host as `convoy host` says: start what is dead, end what hangs.

    Its settings are those of the file `env` in the home (CONVOY_HOME).
    """
    if once + loop + print_cron + print_systemd + bool(install) != 1:
        hint = "--once, --loop, --print-cron, --print-systemd or --install"
        raise Refused("say one thing that it is to do", hint=hint)
    home = settings().home.absolute()
    if install:
        _prepare(home)
        terminal.tell(Keepers(home, settings()).install(install))
    elif print_cron:
        _prepare(home)
        terminal.tell(Keepers(home, settings()).cron())
    elif print_systemd:
        _units(home, into)
    elif once:
        logs.configure()
        watch(home).once()
    else:
        logs.configure()
        _loop(home)


def watch(home: Path) -> Watchdog:
    """The watchdog of a home, with the settings of what it watches."""
    return Watchdog(home, environment.settings(home))


def _units(home: Path, into: Path | None) -> None:
    found = Keepers(home, settings()).systemd(user=os.geteuid() != 0)
    _prepare(home)
    for name, text in found.items():
        if into is None:
            terminal.tell(f"# {name}\n{text}")
        else:
            replace(into / name, text, mode=0o644)
            terminal.tell(str(into / name))


def _prepare(home: Path) -> None:
    """Whoever starts us appends to a log before we run."""
    (home / "log").mkdir(mode=0o700, parents=True, exist_ok=True)


def _loop(home: Path) -> None:
    over = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: over.set())
    dog = watch(home)
    notify.tell(notify.READY)
    while not over.is_set():
        try:
            dog.settings = environment.settings(home)  # may have been deployed anew
            hasty = dog.round()
        except ConvoyError as error:
            terminal.say(f"convoy: {error}")
            hasty = False
        detached.reap()
        notify.tell(notify.ALIVE)
        _renew(home)
        over.wait(SOON if hasty else dog.settings.watch.total_seconds())


def _renew(home: Path) -> None:
    """Become the version that was deployed meanwhile. What we started stays ours to bury."""
    current, ours = home / "current", Path(sys.prefix).resolve()
    if ours.parent == (home / "versions").resolve() and current.is_symlink():
        program = current / "bin/convoy"
        if current.resolve() != ours and os.access(program, os.X_OK):
            os.execv(program, [str(program), "watchdog", "--loop"])
