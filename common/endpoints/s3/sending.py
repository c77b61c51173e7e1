"""A stream of bytes sent as numbered parts, several at once, in bounded memory."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future

from common.digest import md5
from common.endpoints.s3 import uploads
from common.endpoints.s3.client import Client
from common.endpoints.s3.uploads import Part

Chunks = Iterator[bytes | bytearray | memoryview]


class Room:
    """Bytes of parts that may be in memory at once. One part always fits."""

    def __init__(self, most: int) -> None:
        self._most, self._taken = most, 0
        self._changed = threading.Condition()

    def take(self, count: int) -> None:
        """Wait until there is room. Whoever holds some is not waiting here for more."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + count <= self._most)
            self._taken += count

    def leave(self, count: int) -> None:
        """Give it back."""
        with self._changed:
            self._taken -= count
            self._changed.notify_all()


class Sender:
    """Sends the parts of one upload. `known` are parts that have arrived before."""

    def __init__(
        self, client: Client, lanes: Executor, room: Room, *, key: str, upload: str
    ) -> None:
        self._client, self._lanes, self._room = client, lanes, room
        self._key, self._upload = key, upload

    def send(
        self,
        chunks: Chunks,
        digest: hashlib._Hash,
        *,
        part: int,
        first: int = 1,
        known: Mapping[int, Part] | None = None,
    ) -> tuple[list[str], int]:
        """Cut `chunks` into parts of `part` bytes and send what is not there yet; their MD5s in
        order, and the bytes that came. The last part may be shorter."""
        sent: list[Future[str]] = []
        total = arrived = 0
        try:
            for number, data in enumerate(self._cut(chunks, digest, part), first):
                total += len(data)
                there = (known or {}).get(number)
                sent.append(self._lanes.submit(self._one, number, data, there, part))
                while arrived < len(sent) and sent[arrived].done():
                    sent[arrived].result()  # fail early, not after the whole file was read
                    arrived += 1
            return [future.result() for future in sent], total
        finally:
            for future in sent:
                if future.cancel():
                    self._room.leave(part)
            for future in sent:
                if not future.cancelled():
                    future.exception()  # nothing of ours is on its way any more

    def _cut(self, chunks: Chunks, digest: hashlib._Hash, part: int) -> Iterator[memoryview]:
        buffer, filled = memoryview(b""), 0
        try:
            for chunk in chunks:
                digest.update(chunk)
                rest = memoryview(chunk).cast("B")
                while rest:
                    if not buffer:
                        self._room.take(part)
                        buffer, filled = memoryview(bytearray(part)), 0
                    count = min(len(rest), part - filled)
                    buffer[filled : filled + count] = rest[:count]
                    rest, filled = rest[count:], filled + count
                    if filled == part:
                        full, buffer = buffer, memoryview(b"")
                        yield full
            if buffer:
                last, buffer = buffer[:filled], memoryview(b"")
                yield last
        finally:
            if buffer:
                self._room.leave(part)

    def _one(self, number: int, data: memoryview, there: Part | None, part: int) -> str:
        try:
            if there and there.size == len(data) and there.etag == md5(data).hexdigest():
                return there.etag
            return uploads.send(self._client, self._key, self._upload, number, data)
        finally:
            self._room.leave(part)
