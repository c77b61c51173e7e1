"""A stream of bytes sent as numbered parts, several at once, in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future

from common.digest import md5
from common.endpoints.s3 import uploads
from common.endpoints.s3.buffers import Buffers
from common.endpoints.s3.client import Client
from common.endpoints.s3.uploads import Part

Chunks = Iterator[bytes | bytearray | memoryview]


class Sender:
    """Sends the parts of one upload. `known` are parts that have arrived before."""

    def __init__(
        self, client: Client, lanes: Executor, buffers: Buffers, *, key: str, upload: str
    ) -> None:
        self._client, self._lanes, self._buffers = client, lanes, buffers
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
        sent: list[tuple[Future[str], bytearray]] = []
        total = arrived = 0
        try:
            for number, (buffer, size) in enumerate(self._cut(chunks, digest, part), first):
                total += size
                there = (known or {}).get(number)
                future = self._lanes.submit(self._one, number, buffer, size, there)
                sent.append((future, buffer))
                while arrived < len(sent) and sent[arrived][0].done():
                    sent[arrived][0].result()  # fail early, not after the whole file was read
                    arrived += 1
            return [future.result() for future, _ in sent], total
        finally:
            for future, buffer in sent:
                if future.cancel():
                    self._buffers.give(buffer)
                else:
                    future.exception()  # nothing of ours is on its way any more

    def _cut(
        self, chunks: Chunks, digest: hashlib._Hash, part: int
    ) -> Iterator[tuple[bytearray, int]]:
        """Full buffers, and the last as far as it is filled; whoever gets them gives them back."""
        buffer, filled = None, 0
        try:
            for chunk in chunks:
                digest.update(chunk)
                rest = memoryview(chunk).cast("B")
                while rest:
                    if buffer is None:
                        buffer, filled = self._buffers.take(part), 0
                    count = min(len(rest), part - filled)
                    buffer[filled : filled + count] = rest[:count]
                    rest, filled = rest[count:], filled + count
                    if filled == part:
                        full, buffer = buffer, None
                        yield full, part
            if buffer is not None:
                last, buffer = buffer, None
                yield last, filled
        finally:
            if buffer is not None:
                self._buffers.give(buffer)

    def _one(self, number: int, buffer: bytearray, size: int, there: Part | None) -> str:
        try:
            data = memoryview(buffer)[:size]
            if there and there.size == size and there.etag == md5(data).hexdigest():
                return there.etag
            return uploads.send(self._client, self._key, self._upload, number, data)
        finally:
            self._buffers.give(buffer)
