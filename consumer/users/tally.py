"""What a pass saw and did, counted by many lanes at once; becomes the unit's receipt."""

from __future__ import annotations

import threading

from common.digest import Sum, proof
from common.endpoints.place import Item, Type
from common.model import Counts, Failure, Receipt

NOTICED = 200  # notices of one unit that are kept by name


class Tally:
    """Thread-safe. An item counts as moved if this generation published it, in whichever epoch."""

    def __init__(self, user: str) -> None:
        self._user = user
        self._lock = threading.Lock()
        self._sum = Sum()
        self._items = self._moved = self._skipped = self._mended = 0
        self._bytes = self._bytes_moved = 0
        self._failures: dict[str, Failure] = {}  # by item; the first reason is the cause
        self._again: list[Failure] = []
        self._notices: list[str] = []
        self._unsaid = 0  # notices beyond those kept

    def seen(self, item: Item) -> None:
        """The source shows this item."""
        with self._lock:
            self._items += 1
            self._bytes += item.size

    def gone(self, item: Item) -> None:
        """Deleted at the source since it was listed: live change, and no order to delete."""
        with self._lock:
            if item.type is not Type.DIRECTORY:
                self._items -= 1
                self._bytes -= item.size
            self._note(f"{item.path}: gone from the source while we looked")

    def notice(self, text: str) -> None:
        """Something a person should read, although nothing failed."""
        with self._lock:
            self._note(text)

    def fail(self, item: str, error: Exception) -> None:
        """This item did not arrive, and trying again cannot help."""
        with self._lock:
            self._failures.setdefault(item, _failure(item, error))

    def refuse(self, failure: Failure) -> None:
        """The endpoint refused this item by name."""
        with self._lock:
            self._failures.setdefault(failure.item, failure)

    def retry(self, item: str, error: Exception) -> int:
        """This item did not arrive for a passing reason; how many such items there are now."""
        with self._lock:
            self._again.append(_failure(item, error))
            return len(self._again)

    def done(self, item: Item, digest: str, *, moved: bool, mended: bool, content: bool) -> None:
        """This item is right on the target: moved or mended by us, or found so."""
        share = proof(self._user, item.path, item.type, item.size, digest or item.link)
        with self._lock:
            if mended:
                self._mended += 1
            elif moved:
                self._moved += 1
            else:
                self._skipped += 1
            if content:
                self._bytes_moved += item.size
            if item.type is Type.FILE and not digest:
                self._sum.unknown()
            else:
                self._sum.add(share)

    def receipt(self) -> Receipt:
        """The counts so far as a receipt."""
        failed = len(self._failures) + len(self._again)
        counts = Counts(
            items=self._items,
            moved=self._moved,
            skipped=self._skipped,
            mended=self._mended,
            failed=failed,
            bytes=self._bytes,
            bytes_moved=self._bytes_moved,
        )
        again = ""
        if self._again:
            first = self._again[0]
            again = f"{len(self._again)} items want another try: {first.item}: {first.reason}"
        return Receipt(
            counts=counts,
            digest="" if failed else self._sum.hex(),
            failures=(*self._failures.values(), *self._again),
            notices=(*self._notices, *self._more()),
            again=again,
        )

    def _note(self, text: str) -> None:
        if len(self._notices) < NOTICED:
            self._notices.append(text)
        else:
            self._unsaid += 1

    def _more(self) -> tuple[str, ...]:
        return (f"{self._unsaid:,} more notices like these",) if self._unsaid else ()


def _failure(item: str, error: Exception) -> Failure:
    return Failure(item, str(error), getattr(error, "hint", ""))
