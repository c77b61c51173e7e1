"""Who is logged in: sessions in memory, with an end when idle and an end in any case.

The cookie is drawn, and kept here as a hash only. A session ends with the process, with a change
of its user's record, and when others of the same user push it out. Their number is bounded.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta

from common.clock import Clock
from ops.centre.users import User

MOST = 1_000
MOST_OF_ONE = 20


@dataclass(slots=True)
class Session:
    """One log-in. Times are ticks; `expires` is what a page may show, by the wall clock."""

    user: User
    csrf: str
    opened: float
    used: float


class Sessions:
    """All sessions. For many threads."""

    def __init__(self, clock: Clock, *, idle: timedelta, absolute: timedelta) -> None:
        self._clock = clock
        self._idle, self._absolute = idle.total_seconds(), absolute.total_seconds()
        self._open: OrderedDict[str, Session] = OrderedDict()  # the longest unused first
        self._lock = threading.Lock()

    def open(self, user: User) -> tuple[str, Session]:
        """A new session, and the secret that stands for it."""
        secret, now = secrets.token_urlsafe(32), self._clock.tick()
        session = Session(user, secrets.token_urlsafe(32), now, now)
        with self._lock:
            self._sweep(now)
            ours = [key for key, s in self._open.items() if s.user.name == user.name]
            for key in ours[: len(ours) - MOST_OF_ONE + 1]:
                del self._open[key]
            while len(self._open) >= MOST:
                self._open.popitem(last=False)
            self._open[_key(secret)] = session
        return secret, session

    def of(self, secret: str, *, use: bool) -> Session | None:
        """The session behind a cookie; `use` begins its idle time anew."""
        now, key = self._clock.tick(), _key(secret)
        with self._lock:
            session = self._open.get(key)
            if session is None:
                return None
            if self._over(session, now):
                del self._open[key]
                return None
            if use:
                session.used = now
                self._open.move_to_end(key)
            return session

    def close(self, secret: str) -> None:
        """Log out."""
        with self._lock:
            self._open.pop(_key(secret), None)

    def left(self, session: Session) -> float:
        """Seconds until it ends if nothing is done."""
        now = self._clock.tick()
        idle = session.used + self._idle - now
        return max(0.0, min(idle, session.opened + self._absolute - now))

    def __len__(self) -> int:
        return len(self._open)

    def _over(self, session: Session, now: float) -> bool:
        return now - session.used >= self._idle or now - session.opened >= self._absolute

    def _sweep(self, now: float) -> None:
        for key in [key for key, session in self._open.items() if self._over(session, now)]:
            del self._open[key]


def _key(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
