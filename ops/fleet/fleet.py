"""What can be asked of all hosts: one method each, which does it everywhere and returns the rows.

Hosts are told what people are told (`convoy host ...`); nothing is done here that a person on the
host could not do. An act may be repeated, except `run`, which is repeated only if it never began.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from common.clock import Clock
from common.errors import Permanent, Refused, Transient
from common.quantities import show_size
from ops.fleet.bundle import Bundle
from ops.fleet.crowd import AT_ONCE, Act, Answer, Done, Row, everywhere
from ops.fleet.deployment import failed, go_back, ship
from ops.fleet.line import Line, Reach, Said, digest
from ops.host.roles import role

HOME = '"${CONVOY_HOME:-$HOME/.local/state/convoy}"'  # on the host, unless we say otherwise
NOT_DEPLOYED = 66


@dataclass(frozen=True, slots=True)
class Fleet:
    """These hosts, reached like this."""

    hosts: Sequence[str]
    reach: Reach
    home: str = ""  # on every host; "": the usual one of the user who logs in
    at_once: int = AT_ONCE
    clock: Clock = field(default_factory=Clock)

    def start(self, role_: str, count: int | None) -> list[Row]:
        """Run them from now on."""
        return self._tell(["start", "--role", role(role_).name, *_count(count)])

    def stop(self, role_: str, *, now: bool, wait: str) -> list[Row]:
        """Run none of them from now on."""
        words = ["stop", "--role", role(role_).name, "--wait", wait, *["--now"] * now]
        return self._tell(words)

    def restart(self, role_: str, *, now: bool, wait: str) -> list[Row]:
        """Replace each by one of the current version when it has finished its unit."""
        words = ["restart", "--role", role(role_).name, "--wait", wait, *["--now"] * now]
        return self._tell(words)

    def scale(self, role_: str, count: int) -> list[Row]:
        """Another number of them."""
        return self._tell(["scale", "--role", role(role_).name, *_count(count)])

    def status(self) -> list[Row]:
        """What each host is to run, and what it runs."""
        return self._tell(["status"], differs=1)

    def install_watchdog(self, where: str) -> list[Row]:
        """Have cron or systemd keep the watchdog."""
        words = ["watchdog", "--install", where]
        return self._everywhere(lambda line: Answer(self._convoy(line, words).out.strip()))

    def deploy(self, bundle: Bundle, *, python: str = "") -> list[Row]:
        """Ship, install, switch."""
        return self._everywhere(partial(ship, bundle=bundle, home=self._home(), python=python))

    def rollback(self, *, python: str = "") -> list[Row]:
        """Switch back to the version before."""
        return self._everywhere(partial(go_back, home=self._home(), python=python))

    def put(self, file: Path, to: str) -> list[Row]:
        """A file to every host; `to` is a path, from where one logs in."""
        if not file.is_file():
            raise Refused(f"{file} is no file", hint="one file at a time; pack a folder with tar")
        mode, there = file.stat().st_mode & 0o777, to or file.name

        def act(line: Line) -> Answer:
            line.put(file, there, mode=mode)
            return Answer(f"{there}, {show_size(file.stat().st_size)}, sha256 {digest(file)[:12]}")

        return self._everywhere(act)

    def run(self, command: str) -> list[Row]:
        """One command on every host."""
        if not command.strip():
            raise Refused("no command is given", hint="fab -H h1,h2 run -- uptime")

        def act(line: Line) -> Answer:
            try:
                done = line.run(command)
            except Transient as error:
                raise Done(
                    str(error), hint="it may have run: look before it is run again"
                ) from error
            return Answer(f"exit {done.code}", {"out": done.out, "err": done.err}, done.code == 0)

        return self._everywhere(act)

    def logs(self, *, name: str, lines: int, to: Path | None) -> list[Row]:
        """The end of a log of every host; with `to`, all logs into a folder per host."""
        return self._everywhere(partial(self._logs, name=name, lines=lines, to=to))

    def _everywhere(self, act: Act) -> list[Row]:
        return everywhere(self.hosts, act, reach=self.reach, at_once=self.at_once, clock=self.clock)

    def _tell(self, words: Sequence[str], *, differs: int = 0) -> list[Row]:
        """A command of `convoy host` that answers with the status."""

        def act(line: Line) -> Answer:
            began = self.clock.wall()
            done = self._convoy(line, ["host", *words, "--json"], also=differs)
            return _told(done, began, self.clock.wall(), differs=differs)

        return self._everywhere(act)

    def _convoy(self, line: Line, words: Sequence[str], *, also: int = 0) -> Said:
        """The deployed `convoy` of the host."""
        program = '"$CONVOY_HOME/current/bin/convoy"'
        done = line.run(
            f"export CONVOY_HOME={self._home()}; test -x {program} || exit {NOT_DEPLOYED}; "
            f"exec {program} {shlex.join(words)}"
        )
        if done.code == NOT_DEPLOYED:
            raise Permanent("nothing is deployed there", hint="fab -H ... deploy --settings FILE")
        if done.code not in (0, also):
            raise failed(done)
        return done

    def _home(self) -> str:
        return shlex.quote(self.home) if self.home else HOME

    def _logs(self, line: Line, *, name: str, lines: int, to: Path | None) -> Answer:
        done = line.run(f"cd {self._home()}/log && pwd && ls *.log")
        if done.code:
            raise Permanent("no logs there", hint="was anything started?")
        place, *names = done.out.split()
        if to is None:
            if f"{name}.log" not in names:
                raise Permanent(f"no log of {name} there", hint=f"there are: {' '.join(names)}")
            text = line.run(f"tail -n {lines} {shlex.quote(f'{place}/{name}.log')}")
            return Answer(f"{name}.log", {"out": text.out})
        folder = to / line.name
        folder.mkdir(parents=True, exist_ok=True)
        for each in names:
            line.get(f"{place}/{each}", folder / each)
        return Answer(f"{len(names)} logs in {folder}")


def _told(done: Said, began: float, ended: float, *, differs: int) -> Answer:
    """The status of a host, its clock compared with ours: when it looked, we were waiting."""
    try:
        facts = json.loads(done.out)
        at = facts["at"]
    except (ValueError, KeyError, TypeError):
        raise Permanent(f"it answered: {done.why}", hint="is the same version there?") from None
    facts["skew"] = at - ended if at > ended else min(0.0, at - began)
    wrong = [
        f"{each['alive']} {name}s alive, {each['wanted']} wanted"
        for name, each in facts["roles"].items()
        if each["alive"] != each["wanted"]
    ]
    return Answer(", ".join(wrong), facts, ok=not (differs and done.code))


def _count(count: int | None) -> list[str]:
    return [] if count is None else ["--count", str(count)]
