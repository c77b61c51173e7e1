"""What `celery -A consumer.app worker` finds.

`worker -n c01@%h -Q users --without-gossip --without-mingle` is one consumer. TERM drains it: the
unit in hand is finished. With REMAP_SIGTERM=SIGQUIT, as on the shutdown of a host, the unit in
hand is given back at its next item instead.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from multiprocessing import Value
from types import FrameType
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded
from celery import signals

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


def crew() -> Crew:
    """The crew of this process, made at first use if the pool did not announce itself."""
    global _crew
    if _crew is None:
        _crew = boot.crew(
            settings,
            _name,
            leaving=lambda: bool(_leaving.value),
            overruns=(SoftTimeLimitExceeded,),
        )
    return _crew


def _remember_name(sender: str = "consumer", **_: Any) -> None:
    global _name
    _name = sender


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
signals.celeryd_init.connect(_remember_name)
signals.setup_logging.connect(_log)
signals.worker_process_init.connect(_man)
signals.worker_ready.connect(_watch_signals)
tasks.register(app, crew)
