"""What changed, told to everybody who listens: one bounded list, encoded once for all of them.

Each listener keeps only its place in the list. Who falls behind its end, or comes back from before
it, is told to begin again (`reset`). Numbers are of one run of the centre, whose name is in them.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from ops.centre.answers import encoded

MOST = 2_000  # news kept
WEIGHT = 8 << 20  # bytes of them together
ROWS = 200  # in one of them
RESET = "reset"
MIGRATIONS, MIGRATION = "migrations", "migration"


@dataclass(frozen=True, slots=True)
class Item:
    """One of the news."""

    number: int
    event: str
    rows: Sequence[dict[str, Any]]
    data: bytes


class News:
    """Written by one thread, read by listeners of one event loop."""

    def __init__(self) -> None:
        self.run = secrets.token_hex(4)
        self._items: deque[Item] = deque()
        self._last = self._weight = 0
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bell = asyncio.Event()
        self.closed = False

    def attach(self) -> None:
        """From now on the running loop's listeners are rung."""
        self._loop = asyncio.get_running_loop()

    def tell(self, event: str, rows: Sequence[dict[str, Any]]) -> None:
        """Something changed: rows as they are now."""
        for first in range(0, len(rows), ROWS):
            some = rows[first : first + ROWS]
            data = encoded({"rows": some})
            with self._lock:
                self._last += 1
                self._items.append(Item(self._last, event, some, data))
                self._weight += len(data)
                while len(self._items) > MOST or self._weight > WEIGHT:
                    self._weight -= len(self._items.popleft().data)
        if rows:
            self.ring()

    def ring(self) -> None:
        """Have every listener look."""
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._rung)

    def close(self) -> None:
        """Nothing more will come: listeners end."""
        self.closed = True
        self.ring()

    def place(self, last: str) -> int | None:
        """The place behind the news of this id; None if it is not known any more."""
        if not last:
            return self._last
        run, _, number = last.partition("-")
        if run != self.run or not (number.isascii() and number.isdecimal() and len(number) < 16):
            return None
        place, items = int(number), self._items
        oldest = items[0].number if items else self._last + 1
        return place if oldest - 1 <= place <= self._last else None

    def id(self, place: int) -> str:
        return f"{self.run}-{place}"

    @property
    def last(self) -> int:
        return self._last

    def since(self, place: int) -> list[Item] | None:
        """What came after it; None if some of that is forgotten."""
        with self._lock:
            if place == self._last:
                return []
            if not self._items or self._items[0].number > place + 1:
                return None
            return [item for item in self._items if item.number > place]

    async def wait(self, most: float) -> None:
        """Until something new is there, or `most` seconds."""
        bell = self._bell
        try:
            await asyncio.wait_for(bell.wait(), most)
        except TimeoutError:
            return

    def _rung(self) -> None:
        self._bell.set()
        self._bell = asyncio.Event()


def message(id: str, event: str, data: bytes) -> bytes:
    """One message of an event stream."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (id.encode(), event.encode(), data)


def shown(item: Item, migration: str) -> tuple[str, bytes] | None:
    """The event and the data for somebody who asked for one migration, or for all."""
    if not migration or item.event != MIGRATIONS:
        return item.event, item.data
    for row in item.rows:
        if row["id"] == migration:
            return MIGRATION, encoded(row)
    return None


async def stream(
    news: News, *, last: str, migration: str, alive: Any, beat: float, poll: float
) -> AsyncIterator[bytes]:
    """Messages from behind `last` until `alive()` is False; one at least every `beat` seconds, so
    that a page can tell a broken line from a quiet one (browsers hide comments from it)."""
    place, clock = news.place(last), asyncio.get_running_loop().time
    due = clock() + beat
    yield b"retry: 2000\n\n"
    if place is None:
        place = news.last
        yield message(news.id(place), RESET, b"{}")
    elif not last:
        yield b"id: %b\n\n" % news.id(place).encode()
    while alive() and not news.closed:
        items = news.since(place)
        if items is None:
            place = news.last
            yield message(news.id(place), RESET, b"{}")
            continue
        for item in items:
            place = item.number
            if told := shown(item, migration):
                due = clock() + beat
                yield message(news.id(place), *told)
        if not items:
            await news.wait(poll)
        if clock() >= due:
            due = clock() + beat
            yield b": still here\nevent: beat\ndata: {}\n\n"
