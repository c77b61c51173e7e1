"""Changes to what an object carries besides its contents, and copies within the bucket.

S3 changes metadata only by writing an object over itself; everything else that it carries is said
again, tags too, because not every store keeps what is not said.
"""

from __future__ import annotations

from common.digest import EMPTY
from common.endpoints.place import Attributes, Item, Type
from common.endpoints.s3 import metadata
from common.endpoints.s3.client import COPIED, Client
from common.errors import Missing, Refused
from common.legible import legible

_REPLACE = {"x-amz-metadata-directive": "REPLACE", "x-amz-tagging-directive": "REPLACE"}


def amend(client: Client, key: str, item: Item, attributes: Attributes | None) -> bool:
    """Bring metadata (and, if given, attributes) in line with the item; False if they are."""
    if not metadata.ours(item) and attributes is None:
        return False
    found = client.head(key)
    if found is None:
        raise Missing(f"{legible(item.path)}: gone from the target since it was looked at")
    wanted = _wanted(item, attributes, found)
    tags = metadata.tags(wanted.pop(metadata.TAGGING, ""))
    if wanted == metadata.kept(found) and attributes is None:
        return False
    theirs = tags_of(client, key, found)
    if attributes is None:
        tags = theirs
    if wanted == metadata.kept(found) and tags == theirs:
        return False
    wanted |= metadata.tagging(tags)
    if item.type is not Type.FILE:  # an empty object: written anew
        client.put(key, b"", EMPTY, wanted)
        return True
    if int(found["content-length"]) > COPIED:
        raise Refused(
            f"{legible(item.path)}: S3 cannot change the metadata of an object of more than 5 GiB",
            hint="remove it at the target and run again, or leave its metadata as it is",
        )
    condition = {"x-amz-copy-source-if-match": found["etag"]}
    client.copy(key, key, {**wanted, **_REPLACE, **condition})
    if tags:  # not every store takes them along
        client.set_tags(key, tags)
    return True


def tags_of(client: Client, key: str, found: dict[str, str]) -> dict[str, str]:
    """An object's tags. A HEAD does not always count them, so they are asked for."""
    if found.get("x-amz-tagging-count") == "0" or not client.quirks.tags:
        return {}
    return client.tags(key) or {}


def _wanted(item: Item, attributes: Attributes | None, found: dict[str, str]) -> dict[str, str]:
    ours = {metadata.META + name: value for name, value in metadata.ours(item).items()}
    if attributes is None:
        return {**metadata.kept(found), **ours}
    wanted = metadata.headers(item, attributes)
    if "content-type" not in wanted and "content-type" in found:
        wanted["content-type"] = found["content-type"]  # the store's own guess, not the item's
    return wanted
