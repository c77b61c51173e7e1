"""How an alarm stands: raised once when its condition has held for long enough, resolved once when
it no longer does. Pure: time and facts are handed in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ops.alarms.rules import Rule

RAISED, RESOLVED = "raised", "resolved"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is remembered of a rule between two rounds."""

    since: float | None = None  # tick at which the condition began to hold
    raised: float | None = None  # wall time of the notice, while it stands
    said: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """What somebody is told."""

    alarm: str
    event: str
    severity: str
    said: str
    runbook: str
    at: float
    host: str  # whose look it was

    @property
    def line(self) -> str:
        """One line, for a subject or a phone."""
        return f"convoy: {self.alarm} {self.event}: {self.said}"

    def document(self) -> dict[str, Any]:
        return asdict(self)


def judge(
    rule: Rule, was: Standing, said: str | None, *, tick: float, wall: float, host: str
) -> tuple[Standing, Notice | None]:
    """How the alarm stands now, and whom to tell what. `said` is the condition's answer."""
    if said is None:
        return was, None
    if not said:
        if was.raised is None:
            return Standing(), None
        return Standing(), _notice(rule, RESOLVED, was.said, wall, host)
    since = tick if was.since is None else was.since
    if was.raised is not None:
        return Standing(since, was.raised, said), None
    if tick - since < rule.lasts.total_seconds():
        return Standing(since, None, said), None
    return Standing(since, wall, said), _notice(rule, RAISED, said, wall, host)


def _notice(rule: Rule, event: str, said: str, wall: float, host: str) -> Notice:
    return Notice(rule.name, event, rule.severity.value, said, rule.runbook, wall, host)
