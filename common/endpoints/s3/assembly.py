"""Large items: uploads in parts, begun, filled, joined, or abandoned.

Every part is proven by its MD5; the joined object by the ETag that follows from the parts, or the
MD5 of the whole, or by being read back. Every upload is noted before a byte is sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from common.digest import md5
from common.endpoints.place import Attributes, Held, Item, Type
from common.endpoints.s3 import metadata, uploads
from common.endpoints.s3.buffers import Buffers
from common.endpoints.s3.client import Client
from common.endpoints.s3.keys import key_for
from common.endpoints.s3.ledger import Ledger, Note, noted
from common.endpoints.s3.sending import Chunks, Sender
from common.endpoints.s3.uploads import Part
from common.endpoints.wire.statuses import Unsupported
from common.errors import (
    Backpressure,
    Changing,
    ConvoyError,
    Corrupt,
    Missing,
    Occupied,
    Refused,
    Stale,
    Transient,
)
from common.legible import legible

PART = 16 << 20  # bytes, unless the source was cut otherwise
PARITY = 64 << 20  # bytes; larger parts of a source are not imitated: memory
MEMORY = 128 << 20  # bytes of parts at once
MEBI = 1 << 20
Headers = Mapping[str, str]


@dataclass(slots=True)
class Assembly:
    """An item staged as an upload that only has to be joined."""

    path: str
    held: Held
    note: Note
    etags: tuple[str, ...]  # the MD5s of its parts
    part: int
    whole: str = ""  # MD5 of all of it, if somebody read it in one go


class Yard:
    """Where the large items of one user's place are put together."""

    def __init__(self, client: Client, prefix: str, lanes: ThreadPoolExecutor, token: str) -> None:
        self._client, self._prefix, self._lanes, self._token = client, prefix, lanes, token
        self._ledger, self._buffers = Ledger(client, prefix), Buffers(MEMORY)

    def sweep(self, tokens: str) -> None:
        """Abandon what is noted under tokens that begin so."""
        for note in self._ledger.of("t", tokens):
            self._ledger.abandon(note)

    def stream(
        self, item: Item, chunks: Chunks, digest: hashlib._Hash, attributes: Attributes
    ) -> Assembly:
        """All of a file as an upload of its own."""
        key, part = key_for(self._prefix, item.path), part_for(item, attributes)
        name = self._ledger.name("t", self._token, key)
        note = self._begun(name, key, metadata.headers(item, attributes), over=True)
        try:
            etags, total = self._sender(note).send(chunks, digest, part=part)
            _complete(item, total)
        except BaseException:
            with suppress(ConvoyError):  # else the next epoch does
                self._ledger.abandon(note)
            raise
        return _assembly(item, note, etags, part, digest.hexdigest())

    def begin(self, item: Item, group: str, attributes: Attributes, part: int) -> str:
        """The staging place of a group: the one that is noted, or a new one."""
        if part < uploads.SMALLEST or item.size > part * uploads.PARTS:
            raise Refused(f"{legible(item.path)}: S3 cannot join parts of {part} bytes to it")
        key = key_for(self._prefix, item.path)
        name = self._ledger.name("g", group, key)
        note = self._ledger.read(name)
        if note is None or not self._lives(note):
            headers = metadata.headers(item, attributes)
            note = self._begun(name, key, headers, over=note is not None)
        return str(note)

    def write(
        self, item: Item, place: str, start: int, chunks: Chunks, digest: hashlib._Hash, part: int
    ) -> None:
        """One range; parts that have arrived before are not sent again."""
        note = self._noted(item, place)
        first = start // part + 1
        try:
            known = self._arrived(note, first)
            self._sender(note).send(chunks, digest, part=part, first=first, known=known)
        except Missing as exc:
            raise _gone(item.path) from exc

    def join(self, item: Item, place: str, part: int) -> Assembly:
        """All ranges, if they are there without a gap."""
        note = self._noted(item, place)
        note = self._ledger.read(note.name) or note  # with its tags
        try:
            found = list(uploads.parts(self._client, note.key, note.upload))
        except Missing as exc:
            raise _gone(item.path) from exc
        sizes = [p.size for p in found]
        if [p.number for p in found] != list(range(1, len(found) + 1)):
            raise Transient(f"{legible(item.path)}: a part is missing at the target")
        if any(size != part for size in sizes[:-1]) or sum(sizes) != item.size:
            raise Transient(f"{legible(item.path)}: the parts at the target do not add up")
        return _assembly(item, note, [p.etag for p in found], part)

    def abandon(self, place: str, item: Item) -> None:
        """End a group's upload; absent already is success."""
        self._ledger.abandon(self._noted(item, place))

    def publish(self, staged: Assembly, over: Held | None) -> Held:
        """Join the parts. Not every store joins conditionally, so it is looked first."""
        note = staged.note
        found = self._client.head(note.key)
        if found and _right(staged, found):  # by an earlier try of ours, or of an earlier epoch
            self._ledger.abandon(note)
            return _published(staged, found)
        self._expect(staged, found, over)
        failed = self._join(staged, fresh=over is None)
        found = self._client.head(note.key)
        if found is None or (failed and not _right(staged, found)):
            raise failed if failed and self._lives(note) else _gone(staged.path)
        self._prove(staged, found)
        if note.tags and self._client.tags(note.key) is not None:
            self._client.set_tags(note.key, note.tags)
        self._ledger.strike(note.name)
        return _published(staged, found)

    def _join(self, staged: Assembly, *, fresh: bool) -> ConvoyError | None:
        """What went wrong, if it may be the echo of an earlier try that went well."""
        note = staged.note
        condition = {"if-none-match": "*"} if fresh else {}
        try:
            try:
                done = uploads.complete(
                    self._client, note.key, note.upload, staged.etags, condition
                )
            except Unsupported:
                done = uploads.complete(self._client, note.key, note.upload, staged.etags, {})
        except (Transient, Backpressure, Occupied) as exc:
            return exc
        return None if done else _gone(staged.path)

    def _expect(self, staged: Assembly, found: Headers | None, over: Held | None) -> None:
        version = metadata.unquoted(found["etag"]) if found else ""
        expected = over.version if over else ""
        if bool(found) != bool(over) or (expected and version != expected):
            raise Occupied(f"{legible(staged.path)}: the target holds something else by now")

    def _prove(self, staged: Assembly, found: Headers) -> None:
        """An ETag of another form proves nothing: then all of it is read back, part by part."""
        if _right(staged, found):
            return
        right = found.get("content-length") == str(staged.held.size)
        if not right or self._read_back(staged) != list(staged.etags):
            raise Corrupt(
                f"{legible(staged.path)}: the parts were right, but what was made of them is not",
                hint="it is moved again; look at the target's logs",
            )

    def _read_back(self, staged: Assembly) -> list[str]:
        digests, running, left = [], md5(), staged.part
        for chunk in self._client.get(staged.note.key).chunks():
            while chunk:
                piece, chunk = chunk[:left], chunk[left:]
                running.update(piece)
                left -= len(piece)
                if not left:
                    digests.append(running.hexdigest())
                    running, left = md5(), staged.part
        return digests if left == staged.part else [*digests, running.hexdigest()]

    def _begun(self, name: str, key: str, headers: dict[str, str], *, over: bool) -> Note:
        tags = metadata.tags(headers.pop(metadata.TAGGING, ""))  # many lose them with an upload
        note = Note(name, key, uploads.create(self._client, key, headers), tags)
        if self._ledger.enter(note, over=over):
            return note
        uploads.abort(self._client, key, note.upload)  # another consumer of the group was quicker
        winner = self._ledger.read(name)
        if winner is None:
            raise Transient(f"{legible(key)}: its staging place came and went")
        return winner

    def _arrived(self, note: Note, first: int) -> dict[int, Part]:
        """Parts from `first` on that need not be sent again; to know none costs only time."""
        try:
            arrived = uploads.parts(self._client, note.key, note.upload, after=first - 1)
            return {part.number: part for part in arrived}
        except Transient:
            return {}

    def _lives(self, note: Note) -> bool:
        try:
            list(uploads.parts(self._client, note.key, note.upload, most=1))
        except Missing:
            return False
        return True

    def _noted(self, item: Item, place: str) -> Note:
        return noted(place, key_for(self._prefix, item.path))

    def _sender(self, note: Note) -> Sender:
        return Sender(self._client, self._lanes, self._buffers, key=note.key, upload=note.upload)


