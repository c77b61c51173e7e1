"""How long to wait for what. There is deliberately no limit over a whole transfer: a large body
over a slow link is no error, silence is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from common.settings import Settings


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Each limit is for one wait and starts anew with every byte that moves."""

    connect: timedelta = timedelta(seconds=10)  # TCP, and each step of the TLS handshake
    first_byte: timedelta = timedelta(seconds=60)  # from the last byte sent to the first received
    idle_read: timedelta = timedelta(seconds=60)  # between two bytes of an answer
    idle_write: timedelta = timedelta(seconds=60)  # while the other side takes nothing from us
    pool: int = 32  # connections to one host at once; more callers wait for one

    @classmethod
    def of(cls, settings: Settings) -> Timeouts:
        """The limits that the settings ask for."""
        return cls(
            connect=settings.connect_limit,
            first_byte=settings.first_byte_limit,
            idle_read=settings.idle_limit,
            idle_write=settings.idle_limit,
            pool=settings.pool,
        )
