"""What a manifest says: JSON (a list of objects) or CSV (with a header line), read as it comes.

Every record is checked by itself: a bad one is refused by name and harms no other. A document
that is none is refused as a whole.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from common.endpoints.manifest.fetching import joined
from common.endpoints.template import check_name
from common.errors import Refused
from common.legible import legible
from common.model import Failure

LONGEST = 4096  # bytes of a path
RECORD = 64 * 1024  # characters of one record
_MD5 = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
_OCTAL = re.compile(r"[0-7]{1,7}")
_BLANK = re.compile(r"[\s]*")
_ADVICE = "correct it in the manifest"
Pieces = Iterable[bytes | bytearray | memoryview]


class Record(NamedTuple):
    """One file."""

    path: str
    url: str
    size: int
    md5: str
    mtime_ns: int = -1
    mode: int = -1


def read(pieces: Pieces, base: str, *, table: bool) -> Iterator[Record | Failure]:
    """The records of a document that came from `base`; `table`: it is CSV."""
    text = codecs.iterdecode(map(bytes, pieces), "utf-8-sig", errors="strict")
    try:
        fields = _rows(text) if table else _objects(text)
        for number, found in enumerate(fields, 1):
            yield _checked(found, number, base)
    except UnicodeDecodeError as exc:
        raise _no_manifest("it is not UTF-8") from exc


def _objects(text: Iterator[str]) -> Iterator[Any]:
    """The elements of a JSON list, one at a time."""
    decoder = json.JSONDecoder(parse_float=Decimal)
    held, at = _grown("", 0, text)
    if held[at : at + 1] != "[":
        raise _no_manifest("it is not a list")
    held, at = _grown(held, at + 1, text)
    more = held[at : at + 1] != "]"
    while more:
        found, held, at = _element(decoder, held, at, text)
        yield found
        held, at = _grown(held, at, text)
        more = held[at : at + 1] == ","
        if more:
            held, at = _grown(held, at + 1, text)
    if held[at : at + 1] != "]":
        raise _no_manifest("its list is cut short or damaged")
    held, at = _grown(held, at + 1, text)
    if held[at:]:
        raise _no_manifest("something follows its list")


def _element(
    decoder: json.JSONDecoder, held: str, at: int, text: Iterator[str]
) -> tuple[Any, str, int]:
    while True:
        try:
            found, end = decoder.raw_decode(held, at)
        except (ValueError, RecursionError) as exc:
            more = next(text, "")
            if not more or len(held) - at > RECORD or isinstance(exc, RecursionError):
                raise _no_manifest("its list is cut short or damaged") from exc
            held, at = held[at:] + more, 0
        else:
            if end < len(held):
                return found, held, end
            held = held[at:] + (more := next(text, ""))  # a number may go on behind it
            if not more:
                return found, held, end - at
            at = 0


def _grown(held: str, at: int, text: Iterator[str]) -> tuple[str, int]:
    """Skip blanks; at the end of what is held go on with what comes."""
    while True:
        match = _BLANK.match(held, at)
        at = match.end() if match else at
        if at < len(held):
            return held, at
        held, at = next(text, ""), 0
        if not held:
            return "", 0


def _rows(text: Iterator[str]) -> Iterator[dict[str, Any]]:
    try:
        reader = csv.DictReader(_lines(text), strict=True)
        missing = {"path", "url", "length", "md5"} - set(reader.fieldnames or ())
        if missing:
            raise _no_manifest(f"its header line lacks {', '.join(sorted(missing))}")
        for row in reader:
            yield {name: value for name, value in row.items() if value not in (None, "")}
    except csv.Error as exc:
        raise _no_manifest(f"it is no CSV: {exc}") from exc


def _lines(text: Iterator[str]) -> Iterator[str]:
    held = ""
    for piece in text:
        *lines, held = (held + piece).split("\n")
        if len(held) > RECORD:
            raise _no_manifest("a line in it is too long")
        yield from (f"{line}\n" for line in lines)
    if held:
        yield held


def _checked(found: Any, number: int, base: str) -> Record | Failure:
    path = found.get("path") if isinstance(found, Mapping) else None
    if not isinstance(path, str):
        return Failure(f"entry {number}", "it has no path", _ADVICE)
    try:
        return Record(
            _path(path),
            joined(base, _text(found, "url")),
            _length(found.get("length")),
            _md5(found.get("md5")),
            _mtime(found.get("mtime")),
            _mode(found.get("mode")),
        )
    except Refused as exc:
        return Failure(legible(path)[:LONGEST], f"entry {number}: {exc}", _ADVICE)


def _path(path: str) -> str:
    for name in path.split("/"):
        if reason := check_name(name):
            raise Refused(f"not a path below the user's place: {reason}")
    if len(path.encode("utf-8", "surrogateescape")) > LONGEST:
        raise Refused("its path is too long")
    return path


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value:
        raise Refused(f"it has no {name}")
    return value


def _length(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 62:
        raise Refused("its length is no number of bytes")
    return value


def _md5(value: Any) -> str:
    if not isinstance(value, str) or not _MD5.fullmatch(value):
        raise Refused("its md5 is none")
    return value.lower()


def _mtime(value: Any) -> int:
    """Seconds since the epoch, or a date with a time zone; none is unknown."""
    if value is None:
        return -1
    try:
        if isinstance(value, str) and ("T" in value or " " in value):
            when = datetime.fromisoformat(value)
            if when.tzinfo is None:
                raise Refused("its mtime has no time zone")
            span = when - datetime(1970, 1, 1, tzinfo=UTC)
            return (span.days * 86400 + span.seconds) * 10**9 + span.microseconds * 1000
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise Refused("its mtime is no time")
        seconds = Decimal(value)
        if not seconds.is_finite() or abs(seconds) > 9 * 10**9:
            raise Refused("its mtime is no time")
        return int(seconds * 10**9)
    except (ValueError, InvalidOperation, OverflowError) as exc:
        raise Refused("its mtime is no time") from exc


def _mode(value: Any) -> int:
    """Permission bits: a number, or octal digits in a text."""
    if value is None:
        return -1
    if isinstance(value, str) and _OCTAL.fullmatch(value):
        value = int(value, 8) & 0o7777
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 0o7777:
        raise Refused("its mode is none")
    return value


def _no_manifest(why: str) -> Refused:
    return Refused(f"no manifest: {why}", hint="a list of {path, url, length, md5} is expected")
