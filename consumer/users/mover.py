"""The users' jobs, by name."""

from __future__ import annotations

from collections.abc import Mapping

from consumer.mover import Job
from consumer.users import final, ranges, spans, verify, whole


class UsersMover:
    """Moves users' file trees (`consumer.mover.Mover`)."""

    jobs: Mapping[str, Job] = {
        "user": whole.move,
        "span": spans.span,
        "range": ranges.move,
        "join": ranges.join,
        "close": spans.close,
        "verify": verify.verify,
        "check": verify.check,
        "final": final.final,
        "final-span": spans.span,
        "final-range": ranges.move,
        "final-join": ranges.join,
        "final-close": spans.close,
        "prove": final.prove,
        "proof-check": verify.check,
        "proof-range": ranges.move,
        "proof-join": ranges.join,
        "proof-close": spans.close,
        "switch": final.switch,
    }
