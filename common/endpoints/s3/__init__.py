"""S3: users' places in a bucket, over a lean client of our own.

boto3 brings configuration and credentials and nothing else. What is here is what the registry of
endpoints asks for.
"""

from __future__ import annotations

from collections.abc import Iterator

from common.endpoints.place import Capabilities
from common.endpoints.s3 import listing, probing
from common.endpoints.s3.client import Client, client_for
from common.endpoints.s3.location import Location
from common.endpoints.s3.probing import Traits
from common.endpoints.s3.source import S3Source
from common.endpoints.s3.target import S3Target
from common.endpoints.template import Template
from common.endpoints.wire import Timeouts
from common.settings import Settings

__all__ = ["Location", "S3Source", "S3Target", "Traits", "client_for"]


def open_source(template: Template, user: str, settings: Settings) -> S3Source:
    """A user's place to read from."""
    return S3Source(_location(template), _prefix(template, user), limits=Timeouts.of(settings))


def open_target(template: Template, user: str, settings: Settings, token: str) -> S3Target:
    """A user's place to write to."""
    limits = Timeouts.of(settings)
    return S3Target(_location(template), _prefix(template, user), token=token, limits=limits)


def users(template: Template, settings: Settings) -> Iterator[str]:
    """The user IDs that the bucket shows."""
    return listing.users(_client(template, settings), template)


def capabilities(template: Template, settings: Settings) -> Capabilities:
    """What a source may show. Missing or Denied if the bucket cannot be listed."""
    prepare(template, settings)
    return probing.capabilities()


def probe(template: Template, settings: Settings) -> Capabilities:
    """What a target holds, tried out there."""
    return probing.capabilities(probing.probe(_client(template, settings), _fixed(template)))


def prepare(template: Template, settings: Settings) -> None:
    """See that the bucket is there; none is ever made: its owner has more to say about it."""
    next(_client(template, settings).pages(_fixed(template), most=1))


def _client(template: Template, settings: Settings) -> Client:
    return client_for(_location(template), Timeouts.of(settings))


def _location(template: Template) -> Location:
    return Location.of(template.host, template.query)


def _fixed(template: Template) -> str:
    return f"{template.fixed}/" if template.fixed else ""


def _prefix(template: Template, user: str) -> str:
    return _fixed(template) + "/".join(template.path_for(user)) + "/"
