"""Reads one item and stages it: read once, digested on the way, written aside, read back.

Publishes nothing. A file that changes while it is read is read again, a few times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from common.digest import EMPTY, md5
from common.endpoints.place import Content, Held, Item, Source, Staged, Target, Type
from common.errors import Changing, Corrupt
from common.failpoints import failpoint
from consumer.mover import BOTH, SOURCE, Lease

READS = 3  # times a file that changes while it is read is read in one attempt
Chunks = Iterator[bytes | bytearray | memoryview]


class Work(NamedTuple):
    """One item that is staged and waits for its publication."""

    item: Item
    staged: Staged
    over: Held | None
    digest: str
    mends: bool


class Copier:
    """Stages items of one user between two places."""

    def __init__(self, source: Source, target: Target, lease: Lease) -> None:
        self._source, self._target, self._lease = source, target, lease

    def stage(self, item: Item, over: Held | None, *, mends: bool) -> Work:
        """`item` staged, to be published over `over`. Changing if it never stands still, Corrupt
        if what was read is not what the source vouches for."""
        if item.type is Type.LINK:
            return Work(item, self._target.stage(item, b"", EMPTY, {}), over, "", mends)
        for _ in range(READS - 1):
            try:
                return self._once(item, over, mends)
            except Changing:
                fresh = self._source.look(item.path)
                if fresh is None or fresh.type is not Type.FILE:
                    raise
                item = fresh
        return self._once(item, over, mends)

    def read(self, item: Item) -> str:
        """The MD5 of the source's contents; what the source itself vouches for costs no read."""
        if item.md5:
            return item.md5
        with self._source.open(item) as content:
            running = md5()
            for chunk in self.metered(content.chunks(), SOURCE):
                running.update(chunk)
            if not content.unchanged():
                raise Changing(f"{item.path}: changed while it was read")
            return running.hexdigest()

    def metered(self, chunks: Chunks, sides: Sequence[str] = BOTH) -> Chunks:
        """The same chunks, each paid for and shown, as long as the unit is ours."""
        for chunk in chunks:
            self._lease.still_mine()
            self._lease.spend(bytes=len(chunk), sides=sides)
            self._lease.show(bytes=len(chunk))
            yield chunk

    def _once(self, item: Item, over: Held | None, mends: bool) -> Work:
        with self._source.open(item) as content:
            staged, digest = self._copy(content)
            failpoint("users.read")
            if not content.unchanged():
                raise Changing(f"{item.path}: changed while it was read")
            return Work(content.item, staged, over, digest, mends)

    def _copy(self, content: Content) -> tuple[Staged, str]:
        item = content.item
        if item.size <= self._target.pace.whole:
            data = content.whole()
            self._lease.spend(bytes=len(data), requests=1)
            self._lease.show(bytes=len(data))
            digest = md5(data).hexdigest()
            _vouched(item, digest)
            return self._target.stage(item, data, digest, content.attributes), digest
        running = md5()
        chunks = self.metered(content.chunks())
        staged = self._target.stream(item, chunks, running, content.attributes)
        _vouched(item, running.hexdigest())
        return staged, running.hexdigest()


def _vouched(item: Item, digest: str) -> None:
    if item.md5 and item.md5 != digest:
        raise Corrupt(f"{item.path}: read {digest}, but the source vouches for {item.md5}")
