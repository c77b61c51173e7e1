"""The users' jobs, by name."""

from __future__ import annotations

from collections.abc import Mapping

from consumer.mover import Job
from consumer.users import ranges, spans, verify, whole
from consumer.users.final import final


class UsersMover:
    """Moves users' file trees (`consumer.mover.Mover`)."""

    jobs: Mapping[str, Job] = {
        "user": whole.move,
        "span": spans.span,
        "range": ranges.move,
        "join": ranges.join,
        "close": spans.close,
        "final": final,
        "verify": verify.verify,
        "check": verify.check,
    }
