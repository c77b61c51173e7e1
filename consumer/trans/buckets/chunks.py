"""The chunks of a body: the plain ones of HTTP, and those of S3 with a signature each.

Sizes are short hexadecimal numbers, line ends are two bytes, and there is no extension but the one
that S3 asks for. Everything else is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from consumer.trans.buckets.faults import Fault

LINE = 256  # bytes of a chunk's first line
TRAILER = 4096  # bytes of all trailers
_PLAIN = re.compile(rb"([0-9A-Fa-f]{1,8})")
_SIGNED = re.compile(rb"([0-9A-Fa-f]{1,8});chunk-signature=([0-9a-f]{64})")


class Begin(NamedTuple):
    """A chunk begins; the last one has size 0."""

    size: int
    signature: str


class Data(NamedTuple):
    """Bytes of a chunk."""

    data: bytes


class Trailers(NamedTuple):
    """What comes behind the last chunk; the end."""

    fields: dict[str, str]


Event = Begin | Data | Trailers


class Chunks:
    """Takes bytes as they come, gives what they mean."""

    def __init__(self, *, signed: bool = False, trailers: bool = False) -> None:
        self._head = _SIGNED if signed else _PLAIN
        self._trailers = trailers
        self._rest, self._left, self._state = b"", 0, "head"
        self._fields: dict[str, str] = {}
        self._taken = 0

    @property
    def over(self) -> bool:
        return self._state == "over"

    def feed(self, data: bytes) -> Iterator[Event]:
        """Everything that `data` completes."""
        self._rest += data
        while True:
            event, again = self._step()
            if event is not None:
                yield event
            if not again:
                return

    def surplus(self) -> bytes:
        """What came behind the end."""
        return self._rest if self.over else b""

    def _step(self) -> tuple[Event | None, bool]:
        if self._state == "data":
            return self._data()
        if self._state == "over":
            return None, False
        line = self._line()
        if line is None:
            return None, False
        if self._state == "gap":
            if line:
                raise _broken("a chunk that is longer than it says")
            self._state = "head"
            return None, True
        return (self._begin(line) if self._state == "head" else self._trailer(line)), True

    def _begin(self, line: bytes) -> Begin:
        match = self._head.fullmatch(line)
        if match is None:
            raise _broken("a chunk of no known form")
        size = int(match[1], 16)
        self._left = size
        self._state = "data" if size else "trailer"
        return Begin(size, match[2].decode() if self._head is _SIGNED else "")

    def _data(self) -> tuple[Event | None, bool]:
        taken, self._rest = self._rest[: self._left], self._rest[self._left :]
        self._left -= len(taken)
        if not self._left:
            self._state = "gap"
        return (Data(taken) if taken else None), not self._left

    def _trailer(self, line: bytes) -> Trailers | None:
        if not line:
            self._state = "over"
            return Trailers(self._fields)
        name, colon, value = line.decode("latin-1").partition(":")
        known = re.fullmatch(r"[a-z0-9-]+", name.lower())
        self._taken += len(line)
        if not self._trailers or not colon or not known or name.lower() in self._fields:
            raise _broken("a trailer of no known form")
        if self._taken > TRAILER:
            raise _broken("trailers without an end")
        self._fields[name.lower()] = value.strip(" \t")
        return None

    def _line(self) -> bytes | None:
        end = self._rest.find(b"\r\n")
        if end < 0:
            if len(self._rest) > LINE:
                raise _broken("a line without an end")
            return None
        line, self._rest = self._rest[:end], self._rest[end + 2 :]
        if end > LINE or b"\n" in line or b"\r" in line:
            raise _broken("a line of no known form")
        return line


def _broken(how: str) -> Fault:
    return Fault("InvalidRequest", f"The body cannot be read: {how}.", close=True)
