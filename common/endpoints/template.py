"""Endpoint URLs, and where in them a user's place is.

`{user}` may stand anywhere in the path, any number of times, whole or sliced (`{user:0:2}`);
without any, the user ID is appended. Two users never share a place and no place lies inside
another: mixing users is worse than failing, so whatever cannot promise that is refused. Pure:
touches no file system and no network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote

from common.errors import Refused

RESERVED = ".convoy"  # names that begin so are ours: staging places, probes
LONGEST = 255  # bytes in one name, the limit of every common file system
SCHEMES = ("file", "s3", "manifest+http", "manifest+https")

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_SLICE = re.compile(r"\{user(?::(-?\d*):(-?\d*))?\}")
_HINT = "write it like file:///srv/home/{user}, s3://bucket/prefix or manifest+https://host/x.json"


class Slice(NamedTuple):
    """Characters `start` to `stop` of the user ID, as Python slices; without bounds all of it."""

    start: int | None = None
    stop: int | None = None

    def __str__(self) -> str:
        if self == WHOLE:
            return "{user}"
        start, stop = ("" if n is None else n for n in self)
        return f"{{user:{start}:{stop}}}"


WHOLE = Slice()
Component = tuple[str | Slice, ...]
"""One name of a path: literal text and slices of the user ID, in order."""


def check_name(name: str) -> str | None:
    """Why this cannot be one name of a path; None if it can."""
    if name in ("", ".", ".."):
        return "it is empty or a dot name"
    if "/" in name or "\0" in name:
        return "it contains a slash or a NUL"
    if name.startswith(RESERVED):
        return f"names that begin with {RESERVED} are reserved"
    try:
        length = len(name.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return "it is not text"
    return f"it is longer than {LONGEST} bytes" if length > LONGEST else None


def check_user(user: str) -> str | None:
    """Why this cannot be a user ID; None if it can."""
    try:
        user.encode()
    except UnicodeEncodeError:
        return "it is not valid UTF-8"
    if _CONTROL.search(user):
        return "it contains control characters"
    return check_name(user)


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed endpoint.

    `host`: the bucket of S3, host and port of a manifest, "" for files. `fixed`: the path before
    the first component with a user in it, as the operator gave it ("/srv/home" for files,
    "a/b" or "" otherwise). `below`: what follows. `query`: the options behind "?".
    """

    scheme: str
    host: str
    fixed: str
    below: tuple[Component, ...]
    query: Mapping[str, str]

    @classmethod
    def parse(cls, url: str, *, cwd: str = "") -> Template:
        """Parse an endpoint; a path without a scheme is a file path (relative ones want `cwd`)."""
        if _CONTROL.search(url):
            raise _refused(url, "it contains control characters")
        scheme, found, rest = url.partition("://")
        if not found:
            return _files(url, _absolute(url, cwd), decode=False)
        scheme = scheme.lower()
        if scheme not in SCHEMES:
            raise _refused(url, f"its scheme is none of {', '.join(SCHEMES)}")
        rest, _, query = rest.partition("?")
        host, _, path = rest.partition("/")
        if scheme == "file":
            _only_a_path(url, host, query)
            return _files(url, "/" + path, decode=True)
        return _served(url, scheme, host, path, query)

    @property
    def url(self) -> str:
        """The one spelling of this endpoint, with the user in it."""
        shown = _quoted if self.scheme == "file" else str
        names = [shown(self.fixed).strip("/")] if self.fixed.strip("/") else []
        names += [
            "".join(shown(p) if isinstance(p, str) else str(p) for p in c) for c in self.below
        ]
        query = "&".join(f"{k}={quote(v, safe=':/')}" for k, v in sorted(self.query.items()))
        return f"{self.scheme}://{self.host}/{'/'.join(names)}{'?' * bool(query)}{query}"

    def path_for(self, user: str) -> tuple[str, ...]:
        """The names below `fixed` that lead to this user's place; Refused if there are none."""
        if reason := check_user(user):
            raise Refused(f"user {user!r}: {reason}", hint="take it out of the list of users")
        names = tuple(_filled(component, user) for component in self.below)
        for name, component in zip(names, self.below, strict=True):
            if reason := check_name(name):
                shape = "".join(map(str, component))
                raise Refused(
                    f"user {user!r} gives the name {name!r} for {shape}: {reason}",
                    hint="use a layout that fits every user ID, or move this user by itself",
                )
        return names

    def user_of(self, names: Sequence[str]) -> str | None:
        """The user whose place these names below `fixed` lead to; None if they are nobody's."""
        if len(names) != len(self.below):
            return None
        index = next(i for i, c in enumerate(self.below) if _names_all(c))
        name, at = names[index], self.below[index].index(WHOLE)
        before = "".join(map(str, self.below[index][:at]))
        after = "".join(map(str, self.below[index][at + 1 :]))
        if not (name.startswith(before) and name.endswith(after)):
            return None
        user = name[len(before) : len(name) - len(after)]
        if check_user(user):
            return None
        filled = tuple(_filled(component, user) for component in self.below)
        return user if filled == tuple(names) else None


