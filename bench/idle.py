"""What `celery -A bench.idle worker` finds: a consumer like ours whose mover does nothing.

It shows what queue, store, lease and report cost by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery import signals

from common.model import Kind, Receipt, Unit
from common.queue.app import make_app
from common.settings import Settings
from common.telemetry import logs
from consumer import boot, tasks
from consumer.mover import Job, Mover, Reach
from consumer.runner import Crew


class Idler:
    """A mover that has moved at once."""

    @staticmethod
    def rest(unit: Unit, reach: Reach) -> Receipt:  # noqa: ARG004
        """Nothing to do."""
        return Receipt()

    jobs: Mapping[str, Job] = {"user": rest}


settings = Settings()
app = make_app(settings)
_name = "idle"
_crew: Crew | None = None


def crew() -> Crew:
    """The crew of this process."""
    global _crew
    if _crew is None:
        movers: Mapping[Kind, Mover] = {Kind.USERS: Idler()}
        _crew = boot.crew(settings, _name, movers=movers)
    return _crew


def _remember_name(sender: str = "idle", **_: Any) -> None:
    global _name
    _name = sender


def _log(**_: Any) -> None:
    logs.configure()


def _man(**_: Any) -> None:
    crew()


signals.celeryd_init.connect(_remember_name)
signals.setup_logging.connect(_log)
signals.worker_process_init.connect(_man)
tasks.register(app, crew)
