"""What every endpoint offers a mover: a user's place as source, and as target.

A place is one user's root, derived once from a template and opened; every path below is relative
to it and nothing outside it can be reached. Paths are `str`, "/" between names; bytes that are
not UTF-8 are carried as lone surrogates (PEP 383). Implementations translate every foreign error
into `common.errors`; an error about one item must not spoil the place for the next one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from common.model import Failure


class Type(StrEnum):
    """What an item is. OTHER (devices, sockets, pipes) is reported and never carried."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    OTHER = "other"


class Item(NamedTuple):
    """One thing below a user's root as the source shows it. Unknown numbers are -1."""

    path: str
    type: Type
    size: int = 0  # bytes; 0 unless FILE
    mtime_ns: int = -1
    mode: int = -1  # permission bits, 12 of them
    uid: int = -1
    gid: int = -1
    inode: tuple[int, int] | None = None  # (device, inode), only if it has further hard links
    link: str = ""  # where a LINK points, as written
    md5: str = ""  # hex, if the source vouches for it (plain S3 ETag, manifest entry)
    version: str = ""  # changes whenever contents change (ctime; ETag)
    url: str = ""  # where the contents are, if not at `path` (manifest source)
    sparse: bool = False  # a FILE with holes worth keeping


ZEROS = memoryview(bytes(1 << 20))
"""The shared block of zeros: holes come as slices of it, so that a target which keeps them
(`is_hole`) can leave them out, and every other one need not know."""


def is_hole(chunk: bytes | bytearray | memoryview) -> bool:
    """Is this chunk a hole of the source, and not bytes that were stored?"""
    return isinstance(chunk, memoryview) and chunk.obj is ZEROS.obj


class Held(NamedTuple):
    """What the target holds at a path. Unknown numbers are -1."""

    type: Type
    size: int = 0
    mtime_ns: int = -1  # of the contents: for S3 the one kept in metadata; unknown from a listing
    mode: int = -1
    uid: int = -1
    gid: int = -1
    link: str = ""
    md5: str = ""  # hex, if the target vouches for it over the contents; never a multipart ETag
    version: str = ""  # changes whenever it is written (S3: ETag; posix: inode and ctime)


Attributes = Mapping[str, str]
"""What belongs to an item besides contents: `xattr:<name>` (base64), `header:<name>` (HTTP
content headers, lower case), `meta:<name>` (S3 user metadata), `tag:<name>` (S3 tags). And a
hint, no loss where it is not heeded: `layout:part`, how large the parts of an object were."""


class Content(Protocol):
    """An item opened for reading. Use as a context manager."""

    item: Item  # as of the opening
    attributes: Attributes

    def __enter__(self) -> Content: ...
    def __exit__(self, *exc: object) -> None: ...

    def whole(self) -> bytes:
        """All of it (only for small ones). Transient if shorter or longer than `item.size`."""

    def chunks(
        self, start: int = 0, end: int | None = None
    ) -> Iterator[bytes | bytearray | memoryview]:
        """The bytes from `start` to `end`; each chunk is valid until the next is asked for."""

    def unchanged(self) -> bool:
        """Asked after reading: is the source still what it was when it was opened?"""


class Source(Protocol):
    """A user's place to read from. Nothing here ever writes."""

    lanes: int  # threads that open and read at once, where waiting is what takes the time
    ahead: int  # openings that may be announced at once; 0: to announce is of no use

    def walk(self) -> Iterator[Item | Failure]:
        """Everything below the root, streamed with flat memory, a directory before what is in it.

        The root directory itself comes first, as path "". Refused names come as Failure. Missing
        if there is no such place.
        """

    def expect(self, items: Iterable[Item]) -> None:
        """A hint: these will be opened, in this order, without a walk that shows them first (a
        walk is expected anyway). Where disks are slow, the next ones are read ahead."""

    def look(self, path: str) -> Item | None:
        """One item, or None."""

    def announce(self, item: Item) -> None:
        """A hint: this small FILE is opened soon. Never raises."""

    def open(self, item: Item) -> Content:
        """Open a FILE. Changing if it is no longer what the item says; Missing if gone.

        A DIRECTORY may be opened too, for its `attributes`, where there are any (posix)."""

    def close(self) -> None: ...


