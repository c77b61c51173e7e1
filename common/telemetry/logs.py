"""Logs: JSON lines on standard error, one per change of state, bound to migration and unit."""

from __future__ import annotations

import logging
import os
import sys

import structlog

from common.errors import Refused

_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(*, level: str | None = None) -> None:
    """Render our own and every library's records alike; level from CONVOY_LOG (INFO)."""
    threshold = level or os.environ.get("CONVOY_LOG") or "INFO"
    if threshold.upper() not in logging.getLevelNamesMapping():
        raise Refused(f"CONVOY_LOG: {threshold!r} is no level", hint="write DEBUG, INFO or WARNING")
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold.upper())
    for chatty in ("celery", "kombu", "amqp"):  # they tell of every message; units tell of theirs
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
