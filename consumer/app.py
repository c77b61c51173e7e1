"""What `celery -A consumer.app worker` finds.

`worker -n c01@%h -Q users --without-gossip --without-mingle` is one consumer. TERM drains it: the
unit in hand is finished. With REMAP_SIGTERM=SIGQUIT, as on the shutdown of a host, the unit in
hand is given back at its next item instead.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import sys
import time
from collections.abc import Callable
from multiprocessing import Value
from types import FrameType
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded
from celery import bootsteps, signals

from common import notify
from common.errors import Conflict
from common.queue.app import make_app
from common.settings import Settings
from common.telemetry import logs
from consumer import boot, tasks
from consumer.runner import Crew

settings = Settings()
app = make_app(settings)
_name = "consumer"
_crew: Crew | None = None
_leaving = Value("b", 0, lock=False)  # shared with the child that is forked later
_turned = mmap.mmap(-1, mmap.PAGESIZE)  # shared as well: when the loop of the parent last turned


def crew() -> Crew:
    """The crew of this process, made at first use if the pool did not announce itself."""
    global _crew
    if _crew is None:
        _crew = boot.crew(
            settings,
            _name,
            leaving=lambda: bool(_leaving.value),
            overruns=(SoftTimeLimitExceeded,),
            turned=lambda: float(struct.unpack_from("d", _turned)[0]),
        )
    return _crew


class Pulse(bootsteps.StartStopStep):  # type: ignore[misc]
    """Says that the parent's loop turns, as long as it is connected and takes messages."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    _timer: Any = None

    def start(self, c: Any) -> None:
        _turn()
        self._timer = c.timer.call_repeatedly(settings.beat.total_seconds() / 2, _turn)

    def stop(self, c: Any) -> None:  # noqa: ARG002
        struct.pack_into("d", _turned, 0, 0.0)
        if self._timer:
            self._timer.cancel()


def _turn() -> None:
    struct.pack_into("d", _turned, 0, time.monotonic())


def _begin(sender: str = "consumer", **_: Any) -> None:
    global _name
    _name = sender
    logs.configure()
    try:
        boot.attend(settings, sender)
    except Conflict as error:
        sys.exit(f"convoy: {error}\n  {error.hint}")


def _ready(**_: Any) -> None:
    notify.tell(notify.READY)


def _log(**_: Any) -> None:
    logs.configure()


def _man(**_: Any) -> None:
    crew()


def _watch_signals(**_: Any) -> None:
    """Tell the child at once when the host goes down: Celery's own signal for it is sent only
    after the grace time in which the child should hand over."""
    remapped = os.environ.get("REMAP_SIGTERM") == "SIGQUIT"
    for number in (signal.SIGQUIT, signal.SIGTERM) if remapped else (signal.SIGQUIT,):
        signal.signal(number, _hand_over(signal.getsignal(number)))


def _hand_over(then: Any) -> Callable[[int, FrameType | None], None]:
    def handler(number: int, frame: FrameType | None) -> None:
        _leaving.value = 1
        if callable(then):
            then(number, frame)

    return handler


# called, not used as decorators: Celery's signals are untyped
signals.celeryd_init.connect(_begin)
signals.setup_logging.connect(_log)
signals.worker_process_init.connect(_man)
signals.worker_ready.connect(_watch_signals)
signals.worker_ready.connect(_ready)
app.steps["consumer"].add(Pulse)
tasks.register(app, crew)
