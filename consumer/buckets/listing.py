"""Lists the old bucket into pages. The cursor is what the pages say: restarted, it lists nothing
again that was listed, and a page that is listed twice is kept once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from common.endpoints.s3.client import Client
from common.endpoints.s3.documents import page as parsed
from common.errors import Permanent
from common.store.pages import Line, Pages
from consumer.buckets.sides import Sides

SIZE = 1000  # keys


def plan(sides: Sides, pages: Pages, stop: Callable[[], bool], *, size: int = SIZE) -> bool:
    """List what is not yet listed; True when the end is reached."""
    after = pages.cursor(sides.bucket)
    for lines in runs(sides.old, after, size):
        pages.add(sides.bucket, after, lines)
        after = lines[-1].key
        if stop():
            return False
    return True


def runs(client: Client, after: str, size: int = SIZE) -> Iterator[list[Line]]:
    """Everything behind `after`, in runs; a listing that is out of order is not believed."""
    while True:
        query = {"list-type": "2", "encoding-type": "url", "max-keys": str(size)}
        query |= {"start-after": after} if after else {}
        found = parsed([client.channel.request("GET", "", query, {}).body])
        lines = [Line(entry.key, entry.size, entry.etag) for entry in found.entries]
        keys = [after, *(line.key for line in lines)]
        if keys != sorted(set(keys)):
            raise Permanent(
                f"LIST {client.location}: keys out of order",
                hint="this store does not list as S3 does; it cannot be moved",
            )
        if lines:
            yield lines
            after = lines[-1].key
        if not found.token:
            return
