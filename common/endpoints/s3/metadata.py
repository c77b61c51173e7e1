"""What an object carries besides its contents, and an item's share in it.

Ours are the names that rclone uses (`mtime`, `mode`, `uid`, `gid`) and `convoy-link`; a value
that is not in the form we write is somebody else's and is left alone. Nothing of ours is added
to an object whose source had none.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from email.header import Header, decode_header, make_header
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlencode

from common.endpoints.place import Attributes, Item, Type
from common.errors import Refused

META = "x-amz-meta-"
TAGGING = "x-amz-tagging"
LINK = "convoy-link"
LINK_MOST = 1024  # bytes, escaped; all user metadata of an object must fit into 2 KiB
CONTENT = (
    "content-type",
    "cache-control",
    "content-encoding",
    "content-disposition",
    "content-language",
    "expires",
)
_KINDS = {Type.FILE: stat.S_IFREG, Type.DIRECTORY: stat.S_IFDIR, Type.LINK: stat.S_IFLNK}
_TYPES = (0, *_KINDS.values())
_MAILED = re.compile(r"(?:\s*=\?[\w-]+\?[bBqQ]\?[^?\s]*\?=)+")
_MD5 = re.compile(r"[0-9a-f]{32}")
_TIME = re.compile(r"(-?)([0-9]{1,11})(?:\.([0-9]{1,9}))?")
_MODE = re.compile(r"[0-7]{1,7}")
_NOBODY = (1 << 32) - 1  # no user or group has this number
_ID = re.compile(r"[0-9]{1,10}")


def spelled_time(mtime_ns: int) -> str:
    """Seconds with a fraction, exact to the nanosecond, without idle zeros."""
    seconds, rest = divmod(abs(mtime_ns), 10**9)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{'-' if mtime_ns < 0 else ''}{seconds}{fraction}"


def ours(item: Item) -> dict[str, str]:
    """The metadata that keeps what S3 has no place for."""
    kept = {}
    if item.mtime_ns != -1:
        kept["mtime"] = spelled_time(item.mtime_ns)
    if item.mode >= 0:
        kept["mode"] = f"{_KINDS.get(item.type, 0) | item.mode:o}"
    if item.uid >= 0:
        kept["uid"] = str(item.uid)
    if item.gid >= 0:
        kept["gid"] = str(item.gid)
    if item.type is Type.LINK:
        kept[LINK] = _link(item)
    return kept


def headers(item: Item, attributes: Attributes) -> dict[str, str]:
    """What to send along when the item is written. Attributes S3 cannot hold are left out."""
    sent: dict[str, str] = {}
    tags: dict[str, str] = {}
    for name, value in ours(item).items():
        sent[META + name] = value
    for attribute, value in attributes.items():
        kind, _, name = attribute.partition(":")
        if kind == "header" and name in CONTENT:
            sent[name] = value
        elif kind == "meta":
            sent[META + name] = _mailable(value)  # in the very spelling the source had
        elif kind == "tag":
            tags[name] = value
    return sent | tagging(tags)


def described(item: Item, answer: Mapping[str, str]) -> Item:
    """The item with what the headers of a HEAD or GET say of it."""
    meta = {name: answer[META + name] for name in _READERS if META + name in answer}
    known: dict[str, Any] = {}
    for name, value in meta.items():
        field, read = _READERS[name]
        if (number := read(value)) is not None:
            known[field] = number
    if item.type is Type.DIRECTORY and META + LINK in answer:
        link = unquote_to_bytes(answer[META + LINK]).decode("utf-8", "surrogateescape")
        return item._replace(type=Type.LINK, link=link, **known)
    return item._replace(**known)


def attributes(item: Item, answer: Mapping[str, str], tags: Mapping[str, str]) -> Attributes:
    """What the object carries that is not in the (described) item."""
    found = {f"header:{name}": answer[name] for name in CONTENT if answer.get(name)}
    written = ours(item)
    for header, value in answer.items():
        name = header.removeprefix(META)
        if name != header and written.get(name) != value:
            found[f"meta:{name}"] = _readable(value)
    found.update((f"tag:{name}", value) for name, value in tags.items())
    return found


def tagging(tags: Mapping[str, str]) -> dict[str, str]:
    """The tagging header, if there are tags."""
    return {TAGGING: urlencode(tags, quote_via=quote)} if tags else {}


def tags(header: str) -> dict[str, str]:
    """The tags in a tagging header."""
    return dict(parse_qsl(header, keep_blank_values=True))


def kept(answer: Mapping[str, str]) -> dict[str, str]:
    """What must be said again when an object is written over itself."""
    return {n: v for n, v in answer.items() if n in CONTENT or n.startswith(META)}


def vouched(answer: Mapping[str, str]) -> str:
    """The MD5 in an answer's ETag, or "" if it is something else there."""
    if "x-amz-server-side-encryption-customer-algorithm" in answer:
        return ""
    if answer.get("x-amz-server-side-encryption", "AES256") != "AES256":
        return ""
    return plain(answer.get("etag", ""))


def plain(etag: str) -> str:
    """The ETag, if it has the form of an MD5."""
    tag = unquoted(etag).lower()
    return tag if _MD5.fullmatch(tag) else ""


def unquoted(etag: str) -> str:
    """An ETag without its quotes: what we call its version."""
    return etag.strip().removeprefix("W/").strip('"')


def _link(item: Item) -> str:
    target = quote(item.link.encode("utf-8", "surrogateescape"), safe="/-_.~")
    if len(target) > LINK_MOST:
        raise Refused(f"{item.path}: a link whose target is too long for S3 ({len(target)} bytes)")
    return target


def _mailable(value: str) -> str:
    """What is not ASCII is written as in mail headers: so S3 shows it, and everyone keeps it."""
    if value.isascii():
        return value
    try:
        return Header(value, "utf-8").encode(linesep="")
    except UnicodeEncodeError:  # bytes of no known encoding: as they came
        return value


def _readable(value: str) -> str:
    if not _MAILED.fullmatch(value):
        return value
    try:
        return str(make_header(decode_header(value)))
    except (ValueError, LookupError):
        return value


def _time(text: str) -> int | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    sign, seconds, fraction = match.groups()
    number = int(seconds) * 10**9 + int((fraction or "").ljust(9, "0"))
    number = -number if sign else number
    return number if abs(number) < 1 << 63 else None  # what a file system can hold


def _mode(text: str) -> int | None:
    """Octal as rclone writes it, with or without the type; other tools write it in decimal."""
    mode = int(text, 8) if _MODE.fullmatch(text) else -1
    return mode & 0o7777 if mode >= 0 and stat.S_IFMT(mode) in _TYPES else None


def _id(text: str) -> int | None:
    return int(text) if _ID.fullmatch(text) and int(text) < _NOBODY else None


_READERS = {
    "mtime": ("mtime_ns", _time),
    "mode": ("mode", _mode),
    "uid": ("uid", _id),
    "gid": ("gid", _id),
}
