"""What every kind of migration must be able to plan and to decide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from common.model import Draft, Migration
from common.settings import Settings


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a decision about a migration may depend on, gathered first and then frozen."""

    phase: str
    open: bool  # are there units queued or running?
    quarantined: bool  # are there units in quarantine?


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line of the work list that cannot be a subject."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Preflight:
    """What is known before the start: what stops it, and what the target will not hold."""

    errors: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


class Planner(Protocol):
    """One kind's plans. Reads endpoints, never writes to them."""

    queue: str  # where its units go

    def spelling(self, url: str) -> str:
        """The one spelling of an endpoint, so that the same place is the same migration; Refused
        if it is none."""

    def preflight(
        self, source: str, target: str, options: Mapping[str, Any], settings: Settings
    ) -> Preflight:
        """Look at both sides before anything is accepted."""

    def subjects(self, source: str, settings: Settings) -> Iterator[str]:
        """The work list as the source itself shows it, streamed."""

    def refuse(self, subject: str) -> str | None:
        """Why this line of the work list cannot be a subject; None if it can."""

    def drafts(self, subjects: Iterable[str], options: Mapping[str, Any]) -> Iterator[Draft]:
        """The units of these subjects."""

    def decide(self, facts: Facts) -> StrEnum | None:
        """The next event, or None to wait. Reads no clock, no store and no network."""

    def describe(self, migration: Migration) -> str:
        """One line for people."""
