"""A user's place in a bucket, to write to. Writes below its prefix and nowhere else.

What S3 has no place for is kept where other tools are not disturbed: times, modes and owners as
metadata, directories as empty objects `name/`, symbolic links as such objects with their target
in the metadata. Extended attributes and names that are not UTF-8 it cannot hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from common.digest import md5
from common.endpoints.losses import Losses
from common.endpoints.place import Attributes, Held, Item, Pace, Staged, Type
from common.endpoints.s3 import amending, metadata, parcels
from common.endpoints.s3.assembly import PART, Assembly, Yard
from common.endpoints.s3.client import COPIED, client_for
from common.endpoints.s3.content import Content
from common.endpoints.s3.documents import Entry
from common.endpoints.s3.index import Found, Index
from common.endpoints.s3.keys import LONGEST, checked_prefix, key_for, objection
from common.endpoints.s3.location import Location
from common.endpoints.s3.markers import Markers
from common.endpoints.s3.parcels import Parcel
from common.endpoints.s3.sending import Chunks
from common.endpoints.wire import Timeouts
from common.errors import Missing, Occupied, Refused
from common.legible import legible

PACE = Pace(lanes=8, batch_items=256, batch_bytes=32 << 20, whole=8 << 20, versions=True, ahead=12)
LANES = 4  # requests at once for parts and directories; more only wait for each other


class S3Target:
    """See `common.endpoints.place.Target`. `prefix` is the user's place: it ends with "/"."""

    pace = PACE

    def __init__(self, location: Location, prefix: str, *, token: str, limits: Timeouts) -> None:
        self._prefix = checked_prefix(prefix)
        self._client = client_for(location, limits)
        self._lanes = ThreadPoolExecutor(LANES, "s3")
        self._lost = Losses()  # what may not be held here
        self._index = Index(self._client, self._prefix)
        self._markers = Markers(self._client, self._prefix, self._index, self._lanes)
        self._yard = Yard(self._client, self._prefix, self._lanes, token)

    def remarks(self) -> dict[str, int]:
        """What this target could not hold. Of tags that is known once one was refused."""
        return self._lost.told(but=("tag",) if self._client.quirks.tags else ())

    # -- looking --------------------------------------------------------------------------------

    def sweep(self, tokens: str) -> None:
        """Abandon the uploads noted under these tokens. One whose consumer died before it was
        noted is left to the bucket's rule for incomplete uploads."""
        self._yard.sweep(tokens)

    def survey(self) -> Iterable[str]:
        """The paths held, by one listing that later answers `look`."""
        for key in self._index.survey():
            yield key[len(self._prefix) :].removesuffix("/")

    def look(self, path: str) -> Held | None:
        """What is there. Times and modes are known only where no listing answered."""
        key = self._prefix + path
        if objection(path) or len(key.encode()) >= LONGEST:
            return None
        if path and (found := self._index.find(key)):
            return self._held(path, found)
        marker = f"{key}/" if path else self._prefix
        if not marker or not self._index.find(marker):
            return None
        asked = self._index.ask(marker)  # a listing does not tell directories from links
        return self._held(path, asked, Type.DIRECTORY) if asked else None

    def digest(self, path: str) -> tuple[str, int]:
        """All of it, read back."""
        running = md5()
        with self._content(path) as content:
            for chunk in content.chunks():
                running.update(chunk)
            return running.hexdigest(), content.item.size

    def ranges(self, path: str, cuts: Sequence[tuple[int, int]]) -> Iterator[str]:
        """Ranges of it, read back."""
        with self._content(path) as content:
            for start, end in cuts:
                running = md5()
                for chunk in content.chunks(start, end):
                    running.update(chunk)
                yield running.hexdigest()

    def attributes(self, path: str) -> Attributes:
        """Its content headers, user metadata that is not ours, and tags."""
        key = self._prefix + path
        headers = self._client.head(key)
        if headers is None:
            raise Missing(f"{legible(path)}: not at the target")
        item = metadata.described(Item(path, Type.FILE), headers)
        return metadata.attributes(item, headers, amending.tags_of(self._client, key, headers))

    # -- writing --------------------------------------------------------------------------------

    def directory(self, item: Item) -> bool:
        """Its object is written in the background; `settle` and `finish` wait for it."""
        return self._markers.make(item)

    def stage(self, item: Item, data: bytes, md5: str, attributes: Attributes) -> Parcel:
        """Nothing is sent yet: one PUT publishes it."""
        if item.type is Type.LINK and not self._markers.held():
            raise Refused(f"{legible(item.path)}: a link, which this store cannot hold")
        key = key_for(self._prefix, item.path, marker=item.type is Type.LINK)
        self._note(attributes)
        held = Held(item.type, len(data), link=item.link, md5=md5, version=md5)
        return Parcel(item.path, held, key, data, md5, metadata.headers(item, attributes))

    def stream(
        self, item: Item, chunks: Chunks, digest: hashlib._Hash, attributes: Attributes
    ) -> Staged:
        """In parts; what fits one part is kept in memory and sent at once."""
        if item.size > PART or "layout:part" in attributes:
            self._note(attributes)
            return self._yard.stream(item, chunks, digest, attributes)
        data = bytearray()
        for chunk in chunks:
            digest.update(chunk)
            data += chunk
        return self.stage(item, bytes(data), digest.hexdigest(), attributes)

    def settle(self) -> None:
        """What a server has acknowledged is durable; directories must be, too."""
        self._markers.wait()

    def announce(self, staged: Staged, over: Held | None) -> None:
        """Send it at once if it is to stand where nothing is."""
        if over is None and isinstance(staged, Parcel):
            parcels.announce(self._client, staged)

    def publish(self, staged: Staged, over: Held | None) -> Held:
        """One PUT, or the joining of the parts, on condition that nobody was quicker."""
        if over and over.type is Type.DIRECTORY:
            raise Occupied(f"{legible(staged.path)}: the target holds a directory there")
        changes = over is not None and over.type is not staged.held.type
        there = None if changes else over
        if there and there.type is Type.LINK and self.look(staged.path) != there:
            raise _other(staged.path)  # all links have the same contents: none
        if isinstance(staged, Assembly):
            held, key = self._yard.publish(staged, there), staged.note.key
        elif isinstance(staged, Parcel):
            held, key = parcels.put(self._client, staged, there), staged.key
        else:
            raise TypeError(type(staged))
        self._index.note(key, held.size, held.version)
        if changes:  # a link in the place of a file has another key, and the other way round
            self._remove(key.removesuffix("/") if key.endswith("/") else f"{key}/")
        return held

    def hardlink(self, item: Item, to: str, over: Held | None) -> Held:
        """A copy: S3 has no further names."""
        source, key = key_for(self._prefix, to), key_for(self._prefix, item.path)
        original = self._index.ask(source)
        if original is None:
            raise Missing(f"{legible(to)}: not at the target")
        if original.size > COPIED:
            with self._content(to) as content:
                attributes = {**content.attributes, "layout:part": str(PART)}
                staged = self._yard.stream(item, content.chunks(), md5(), attributes)
            return self.publish(staged, over)
        there = self._index.ask(key)
        if bool(there) != bool(over) or (there and over and over.version not in ("", there.etag)):
            raise _other(item.path)
        self._client.copy(source, key, {})
        found = self._index.ask(key)
        if found is None or found.size != original.size:
            raise Occupied(f"{legible(item.path)}: its copy was written over at once")
        self._index.note(key, found.size, found.etag)
        return self._held(item.path, found)

    def adjust(self, item: Item, held: Held, attributes: Attributes | None) -> bool:
        """An object is written over itself only if what it carries really differs."""
        same = (item.mtime_ns, item.mode, item.uid, item.gid)
        if attributes is None and same == (held.mtime_ns, held.mode, held.uid, held.gid):
            return False
        marker = item.type is not Type.FILE
        if marker and not self._markers.held():
            return False
        key = key_for(self._prefix, item.path, marker=marker)
        changed = amending.amend(self._client, key, item, attributes)
        if changed:
            self._index.forget(key)
        return changed

    # -- huge files -----------------------------------------------------------------------------

    def begin(self, item: Item, group: str, attributes: Attributes, part: int) -> str:
        """An upload in parts that all units of the group know."""
        return self._yard.begin(item, group, attributes, part)

    def write(
        self,
        item: Item,
        place: str,
        start: int,
        chunks: Chunks,
        digest: hashlib._Hash,
        part: int,
    ) -> None:
        """One range; parts that are there are not sent again."""
        self._yard.write(item, place, start, chunks, digest, part)

    def join(self, item: Item, place: str, part: int) -> Assembly:
        """The upload, ready to be joined."""
        return self._yard.join(item, place, part)

    def abandon(self, place: str, item: Item) -> None:
        """End the upload."""
        self._yard.abandon(place, item)

    # -- ending ---------------------------------------------------------------------------------

    def seal(self, item: Item, attributes: Attributes | None = None) -> None:
        """Write a directory's metadata, where it is not yet so."""
        self._markers.seal(item, attributes or {})

    def finish(self) -> None:
        """Until every directory is written."""
        self._markers.wait()

    def close(self) -> None:
        """Connections outlive the user; they are the process'."""
        self._lanes.shutdown(wait=True, cancel_futures=True)

    def _note(self, attributes: Attributes) -> None:
        self._lost.add(*({name.partition(":")[0] for name in attributes} & {"xattr", "tag"}))

    def _held(self, path: str, found: Found, kind: Type = Type.FILE) -> Held:
        item = metadata.described(Item(path, kind), found.headers or {})
        return Held(
            item.type,
            found.size if item.type is Type.FILE else 0,
            item.mtime_ns,
            item.mode,
            item.uid,
            item.gid,
            item.link,
            self._vouched(self._prefix + path, found),
            found.etag,
        )

    def _vouched(self, key: str, found: Found) -> str:
        if found.headers is not None:
            known = self._client.quirks.vouches is not False
            return metadata.vouched(found.headers) if known else ""
        md5 = metadata.plain(found.etag)
        return md5 if md5 and self._client.vouches(Entry(key, found.size, found.etag)) else ""

    def _content(self, path: str) -> Content:
        key = self._prefix + path
        found = self._index.ask(key)
        if found is None:
            raise Missing(f"{legible(path)}: not at the target")
        return Content(self._client, key, Item(path, Type.FILE, found.size, version=found.etag))

    def _remove(self, key: str) -> None:
        self._client.delete(key)
        self._index.forget(key)


def _other(path: str) -> Occupied:
    return Occupied(f"{legible(path)}: the target holds something else by now")
