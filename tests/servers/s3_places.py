"""Short ways for tests to fill, read and compare a user's place in a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from common.digest import md5
from common.endpoints.place import Held, Item, Type
from common.endpoints.s3 import S3Source, S3Target
from common.endpoints.wire import Timeouts
from common.model import Failure
from tests.servers.s3 import Store

MODE, UID, GID, MTIME = 0o640, 1234, 4321, 1_700_000_000_123_456_789


@dataclass
class Place:
    """One user's place, as source and as target of ours, and as others see it."""

    store: Store
    prefix: str
    limits: Timeouts = field(default_factory=Timeouts)

    @contextmanager
    def target(self, token: str = "unit.1") -> Iterator[S3Target]:
        target = S3Target(self.store.location, self.prefix, token=token, limits=self.limits)
        try:
            yield target
            target.finish()
        finally:
            target.close()

    @contextmanager
    def source(self) -> Iterator[S3Source]:
        source = S3Source(self.store.location, self.prefix, limits=self.limits)
        try:
            yield source
        finally:
            source.close()

    def put(
        self,
        path: str,
        data: bytes = b"contents",
        attributes: Mapping[str, str] | None = None,
        over: Held | None = None,
        **fields: int,
    ) -> Held:
        """Move a small file there the way a mover does."""
        item = file(path, len(data), **fields)
        with self.target() as target:
            staged = target.stage(item, data, md5(data).hexdigest(), attributes or {})
            return target.publish(staged, over)

    def walk(self) -> dict[str, Item]:
        with self.source() as source:
            found = list(source.walk())
        assert not [item for item in found if isinstance(item, Failure)]
        return {item.path: item for item in found if isinstance(item, Item)}

    def read(self, path: str) -> tuple[bytes, Item, Mapping[str, str]]:
        """Contents, described item, attributes, through our source."""
        with self.source() as source:
            item = source.look(path)
            assert item is not None
            with source.open(item) as content:
                data = b"".join(map(bytes, content.chunks()))
                assert content.unchanged()
                return data, content.item, content.attributes

    def raw(self, path: str, data: bytes, **extra: object) -> None:
        """Put an object there as somebody else would."""
        client = self.store.independent()
        client.put_object(Bucket=self.store.bucket, Key=self.prefix + path, Body=data, **extra)

    def seen(self, path: str) -> tuple[bytes, dict[str, str]]:
        """Contents and user metadata as somebody else sees them."""
        client = self.store.independent()
        answer = client.get_object(Bucket=self.store.bucket, Key=self.prefix + path)
        metadata = {name.lower(): value for name, value in answer["Metadata"].items()}
        found = answer["Body"].read(), metadata
        return found

    def listed(self) -> list[str]:
        """All keys below the prefix as somebody else sees them, without it."""
        client = self.store.independent()
        answer = client.list_objects_v2(Bucket=self.store.bucket, Prefix=self.prefix)
        return [entry["Key"][len(self.prefix) :] for entry in answer.get("Contents", [])]

    def uploads(self) -> list[str]:
        """Keys of uploads in parts that nobody has joined, as somebody else sees them."""
        client = self.store.independent()
        answer = client.list_multipart_uploads(Bucket=self.store.bucket, Prefix=self.prefix)
        return [upload["Key"][len(self.prefix) :] for upload in answer.get("Uploads", [])]


def file(path: str, size: int = 0, **fields: int) -> Item:
    """A file as a posix source shows it."""
    known = {"mode": MODE, "uid": UID, "gid": GID, "mtime_ns": MTIME} | fields
    return Item(path, Type.FILE, size, **known)  # type: ignore[arg-type]


def directory(path: str, **fields: int) -> Item:
    known = {"mode": 0o750, "uid": UID, "gid": GID, "mtime_ns": MTIME} | fields
    return Item(path, Type.DIRECTORY, **known)  # type: ignore[arg-type]


def link(path: str, to: str) -> Item:
    return Item(path, Type.LINK, 0, MTIME, 0o777, UID, GID, link=to)


def cut(data: bytes, size: int = 100_000) -> Iterator[memoryview]:
    """Contents in pieces, as a source gives them."""
    view = memoryview(data)
    for start in range(0, len(view), size):
        yield view[start : start + size]