def part_for(item: Item, attributes: Attributes) -> int:
    """Bytes of a part: as at the source, so that the ETags agree, or what fits the file."""
    layout = int(attributes.get("layout:part", "0"))
    if uploads.SMALLEST <= layout <= PARITY and item.size <= layout * uploads.PARTS:
        return layout
    least = -(-item.size // uploads.PARTS)
    return max(PART, -(-least // MEBI) * MEBI)


def _complete(item: Item, total: int) -> None:
    if total != item.size:
        raise Changing(f"{legible(item.path)}: {total} bytes came, not {item.size}")


def _assembly(item: Item, note: Note, etags: list[str], part: int, whole: str = "") -> Assembly:
    held = Held(Type.FILE, item.size, version=uploads.joined(etags))
    return Assembly(item.path, held, note, tuple(etags), part, whole)


def _right(staged: Assembly, found: Headers) -> bool:
    etag = metadata.unquoted(found.get("etag", ""))
    same = etag in (staged.held.version, staged.whole)
    return same and found.get("content-length") == str(staged.held.size)


def _published(staged: Assembly, found: Headers) -> Held:
    version = metadata.unquoted(found.get("etag", ""))
    md5 = staged.whole if version == staged.whole else ""
    return staged.held._replace(version=version, md5=md5)


def _gone(path: str) -> Stale:
    return Stale(f"{legible(path)}: what was staged is gone: another consumer has swept it")
