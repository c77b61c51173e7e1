"""The users that a source holds, read from its directories by the layout of the template.

Streamed, in no order. What stands where a user should be and is none is not passed over: it comes
with a slash behind it, so that it is refused by name like any other line that is no user ID.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from common.endpoints.posix.directories import ENTER, Handle
from common.endpoints.posix.root import enter_fixed
from common.endpoints.posix.translation import ours
from common.endpoints.template import Template


def users(template: Template) -> Iterator[str]:
    """Every user ID below the fixed part. Denied or Transient if some directory cannot be read:
    a list that is not whole is none."""
    try:
        yield from _below(template, enter_fixed(template.fixed), ())
    except OSError as exc:
        raise ours(exc, f"listing {template.fixed}") from exc


def _below(template: Template, directory: Handle, above: tuple[str, ...]) -> Iterator[str]:
    component = template.below[len(above)]
    if all(isinstance(piece, str) for piece in component):  # a fixed name: no need to list
        yield from _one(template, directory, (*above, "".join(map(str, component))))
        return
    with os.scandir(directory.fd) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _one(template, directory, (*above, entry.name))
            else:
                yield _stray((*above, entry.name))


def _one(template: Template, parent: Handle, names: tuple[str, ...]) -> Iterator[str]:
    if len(names) == len(template.below):
        yield template.user_of(names) or _stray(names)
        return
    try:
        directory = Handle(os.open(names[-1], ENTER, dir_fd=parent.fd))
    except FileNotFoundError:
        yield _stray(names)
    else:
        yield from _below(template, directory, names)


def _stray(names: tuple[str, ...]) -> str:
    return "/".join(names) + "/"
