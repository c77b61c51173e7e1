"""Sizes, rates and spans as people write them, both ways. Refuses what it does not understand."""

from __future__ import annotations

import re
from datetime import timedelta
from fractions import Fraction

from common.errors import Refused

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15} | {
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
    "pi": 2**50,
}
_SPANS = {"ms": 0.001, "": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*", re.ASCII | re.IGNORECASE)
_RATE = re.compile(r"/\s*s\s*$", re.ASCII | re.IGNORECASE)


def size(text: str) -> int:
    """`200MiB/s`, `1.5 GB`, `4096` -> bytes (or a count: `500/s` -> 500); exact, rounded down."""
    match = _NUMBER.fullmatch(_RATE.sub("", text))
    unit = match[2].lower().removesuffix("b") if match else "?"
    if match is None or unit not in _UNITS:
        raise Refused(f"{text!r} is no size", hint="write it like 200MiB, 1.5GB or 4096")
    return int(Fraction(match[1]) * _UNITS[unit])


def span(text: str) -> timedelta:
    """`2s`, `500ms`, `18m`, `30` (seconds) -> timedelta."""
    match = _NUMBER.fullmatch(text)
    unit = match[2].lower() if match else "?"
    try:
        return timedelta(seconds=float(match[1] if match else "") * _SPANS[unit])
    except (KeyError, ValueError, OverflowError):
        raise Refused(
            f"{text!r} is no time span", hint="write it like 2s, 500ms, 18m or 1h"
        ) from None


def show_size(count: float) -> str:
    """1536 -> `1.5 KiB`."""
    for unit, digits in (("B", 0), ("KiB", 1), ("MiB", 1), ("GiB", 1), ("TiB", 1)):
        if abs(round(count, digits)) < 1024:
            return f"{count:.{digits}f} {unit}"
        count /= 1024
    return f"{count:.1f} PiB"


def show_span(seconds: float) -> str:
    """4000 -> `1h06m`."""
    if round(seconds, 1) < 10:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
    return f"{minutes // 60}h{minutes % 60:02d}m"