def _quoted(text: str) -> str:
    return quote(text, errors="surrogateescape")


def _refused(url: str, why: str) -> Refused:
    return Refused(f"endpoint {url!r}: {why}", hint=_HINT)


def _absolute(path: str, cwd: str) -> str:
    if not path:
        raise _refused(path, "it is empty")
    if path.startswith("/"):
        return path
    if not cwd.startswith("/"):
        raise _refused(path, "a relative path means something else on every machine")
    return f"{cwd}/{path}"


def _only_a_path(url: str, host: str, query: str) -> None:
    if host not in ("", "localhost"):
        raise _refused(url, "a file endpoint has no host (three slashes, then the path)")
    if query or "?" in url or "#" in url:
        raise _refused(url, "write ? and # in a path as %3F and %23")


def _files(url: str, path: str, *, decode: bool) -> Template:
    fixed, below = _split(url, path, decode=decode)
    return Template("file", "", "/" + fixed, below, MappingProxyType({}))


def _served(url: str, scheme: str, host: str, path: str, query: str) -> Template:
    if not host or "{" in host or "@" in host:
        raise _refused(url, "it needs a bucket or host: plain, without user or password")
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) != len(pairs):
        raise _refused(url, "an option is given twice")
    fixed, below = _split(url, path, decode=False)
    return Template(scheme, host, fixed, below, MappingProxyType(options))


def _split(url: str, path: str, *, decode: bool) -> tuple[str, tuple[Component, ...]]:
    names = [name for name in path.split("/") if name not in ("", ".")]
    components = [_component(url, name, decode=decode) for name in names]
    first = next((i for i, c in enumerate(components) if any(map(_is_slice, c))), len(names))
    below = tuple(components[first:]) or ((WHOLE,),)
    if not any(map(_names_all, below)):
        raise _refused(url, "no name in it holds the whole {user}: users would share a place")
    fixed = ["".join(map(str, component)) for component in components[:first]]
    return "/".join(fixed), below


def _component(url: str, text: str, *, decode: bool) -> Component:
    pieces: list[str | Slice] = []
    at = 0
    for match in _SLICE.finditer(text):
        pieces += [
            text[at : match.start()],
            Slice(*(int(n) if n else None for n in match.groups())),
        ]
        at = match.end()
    pieces.append(text[at:])
    if any("{" in p or "}" in p for p in pieces if isinstance(p, str)):
        raise _refused(url, "braces hold {user} or a slice like {user:0:2}, nothing else")
    if decode:
        pieces = [unquote(p, errors="surrogateescape") if isinstance(p, str) else p for p in pieces]
    whole = "".join(p for p in pieces if isinstance(p, str))
    if not any(map(_is_slice, pieces)) and (reason := check_name(whole)):
        raise _refused(url, f"{whole!r} in its path: {reason}")
    if _CONTROL.search(whole) or "/" in whole:
        raise _refused(url, "its path hides a slash or control character")
    return tuple(piece for piece in pieces if piece != "")


def _is_slice(piece: str | Slice) -> bool:
    return isinstance(piece, Slice)


def _names_all(component: Component) -> bool:
    """Does this name alone tell all users apart: the whole ID, and fixed text around it?"""
    return [piece for piece in component if isinstance(piece, Slice)] == [WHOLE]


def _filled(component: Component, user: str) -> str:
    return "".join(user[p.start : p.stop] if isinstance(p, Slice) else p for p in component)
