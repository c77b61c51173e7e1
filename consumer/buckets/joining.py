"""An object made of parts, copied as such: the same parts, so the same ETag; joined only where
nothing is yet. It appears with its join, which is conditional like the put of a small object.

Every upload is noted with its page before a byte is sent, so that whoever does the page again ends
what was left behind. Where the parts' sizes cannot be found out the object is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from common.endpoints.s3 import metadata, uploads
from common.endpoints.s3.client import Client
from common.errors import Changing, ConvoyError, Occupied, Refused
from common.store.pages import Line, Page, Pages
from consumer.buckets.sides import Sides
from consumer.trans.buckets.changing import marked

PART = 256 << 20  # bytes of a part that is held whole
_HINT = "copy this object by hand, through the gateway"


def join(sides: Sides, pages: Pages, page: Page, line: Line) -> bool:
    """Copy it; False if somebody was quicker."""
    head = sides.old.head(line.key)
    if head is None or metadata.unquoted(head["etag"]) != line.etag:
        raise Changing(f"{line.key}: old does not hold what it listed")
    sizes = layout(sides.old, line)
    headers = marked(head, sides.epoch)
    tags = sides.old.tags(line.key) if head.get("x-amz-tagging-count") else None
    upload = uploads.create(sides.new, line.key, {**headers, **metadata.tagging(tags or {})})
    pages.note(page, line.key, upload)
    try:
        etags = [
            uploads.send(sides.new, line.key, upload, number, data)
            for number, data in enumerate(_parts(sides.old, line, sizes), 1)
        ]
        if uploads.joined(etags) != line.etag:
            raise Refused(f"{line.key}: its parts were cut in another way", hint=_HINT)
        only_first: Mapping[str, str] = {"if-none-match": "*"}
        done = uploads.complete(sides.new, line.key, upload, etags, only_first)
    except Occupied:
        uploads.abort(sides.new, line.key, upload)
        return False
    except ConvoyError:
        uploads.abort(sides.new, line.key, upload)
        raise
    if not done:
        raise Changing(f"{line.key}: its upload was ended by somebody")
    return True


def layout(client: Client, line: Line) -> list[int]:
    """The sizes of its parts; Refused if they cannot be found out."""
    count = int(line.etag.rpartition("-")[2])
    sizes = []
    for number in range(1, count + 1):
        head = client.head(line.key, {"partNumber": str(number)}) or {}
        told = head.get("x-amz-mp-parts-count", "")
        size = int(head.get("content-length", "0"))
        if told != str(count) or not 0 < size <= PART:
            raise Refused(f"{line.key}: the sizes of its parts cannot be found out", hint=_HINT)
        sizes.append(size)
        if number == 1 and -(-line.size // size) == count:  # all alike, but for the last
            return [size] * (count - 1) + [line.size - size * (count - 1)]
    if sum(sizes) != line.size:
        raise Refused(f"{line.key}: its parts do not add up", hint=_HINT)
    return sizes


def sweep(sides: Sides, page: Page) -> None:
    """End the uploads that an earlier try has left."""
    for key, upload in page.uploads:
        uploads.abort(sides.new, key, upload)


def _parts(client: Client, line: Line, sizes: list[int]) -> Iterator[bytes]:
    start = 0
    for size in sizes:
        asked = {"range": f"bytes={start}-{start + size - 1}", "if-match": f'"{line.etag}"'}
        data = bytes(client.channel.stream(line.key, asked).read(PART))
        if len(data) != size:
            raise Changing(f"{line.key}: a part is not as long as it was")
        yield data
        start += size
