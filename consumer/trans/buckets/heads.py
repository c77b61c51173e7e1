"""The head of one HTTP/1.1 request, read as strictly as two servers in a row need it.

Where two readers could disagree on where a request ends or what it asks for, it is refused and the
connection closed: repeated or odd lengths, a length beside chunks, folded or misspelt headers,
bare line ends, absolute targets, repeated parameters. Nothing here is repaired.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from consumer.trans.buckets.faults import Fault

HEAD = 32 * 1024  # bytes
FIELDS = 128
LARGEST = 5 << 40  # bytes of a body: more than S3 takes in one request
METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE"})
_LINE = re.compile(r"([A-Z]{3,7}) (/[\x21\x22\x24-\x7e]*) HTTP/1\.([01])")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_LENGTH = re.compile(r"0|[1-9][0-9]{0,15}")
_ESCAPES = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")
_LISTS = frozenset({"connection", "accept", "accept-encoding", "cache-control", "via"})


@dataclass(frozen=True, slots=True)
class Head:
    """What a request asks for. Names of headers are in lower case, parameters decoded."""

    method: str
    path: str  # as sent, without the query
    query: Mapping[str, str]
    headers: Mapping[str, str]
    length: int  # of the body on the wire; -1: in chunks
    lasting: bool = True  # the connection stays open afterwards

    @property
    def chunked(self) -> bool:
        return self.length < 0


def parse(raw: bytes) -> Head:
    """The head in `raw`, which ends before its blank line."""
    if len(raw) > HEAD:
        raise _broken("a head that is too long")
    first, *rest = raw.decode("latin-1").split("\r\n")
    match = _LINE.fullmatch(first)
    if match is None or match[1] not in METHODS:
        raise _broken("a request line of no known form")
    headers = _fields(rest)
    if "host" not in headers:
        raise _broken("no host")
    target, _, query = match[2].partition("?")
    modern = match[3] == "1"
    return Head(
        method=match[1],
        path=target,
        query=parameters(query),
        headers=headers,
        length=_length(headers, modern=modern),
        lasting=modern and "close" not in headers.get("connection", "").lower(),
    )


def parameters(query: str) -> dict[str, str]:
    """The parameters of a query, decoded. None may come twice."""
    found: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        if decoded(name) in found:
            raise _broken("a parameter that comes twice")
        found[decoded(name)] = decoded(value)
    return found


def decoded(text: str, *, plus: bool = True) -> str:
    """What an escaped text means. Not UTF-8: lone surrogates."""
    if not _ESCAPES.fullmatch(text):
        raise _broken("an escape of no known form")
    raw = unquote_to_bytes(text.replace("+", " ") if plus else text)
    return raw.decode("utf-8", "surrogateescape")


def _fields(lines: list[str]) -> dict[str, str]:
    if len(lines) > FIELDS:
        raise _broken("too many headers")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise _broken("a header of no known form")
        name, value = name.lower(), value.strip(" \t")
        if name in headers:
            if name not in _LISTS:
                raise _broken(f"the header {name} twice")
            value = f"{headers[name]},{value}"
        headers[name] = value
    return headers


def _length(headers: Mapping[str, str], *, modern: bool) -> int:
    given, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if coding is not None:
        if given is not None or coding.lower() != "chunked" or not modern:
            raise _broken("a length beside a transfer coding, or a coding that is not chunked")
        return -1
    if given is None:
        return 0
    if not _LENGTH.fullmatch(given) or int(given) > LARGEST:
        raise _broken("a length that is none")
    return int(given)


def _broken(how: str) -> Fault:
    return Fault("InvalidRequest", f"The request cannot be read: {how}.", close=True)
