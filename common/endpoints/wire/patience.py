"""The two ways in which a request is tried again within one call: from the start, and from where
it broke. Silence is never waited for twice: it has used up a limit already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import TypeVar

from common.endpoints.wire.connection import Silent
from common.endpoints.wire.pool import Answer
from common.endpoints.wire.reply import Reply
from common.errors import Backpressure, Transient
from common.retry import brief

PATIENCE = timedelta(seconds=2)  # a server that asks for a longer pause is obeyed by the caller
BREAKS = 4  # in a row, each after less than
STRIDE = 1 << 20  # bytes
T = TypeVar("T")


def retried(act: Callable[[], T]) -> T:
    """A few tries within seconds. The first goes without tenacity, which costs as much as the
    request itself; an answer to a later one says that an earlier may have had effect."""
    try:
        return act()
    except (Transient, Backpressure) as exc:
        if isinstance(exc, Silent) or _long(exc):
            raise
        first: list[Exception] = [exc]

    def again() -> T:
        if first:
            raise first.pop()
        done = act()
        return done._replace(again=True) if isinstance(done, Answer) else done

    return brief(but=(Silent,))(again)


def resumed(begin: Callable[[int], Reply], start: int, end: int) -> Iterator[memoryview]:
    """The bytes from `start` to `end`, taken up again where an answer breaks off, as long as it
    gets on. `begin` asks for what is from an offset on; it may get more than that."""
    breaks, since = 0, start
    while start < end:
        try:
            for chunk in _trimmed(begin(start), start, end):
                start += len(chunk)
                yield chunk
        except Silent:
            raise
        except Transient:
            breaks, since = (breaks + 1, since) if start - since < STRIDE else (1, start)
            if breaks > BREAKS:
                raise


def first_byte(headers: Mapping[str, str]) -> int:
    """Where in the whole an answer begins; some servers send a range with status 200."""
    unit, _, span = headers.get("content-range", "").partition(" ")
    first = span.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdigit() and len(first) < 19 else 0


def _trimmed(reply: Reply, start: int, end: int) -> Iterator[memoryview]:
    behind, left = start - first_byte(reply.headers), end - start
    if behind < 0:
        reply.close()
        raise Transient(f"{reply.what}: the answer begins too late")
    for chunk in reply.chunks():
        skipped = min(behind, len(chunk))
        behind -= skipped
        piece = chunk[skipped : skipped + left]
        left -= len(piece)
        if piece:
            yield piece
        if not left:
            break
    reply.close()
    if left:
        raise Transient(f"{reply.what}: the answer was shorter than it should be")


def _long(exc: Transient | Backpressure) -> bool:
    return isinstance(exc, Backpressure) and exc.retry_in > PATIENCE
