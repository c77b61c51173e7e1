"""Which endpoint serves which scheme. One line per scheme and role, written out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from common.endpoints import manifest, posix, s3
from common.endpoints.place import Capabilities, Source, Target
from common.endpoints.template import Template
from common.errors import Refused
from common.settings import Settings

T = TypeVar("T")
Reader = Callable[[Template, str, Settings, bool], Source]
Writer = Callable[[Template, str, Settings, str, bool], Target]

SOURCES: Mapping[str, Reader] = {
    "file": lambda template, user, _, deep: posix.PosixSource(template, user, deep=deep),
    "s3": lambda template, user, settings, _: s3.open_source(template, user, settings),
    "manifest+http": lambda template, user, settings, _: manifest.open_source(
        template, user, settings
    ),
    "manifest+https": lambda template, user, settings, _: manifest.open_source(
        template, user, settings
    ),
}
TARGETS: Mapping[str, Writer] = {
    "file": lambda template, user, _, token, deep: posix.PosixTarget(
        template, user, token, drop_behind=deep
    ),
    "s3": lambda template, user, settings, token, _: s3.open_target(
        template, user, settings, token
    ),
}
DEEP = ("file",)  # schemes whose disks this machine reads by itself
USERS: Mapping[str, Callable[[Template, Settings], Iterator[str]]] = {
    "file": lambda template, _: posix.users(template),
    "s3": s3.users,
}
CAPABILITIES: Mapping[str, Callable[[Template, Settings], Capabilities]] = {
    "file": lambda template, _: posix.capabilities(template),
    "s3": s3.capabilities,
    "manifest+http": manifest.capabilities,
    "manifest+https": manifest.capabilities,
}
TRIED: Mapping[str, Callable[[Template, Settings], Capabilities]] = {
    "file": lambda template, _: posix.probe(template),  # only trying tells
    "s3": s3.probe,
}
PREPARES: Mapping[str, Callable[[Template, Settings], None]] = {
    "file": lambda template, _: posix.prepare(template),
    "s3": s3.prepare,
}


def parsed(url: str) -> Template:
    """The endpoint of a URL; relative file paths are seen from the working directory."""
    return Template.parse(url, cwd=os.getcwd())


def open_source(url: str, user: str, settings: Settings, *, deep: bool = False) -> Source:
    """A user's place to read from; `deep`: from the device where that can be had. Refused if it
    cannot be one."""
    template = parsed(url)
    return _of(SOURCES, template, "source")(template, user, settings, deep)


def open_target(
    url: str, user: str, settings: Settings, *, token: str, deep: bool = False
) -> Target:
    """A user's place to write to; `token` names all that is not published yet; `deep`: read back
    from the device where that can be had."""
    template = parsed(url)
    return _of(TARGETS, template, "target")(template, user, settings, token, deep)


def users(url: str, settings: Settings) -> Iterator[str]:
    """The user IDs that an endpoint itself shows, streamed."""
    template = parsed(url)
    return _of(USERS, template, "source that lists its users")(template, settings)


def capabilities(url: str, settings: Settings, *, writes: bool = False) -> Capabilities:
    """What an endpoint can hold. Missing, Denied or Transient if it cannot be reached.

    With `writes` (only ever for a target) it may be tried out there, and leaves no trace.
    """
    template = parsed(url)
    if writes and template.scheme in TRIED:
        return TRIED[template.scheme](template, settings)
    return _of(CAPABILITIES, template, "endpoint")(template, settings)


def prepare(url: str, settings: Settings) -> None:
    """Make sure that a target's fixed root is there (its last directory is made)."""
    template = parsed(url)
    _of(PREPARES, template, "target")(template, settings)


def _of(table: Mapping[str, T], template: Template, role: str) -> T:
    try:
        return table[template.scheme]
    except KeyError:
        known = ", ".join(sorted(table))
        raise Refused(f"{template.scheme}:// is no {role}", hint=f"one of {known}") from None
