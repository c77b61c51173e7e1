"""What is to be done about one post, judged from what is wanted, seen and remembered. Pure.

Dead is who holds no lock. Hung is who holds it and is late with its sign, by the host's own
monotonic clock. A death counts against a post only within `SHORT` of a start: then the next start
waits, longer each time. What a person ended, or we did, is no death.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from common.presence import Seen, Sign
from common.process import Who
from common.settings import Settings

SHORT = 10.0  # seconds; who dies within them of a start may well do so again
FALLS = 3  # such deaths in a row, and a person should look
SOON = 30.0  # seconds until a start for which it is worth to stay awake
HOUR = 3600.0
RESTLESS = 12  # starts of one post within an hour, and a person should look
LEAVE = 60.0  # seconds for one that was told to give its unit back, or has none, to end


class Act(StrEnum):
    """What to do about a post now."""

    REST = "rest"
    WAIT = "wait"  # it is to be started, later
    START = "start"
    TELL = "tell"  # that it is to finish what it has and end
    END = "end"  # it is hung
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long is too long, in seconds."""

    grace: float  # between TERM and KILL for one that is hung
    first_sign: float
    pause: float  # after the first early death, doubled with each
    pause_most: float

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """As the settings say."""
        return cls(
            grace=settings.watch_grace.total_seconds(),
            first_sign=settings.watch_first_sign.total_seconds(),
            pause=settings.watch_pause.total_seconds(),
            pause_most=settings.watch_pause_most.total_seconds(),
        )


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered of a post. Ticks of the host's clock; 0 means never."""

    started: float = 0.0  # by us
    up: bool = False  # has been started, and its death was not noticed yet
    seen: float = 0.0  # alive
    still: float = 0.0  # first seen stopped by a signal
    falls: int = 0
    due: float = 0.0  # not started before
    told: float = 0.0  # to end
    pid: int = 0  # of whom we told
    why: str = ""  # we told it
    starts: tuple[float, ...] = ()  # within the last hour
    alarmed: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do, why, and what to remember."""

    act: Act
    past: Past
    why: str = ""
    alarm: str = ""
    hasty: bool = False  # look again soon: something is about to be decided


HUNG, UNWANTED, NOW = "hung", "unwanted", "now"


def judge(
    seen: Seen, past: Past, now: float, limits: Limits, *, wanted: bool, stopped: bool = False
) -> Verdict:
    """One post. `stopped`: its process was stopped by a signal."""
    past = replace(past, starts=tuple(at for at in past.starts if now - at < HOUR))
    if not seen.held:
        return _absent(seen, past, now, limits, wanted=wanted)
    past = replace(past, still=(past.still or now) if stopped else 0.0)
    if seen.who is None:
        return Verdict(Act.REST, past, "taken by a process that is only starting")
    return _present(seen, seen.who, past, now, limits, wanted=wanted)


def silence(seen: Seen, who: Who, past: Past, now: float, limits: Limits) -> str:
    """Why one that holds its lock is taken for hung; "" if it is not."""
    sign = seen.sign
    if sign is None:
        since = now - who.since
        return f"gave no sign in {since:.0f} s" if since > limits.first_sign else ""
    patience = sign.due - sign.tick
    if past.still and now - past.still > patience:
        return f"stopped by a signal for {now - past.still:.0f} s"
    if now > _deadline(sign, past):
        return f"no sign for {now - sign.tick:.0f} s"
    if sign.turned and not sign.unit and sign.tick - sign.turned > patience:
        return f"its loop stands still since {now - sign.turned:.0f} s"
    return ""


def _deadline(sign: Sign, past: Past) -> float:
    """One that talks to the store may be kept waiting there, unless it was stopped meanwhile."""
    patience = sign.due - sign.tick
    return sign.due + (2 * patience if sign.talking and not past.still else 0.0)


def _present(
    seen: Seen, who: Who, past: Past, now: float, limits: Limits, *, wanted: bool
) -> Verdict:
    if past.told and past.pid == who.pid:
        quiet = silence(seen, who, past, now - LEAVE, limits)  # who ends falls silent before
        return _leaving(past, now, limits, quiet)
    quiet = silence(seen, who, past, now, limits)
    past = replace(past, told=0.0, pid=0, why="", seen=now)
    if quiet:
        told = replace(past, told=now, pid=who.pid, why=HUNG, up=True)
        return Verdict(Act.END, told, quiet, hasty=True)
    if not wanted:
        told = replace(past, told=now, pid=who.pid, why=UNWANTED)
        return Verdict(Act.TELL, told, "not wanted any more")
    if now - max(past.started, who.since) > SHORT:
        calm = len(past.starts) < RESTLESS
        past = replace(past, falls=0, alarmed="" if calm else past.alarmed)
    return Verdict(Act.REST, past, hasty=_suspicious(seen, past, now))


def _suspicious(seen: Seen, past: Past, now: float) -> bool:
    """Is it later than a beat or so? Then it will be known soon, one way or the other."""
    sign = seen.sign
    return bool(past.still) or (sign is not None and now - sign.tick > 0.3 * (sign.due - sign.tick))


def _leaving(past: Past, now: float, limits: Limits, quiet: str) -> Verdict:
    """It was told to end. Who drains may take as long as a unit takes; who hangs may not."""
    waited = now - past.told
    if past.why == HUNG and (waited > limits.grace or past.still):
        return Verdict(Act.KILL, past, "did not end when told to", hasty=True)
    if past.why == NOW and waited > LEAVE:
        return Verdict(Act.KILL, past, "did not give its unit back in time", hasty=True)
    if past.why != HUNG and quiet:
        return Verdict(Act.END, replace(past, told=now, why=HUNG), quiet, hasty=True)
    return Verdict(Act.REST, past, hasty=past.why != UNWANTED)


def _absent(seen: Seen, past: Past, now: float, limits: Limits, *, wanted: bool) -> Verdict:
    if not wanted:
        return Verdict(Act.REST, Past(starts=past.starts))
    why = "not running"
    if past.up:
        past, why = _mourned(seen, past, now, limits)
    past = replace(past, up=False, told=0.0, pid=0, why="", still=0.0)
    alarm = _alarming(past)
    past = replace(past, alarmed=past.alarmed or alarm)
    if now < past.due:
        wait = past.due - now
        soon = wait < SOON
        return Verdict(Act.WAIT, past, f"{why}; next try in {wait:.0f} s", alarm, hasty=soon)
    begun = replace(past, started=now, seen=now, up=True, starts=(*past.starts, now))
    return Verdict(Act.START, begun, why, alarm)


def _mourned(seen: Seen, past: Past, now: float, limits: Limits) -> tuple[Past, str]:
    """It died since we looked last: how early was that?"""
    sign = seen.sign.tick if seen.sign and seen.sign.tick > past.started else 0.0
    lived = max(past.seen, sign) - past.started
    if past.why == HUNG and sign:
        return replace(past, falls=0, due=now), "ended because it was hung"
    if past.why in (UNWANTED, NOW):
        return replace(past, falls=0, due=now), "ended as told, and wanted again"
    if lived >= SHORT and past.why != HUNG:
        return replace(past, falls=0, due=now), f"died after {lived:.0f} s or more"
    falls = past.falls + 1
    pause = min(limits.pause_most, limits.pause * 2.0 ** min(falls - 1, 30))
    return replace(past, falls=falls, due=now + pause), f"died early, {falls} times in a row"


def _alarming(past: Past) -> str:
    """What a person should hear, once for each streak."""
    if past.alarmed:
        return ""
    if past.falls >= FALLS:
        return f"died {past.falls} times in a row within {SHORT:.0f} s of its start"
    if len(past.starts) >= RESTLESS:
        return f"was started {len(past.starts)} times within an hour"
    return ""
