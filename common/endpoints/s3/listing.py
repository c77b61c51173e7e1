"""The users that a bucket holds, read from its keys by the layout of the template.

Streamed, by delimiter, so that no user's objects are listed. What stands where a user should be
and is none comes with a slash behind it, so that it is refused by name and not passed over.
"""

from __future__ import annotations

from collections.abc import Iterator

from common.endpoints.s3.client import Client
from common.endpoints.template import Template


def users(client: Client, template: Template) -> Iterator[str]:
    """Every user ID below the fixed part of the template."""
    start = f"{template.fixed}/" if template.fixed else ""
    yield from _below(client, template, start, ())


def _below(
    client: Client, template: Template, prefix: str, above: tuple[str, ...]
) -> Iterator[str]:
    component = template.below[len(above)]
    if all(isinstance(piece, str) for piece in component):  # a fixed name: no need to list
        name = "".join(map(str, component))
        yield from _one(client, template, f"{prefix}{name}/", (*above, name))
        return
    for page in client.pages(prefix, delimiter="/"):
        for below in page.prefixes:
            name = below[len(prefix) :].removesuffix("/")
            yield from _one(client, template, below, (*above, name))
        for entry in page.entries:
            if entry.key != prefix:
                yield _stray((*above, entry.key[len(prefix) :]))


def _one(client: Client, template: Template, prefix: str, names: tuple[str, ...]) -> Iterator[str]:
    if len(names) < len(template.below):
        yield from _below(client, template, prefix, names)
    else:
        yield template.user_of(names) or _stray(names)


def _stray(names: tuple[str, ...]) -> str:
    return "/".join(names) + "/"
