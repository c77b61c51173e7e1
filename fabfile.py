"""Commands to many hosts: `fab -H h1,root@h2 status`. Each is one call; all is done in ops/fleet.

    fab --list              all commands
    fab --help deploy       the options of one

Run it where this file lies, with `pip install 'convoy[fleet]'`. See docs/fleet.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

from common.errors import Refused
from ops.fleet import tasks
from ops.fleet.bundle import bundle
from ops.fleet.crowd import Row
from ops.fleet.fleet import Fleet
from ops.fleet.tasks import over_hosts

tasks.begin(sys.argv[1:])


@over_hosts
def deploy(
    fleet: Fleet,
    settings: str = "",
    wheel: str = "",
    wheelhouse: str = "",
    environment: str = "",
    extras: str = "",
    python: str = "",
) -> list[Row]:
    """Build the wheel once, ship it with its settings, install it, switch to it."""
    with bundle(
        wheel=wheel,
        wheelhouse=wheelhouse,
        environment_=environment,
        settings=settings,
        extras=extras,
    ) as ours:
        return fleet.deploy(ours, python=python)


@over_hosts
def rollback(fleet: Fleet, python: str = "") -> list[Row]:
    """Switch back to the version before; `restart` makes it run."""
    return fleet.rollback(python=python)


@over_hosts
def start(fleet: Fleet, role: str = "consumer", count: int = -1, consumers: int = -1) -> list[Row]:
    """Run them from now on, as many as before unless --count N."""
    return fleet.start(role, tasks.count(role, count, consumers))


@over_hosts
def stop(fleet: Fleet, role: str = "consumer", now: bool = False, wait: str = "10s") -> list[Row]:
    """Run none from now on; units in hand are finished, or given back with --now."""
    return fleet.stop(role, now=now, wait=wait)


@over_hosts
def restart(fleet: Fleet, role: str = "consumer", now: bool = False, wait: str = "1m") -> list[Row]:
    """Replace each by one of the current version, when it has finished its unit."""
    return fleet.restart(role, now=now, wait=wait)


@over_hosts
def scale(fleet: Fleet, role: str = "consumer", count: int = -1, consumers: int = -1) -> list[Row]:
    """Another number of them: --consumers 67, or --role producer --count 2."""
    wanted = tasks.count(role, count, consumers)
    if wanted is None:
        raise Refused("no number is given", hint="--consumers N, or --role ROLE --count N")
    return fleet.scale(role, wanted)


@over_hosts
def status(fleet: Fleet) -> list[Row]:
    """What is wanted, what runs, what it does, how each host is."""
    return fleet.status()


@over_hosts
def put(fleet: Fleet, file: str, to: str = "") -> list[Row]:
    """A file to every host, compared when it is there."""
    return fleet.put(Path(file), to)


@over_hosts
def logs(fleet: Fleet, name: str = "restart", lines: int = 20, to: str = "") -> list[Row]:
    """The end of a log (--name c01), or all logs into a folder (--to FOLDER)."""
    return fleet.logs(name=name, lines=lines, to=Path(to) if to else None)


@over_hosts
def run(fleet: Fleet) -> list[Row]:
    """One command on every host: fab -H h1,h2 run -- uptime."""
    return fleet.run(tasks.command())


@over_hosts
def install_watchdog(fleet: Fleet, cron: bool = False, systemd: bool = False) -> list[Row]:
    """Have cron (--cron) or systemd (--systemd) keep the watchdog of every host."""
    if cron == systemd:
        raise Refused("say who is to keep it", hint="--cron or --systemd")
    return fleet.install_watchdog("cron" if cron else "systemd")
