"""The XML that S3 servers answer with, read as it comes and trusted with nothing.

No document types, no entities, a bounded depth and bounded texts; elements are known by their
plain name, whatever their namespace. What is missing is empty, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote_to_bytes
from xml.parsers import expat
from xml.sax.saxutils import escape

from common.errors import Transient

DEPTH = 12
TEXT = 32 * 1024  # a key has 1024 bytes, escaped three times that
Record = dict[str, str]


class Entry(NamedTuple):
    """One object of a listing. A key that is not UTF-8 carries lone surrogates."""

    key: str
    size: int
    etag: str


class Page(NamedTuple):
    """One answer to a LIST."""

    entries: list[Entry]
    prefixes: list[str]
    token: str  # of the next page; "" at the end


def records(body: Iterable[bytes | bytearray], names: Iterable[str]) -> tuple[Record, list[Record]]:
    """A document's own fields, and each element among `names` as a record of its fields.

    A record's field is the text of a leaf anywhere in it, by the leaf's name; the name of the
    element itself stands under "". The first field of a name wins.
    """
    reader = _Reader(frozenset(names))
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = TEXT
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = _refuse
    try:
        for piece in body:
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except expat.ExpatError as exc:
        raise Transient(f"an answer that is no XML: {expat.ErrorString(exc.code)}") from exc
    return reader.own, reader.found


def page(body: Iterable[bytes | bytearray]) -> Page:
    """A page of ListObjectsV2."""
    own, found = records(body, ("Contents", "CommonPrefixes"))
    read = unescaped if own.get("EncodingType") == "url" else _same
    entries = [
        Entry(read(r.get("Key", "")), number(r.get("Size", "")), r.get("ETag", "").strip('"'))
        for r in found
        if r[""] == "Contents"
    ]
    prefixes = [read(r.get("Prefix", "")) for r in found if r[""] == "CommonPrefixes"]
    more = own.get("IsTruncated") == "true"
    token = own.get("NextContinuationToken", "") if more else ""
    if more and not token:
        raise Transient("a listing that says it goes on, and not where")
    return Page(entries, prefixes, token)


def unescaped(text: str) -> str:
    """A key under encoding-type=url; some servers write a space as "+", none writes "+" so."""
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "surrogateescape")


def number(text: str) -> int:
    """A size or a part number; Transient if it is none."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Transient("a listing with a size that is no number")
    return int(text)


def completion(etags: Iterable[str]) -> bytes:
    """The body of CompleteMultipartUpload: parts 1, 2, ... in order."""
    parts = "".join(
        f'<Part><PartNumber>{n}</PartNumber><ETag>"{escape(etag)}"</ETag></Part>'
        for n, etag in enumerate(etags, 1)
    )
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()


def tagging(tags: Mapping[str, str]) -> bytes:
    """The body of PutObjectTagging."""
    pairs = "".join(
        f"<Tag><Key>{escape(key)}</Key><Value>{escape(value)}</Value></Tag>"
        for key, value in tags.items()
    )
    return f"<Tagging><TagSet>{pairs}</TagSet></Tagging>".encode()


def _same(text: str) -> str:
    return text


def _refuse(*_: object) -> None:
    raise Transient("an answer with a document type: no S3 server writes one")


class _Reader:
    """Collects records while the parser runs."""

    def __init__(self, names: frozenset[str]) -> None:
        self.own: Record = {}
        self.found: list[Record] = []
        self._names, self._path = names, list[str]()
        self._inside: Record | None = None
        self._depth = 0  # of the record we are in
        self._text = ""

    def start(self, tag: str, _: object) -> None:
        name = tag.rpartition(":")[2]
        self._path.append(name)
        if len(self._path) > DEPTH:
            raise Transient("an answer that is nested too deep")
        self._text = ""
        if name in self._names and self._inside is None:
            self._inside = {"": name}
            self._depth = len(self._path)

    def text(self, data: str) -> None:
        self._text += data
        if len(self._text) > TEXT:
            raise Transient("an answer with a text that is too long")

    def end(self, _: str) -> None:
        name = self._path.pop()
        if self._inside is not None:
            if len(self._path) < self._depth:
                self.found.append(self._inside)
                self._inside = None
            else:
                self._inside.setdefault(name, self._text)
        elif len(self._path) <= 1:
            self.own.setdefault(name, self._text)
        self._text = ""