class Staged(Protocol):
    """Something written but not visible yet."""

    @property
    def path(self) -> str: ...

    @property
    def held(self) -> Held:
        """What the target will hold once it is published."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a target likes to be worked on."""

    lanes: int  # threads that stage and publish at once
    batch_items: int  # publish after so many items ...
    batch_bytes: int  # ... or so many bytes are staged
    whole: int  # items up to this size are staged from memory
    hardlinks: bool = False  # `hardlink` makes a further name, not a copy
    ahead: int = 0  # publications that may be announced at once; 0: to announce is of no use
    versions: bool = False  # `Held.version` names contents (ETag) and may be remembered as such


class Target(Protocol):
    """A user's place to write to. Methods are called from many threads at once: as many as the
    source's or the target's lanes.

    `token` of the constructor (unit and epoch) names everything unpublished that it makes.
    """

    pace: Pace

    def sweep(self, tokens: str) -> None:
        """Remove what was left unpublished under token prefixes `tokens` (earlier epochs)."""

    def survey(self) -> Iterable[str]:
        """Read the whole place at once, so that `look` needs no request of its own (S3: one
        LIST); returns the paths held, or nothing where looking is cheap anyway."""

    def look(self, path: str) -> Held | None:
        """What is there now, without following links; None if nothing."""

    def digest(self, path: str) -> tuple[str, int]:
        """Read it back: (md5 hex, bytes)."""

    def ranges(self, path: str, cuts: Sequence[tuple[int, int]]) -> Iterator[str]:
        """Read it back range by range: md5 hex of each (start, end)."""

    def attributes(self, path: str) -> Attributes:
        """Read back what belongs to it besides contents (see `Attributes`)."""

    def directory(self, item: Item) -> bool:
        """Make sure that the directory is there, parents too; True if it had to be made."""

    def stage(self, item: Item, data: bytes, md5: str, attributes: Attributes) -> Staged:
        """Write a small file (or a LINK: no data) aside and read it back; Corrupt if it differs."""

    def stream(
        self,
        item: Item,
        chunks: Iterator[bytes | bytearray | memoryview],
        digest: hashlib._Hash,
        attributes: Attributes,
    ) -> Staged:
        """Write a large file aside, updating `digest` on the way, and read it back."""

    def settle(self) -> None:
        """Make everything staged durable. Permanent/Transient if the disk says no."""

    def announce(self, staged: Staged, over: Held | None) -> None:
        """This is published next, and may become visible from now on; `publish` tells."""

    def publish(self, staged: Staged, over: Held | None) -> Held:
        """Make it visible by one atomic step, in the place of `over` (None: of nothing).

        Occupied if the target holds something else than `over` by now; Stale if what was staged
        is gone (a later epoch swept it).
        """

    def hardlink(self, item: Item, to: str, over: Held | None) -> Held:
        """Make `item.path` a further name of the published `to`; for S3 a copy of it."""

    def adjust(self, item: Item, held: Held, attributes: Attributes | None) -> bool:
        """Bring mode, owner, mtime (and attributes, if given) of what is there in line with the
        item, contents untouched; True if anything had to be changed."""

    def begin(self, item: Item, group: str, attributes: Attributes, part: int) -> str:
        """Open a staging place for one huge file that several units write; its name.

        Asked again with the same group it returns the same place if that is still there.
        """

    def write(
        self,
        item: Item,
        place: str,
        start: int,
        chunks: Iterator[bytes | bytearray | memoryview],
        digest: hashlib._Hash,
        part: int,
    ) -> None:
        """Write one range into the staging place, durable and read back. `start` is a multiple
        of `part` (bytes), which is the same for all ranges of the file."""

    def join(self, item: Item, place: str, part: int) -> Staged:
        """The staging place as a staged item, once every range has been written."""

    def abandon(self, place: str, item: Item) -> None:
        """Remove a staging place that will never be joined; absent already is success."""

    def seal(self, item: Item, attributes: Attributes | None = None) -> None:
        """Set a directory's mode, owner and times (and attributes, if given); deepest first,
        after all else in it."""

    def finish(self) -> None:
        """Make names durable (directories), after the last publish."""

    def remarks(self) -> Mapping[str, int]:
        """What it could not keep, or did otherwise than was asked: in words that name no item,
        of a bounded number, and of how many items so far."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a kind of endpoint can hold; preflight compares the two sides."""

    links: bool
    hardlinks: bool
    owners: bool
    modes: bool
    xattrs: bool
    sparse: bool
    directories: bool
    headers: bool  # content type and the like
    tags: bool
    any_name: bool  # names that are not UTF-8
    conditional: bool  # publishing can be made conditional on what is there
    folds: bool  # names that differ only in case or Unicode form are one name
    vouches: bool  # digests come with a listing or a look, no read needed
