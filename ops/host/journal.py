"""What the watchdog did: one line per action in `restart.log`; alarms in the log and the store too.

A disk that is full, or a store that is away, keeps nobody from acting: then there is less to read.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from common.clock import Clock
from common.errors import ConvoyError
from common.settings import Settings
from common.store.connect import connect
from common.store.events import Events
from ops.host.detached import LOG_MOST

FILE = "restart.log"
FLEET = "fleet"  # events of hosts stand under this name, as others under their migration's
ALARMED, CALMED = "post.alarmed", "post.calmed"
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal of one host."""

    home: Path
    settings: Settings
    clock: Clock

    def note(self, act: str, role: str, name: str, why: str, **facts: object) -> None:
        """One line about one action."""
        at = datetime.fromtimestamp(self.clock.wall(), UTC).isoformat(timespec="milliseconds")
        said = {"at": at, "act": act, "role": role, "post": f"{name}@{self.settings.node}"}
        line = json.dumps(said | facts | {"why": why}) + "\n"
        path = self.home / "log" / FILE
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.exists() and path.stat().st_size > LOG_MOST:
                path.replace(path.with_suffix(".log.1"))
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(file, line.encode())  # at once: two watchdogs never mix their lines
            finally:
                os.close(file)
        except OSError as error:
            log.warning("journal.unwritten", why=str(error), line=line.strip())

    def alarm(self, role: str, name: str, why: str) -> None:
        """Something that a person should look at."""
        self.note("alarm", role, name, why)
        post = f"{name}@{self.settings.node}"
        log.error(ALARMED, role=role, post=post, why=why, home=str(self.home))
        self._tell(ALARMED, role, post, why)

    def calm(self, role: str, name: str, why: str) -> None:
        """What was alarmed about is over."""
        self.note("calm", role, name, why)
        self._tell(CALMED, role, f"{name}@{self.settings.node}", why)

    def _tell(self, what: str, role: str, post: str, why: str) -> None:
        """The fleet, too; if its store is away, our own log has to do."""
        with suppress(ConvoyError):
            store = connect(self.settings.state())
            try:
                Events(store, self.clock).add(
                    FLEET, what, by="watchdog", why=why, role=role, post=post
                )
            finally:
                store.close()
