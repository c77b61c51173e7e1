"""HTTP manifests: users' files as a list of path, url, length and md5, somewhere on the web."""

from __future__ import annotations

from urllib.parse import quote

from common import quantities
from common.endpoints.manifest.fetching import fetcher
from common.endpoints.manifest.source import LARGEST, ManifestSource
from common.endpoints.place import Capabilities
from common.endpoints.template import Template
from common.endpoints.wire import Origin, Timeouts
from common.errors import Refused
from common.settings import Settings

__all__ = ["ManifestSource", "capabilities", "fetcher", "open_source"]

_OPTIONS = ("largest",)


def open_source(template: Template, user: str, settings: Settings) -> ManifestSource:
    """A user's place to read from. Every name of the address is escaped, the user's too."""
    names = [*filter(None, template.fixed.split("/")), *template.path_for(user)]
    url = f"{_origin(template)}/{'/'.join(quote(name, safe='') for name in names)}"
    return ManifestSource(url, limits=Timeouts.of(settings), largest=_largest(template))


def capabilities(template: Template, settings: Settings) -> Capabilities:
    """What a manifest may show. Nothing is fetched: whose would it be?"""
    _origin(template), _largest(template), Timeouts.of(settings)
    return Capabilities(
        links=False,
        hardlinks=False,
        owners=False,
        modes=True,
        xattrs=False,
        sparse=False,
        directories=False,
        headers=False,
        tags=False,
        any_name=True,
        conditional=False,
        folds=False,
        vouches=True,
    )


def _origin(template: Template) -> Origin:
    return Origin.parse(f"{template.scheme.removeprefix('manifest+')}://{template.host}")


def _largest(template: Template) -> int:
    unknown = set(template.query) - set(_OPTIONS)
    if unknown:
        raise Refused(
            f"{min(unknown)[:40]!r}: no option of a manifest",
            hint=f"there are {', '.join(_OPTIONS)}",
        )
    text = template.query.get("largest")
    return quantities.size(text) if text else LARGEST
