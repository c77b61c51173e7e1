"""Which uploads in parts are ours: noted in small objects beside the user's, under reserved names.

A listing of uploads does not say whose they are, so only noted ones are ever abandoned. An upload
whose consumer died between beginning and noting it stays until the bucket's own rule for
incomplete uploads removes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import quote

from common.digest import md5
from common.endpoints.s3 import uploads
from common.endpoints.s3.client import Client
from common.endpoints.template import RESERVED
from common.errors import Missing

NOTES = f"{RESERVED}-upload-"
MOST = 16 * 1024  # bytes of a note


class Note(NamedTuple):
    """One upload of ours."""

    name: str  # the key of the note
    key: str
    upload: str
    tags: Mapping[str, str] = MappingProxyType({})  # to be set once it is joined

    def __str__(self) -> str:
        return f"{self.name}:{self.upload}"


class Ledger:
    """The notes in one user's place."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client, self._prefix = client, prefix

    def name(self, kind: str, owner: str, key: str) -> str:
        """Where the upload of `key` by `owner` is noted: kind "t" for a token, "g" for a group."""
        tag = md5(key.encode()).hexdigest()[:16]
        return f"{self._prefix}{NOTES}{kind}-{quote(owner, safe='')}-{tag}"

    def enter(self, note: Note, *, over: bool = False) -> bool:
        """Note an upload; False if another one is noted there already."""
        data = json.dumps(
            {"key": note.key, "upload": note.upload, "tags": dict(note.tags)}
        ).encode()
        condition = {} if over else {"if-none-match": "*"}
        answer = self._client.put(note.name, data, md5(data).hexdigest(), condition)
        return answer.status == 200

    def read(self, name: str) -> Note | None:
        """What is noted under a name; None if nothing that we wrote."""
        try:
            text = self._client.get(name).read(MOST)
            fields = json.loads(bytes(text))
            note = Note(name, str(fields["key"]), str(fields["upload"]), dict(fields["tags"]))
        except (Missing, ValueError, KeyError, TypeError):
            return None
        return note if note.key.startswith(self._prefix) else None

    def of(self, kind: str, owner: str) -> Iterator[Note]:
        """All notes of owners whose names begin so."""
        start = f"{self._prefix}{NOTES}{kind}-{quote(owner, safe='')}"
        for page in self._client.pages(start):
            yield from filter(None, map(self.read, (entry.key for entry in page.entries)))

    def strike(self, name: str) -> None:
        """Forget an upload."""
        self._client.delete(name)

    def abandon(self, note: Note) -> None:
        """End an upload of ours, and forget it."""
        uploads.abort(self._client, note.key, note.upload)
        self.strike(note.name)


def noted(place: str, key: str) -> Note:
    """The note that the name of a staging place stands for."""
    name, _, upload = place.rpartition(":")
    return Note(name, key, upload)
