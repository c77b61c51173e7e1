"""A user's tree of files to write to: staged aside, made durable, then named in one step.

Nothing outside the user's root can be reached, nothing is removed or replaced but what the caller
has looked at, and an epoch whose staging place was swept can change nothing any more.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from common.clock import Clock
from common.digest import md5 as running_md5
from common.endpoints import place
from common.endpoints.place import Attributes, Held, Item, Pace, Type
from common.endpoints.posix import aligning, beside, reading, spans, staging
from common.endpoints.posix import attributes as xattrs
from common.endpoints.posix.directories import split
from common.endpoints.posix.folding import require_spelled
from common.endpoints.posix.ground import OPEN, OWN, Ground
from common.endpoints.posix.publishing import Publisher
from common.endpoints.posix.shape import held_of
from common.endpoints.posix.stager import Stager
from common.endpoints.posix.staging import Staged
from common.endpoints.posix.writing import Chunk, Writer
from common.endpoints.template import Template

LOCAL = Pace(lanes=1, batch_items=2000, batch_bytes=512 << 20, whole=1 << 20, hardlinks=True)
REMOTE = Pace(lanes=8, batch_items=2000, batch_bytes=512 << 20, whole=1 << 20, hardlinks=True)
STILL_THERE = "contents: the page cache did not let go of them (--deep)"


class PosixTarget:
    """One user's place as target. `drop_behind`: read back from the disk, not from the cache."""

    def __init__(
        self,
        template: Template,
        user: str,
        token: str,
        *,
        clock: Clock | None = None,
        drop_behind: bool = False,
    ) -> None:
        self._ground = Ground(template, user, token, clock or Clock())
        self._writer = Writer()
        self._stager = Stager(self._ground, self._writer)
        self._publisher = Publisher(self._ground, self._writer)
        self._drop_behind, self._cached = drop_behind, 0
        self.pace = LOCAL if self._ground.durability.together else REMOTE

    def remarks(self) -> dict[str, int]:
        """What this target could not hold or we may not give it, and what was read from memory
        although it should not."""
        kept = {STILL_THERE: self._cached} if self._cached else {}
        return {**self._ground.dresser.lost.told(), **kept}

    def sweep(self, tokens: str) -> None:
        """Remove what other epochs left under tokens that are or begin with `tokens`."""
        ground = self._ground
        if ground.tree is None:
            return
        with ground.translated(f"sweeping {tokens}"):
            for token in ground.staging.others(ground.top(), tokens):
                name = staging.named(token)
                with suppress(NotADirectoryError, FileNotFoundError):
                    beside.clear(staging.standing(ground.top(), name), token, ground.tree)
                ground.clear_away(name)

    def survey(self) -> Iterable[str]:
        """Nothing: looking is cheap."""
        return ()

    def look(self, path: str) -> Held | None:
        """What is there now, without following links."""
        try:
            if not path:
                root = self._ground.get(path)
                return held_of(os.fstat(root.fd))
            parent, name = split(path)
            directory = self._ground.get(parent)
            found = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
            require_spelled(directory, name, path)
            held = held_of(found)
            if held.type is Type.LINK:
                return held._replace(link=os.readlink(name, dir_fd=directory.fd))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as exc:
            raise self._ground.failed(exc, f"looking at {path!r}") from exc
        return held

    def digest(self, path: str) -> tuple[str, int]:
        """Read a file back: its MD5 and length."""
        with self._ground.translated(f"reading back {path!r}"):
            parent, name = split(path)
            with reading.opened(self._ground.get(parent), name, path) as fd:
                self._forget(fd)
                return reading.digest(fd, drop_behind=self._drop_behind)

    def ranges(self, path: str, cuts: Sequence[tuple[int, int]]) -> Iterator[str]:
        """Read it back range by range: the MD5 of each."""
        with self._ground.translated(f"reading back {path!r}"):
            parent, name = split(path)
            with reading.opened(self._ground.get(parent), name, path) as fd:
                self._forget(fd)
                yield from reading.ranges(fd, cuts, path, drop_behind=self._drop_behind)

    def attributes(self, path: str) -> Attributes:
        """The extended attributes and ACLs of a file or directory; links have none."""
        with self._ground.translated(f"reading attributes of {path!r}"):
            if not path:
                return xattrs.read(self._ground.top().fd)
            held = self.look(path)
            if held is None or held.type is Type.LINK:
                return {}
            parent, name = split(path)
            with reading.opened(self._ground.get(parent), name, path, directory=True) as fd:
                return xattrs.read(fd)

    def directory(self, item: Item) -> bool:
        """Make sure that the directory is there, private until it is sealed."""
        mode = OWN if item.mode >= 0 else OPEN
        with self._ground.translated(f"making {item.path!r}"):
            if not item.path:
                return self._ground.make(mode)
            return self._ground.ensure(item.path, mode)

    def stage(
        self,
        item: Item,
        data: bytes,
        md5: str,  # noqa: ARG002 - bytes are compared
        attributes: Attributes,
    ) -> Staged:
        """Write a small file or a link aside and read it back: byte by byte, which proves more
        than `md5` would."""
        return self._stager.stage(item, data, attributes)

    def stream(
        self,
        item: Item,
        chunks: Iterator[Chunk],
        digest: hashlib._Hash,
        attributes: Attributes,
    ) -> Staged:
        """Write a large file aside, chunk by chunk, each digested and read back."""
        return self._stager.stream(item, chunks, digest, attributes)

    def settle(self) -> None:
        """Make everything staged durable. Transient if the disk says no: then none of it is
        left to be published."""
        self._stager.settle()

    def announce(self, staged: place.Staged, over: Held | None) -> None:
        """Nothing: a rename waits for nobody."""

    def publish(self, staged: place.Staged, over: Held | None) -> Held:
        """Make it visible under its name, in the place of `over`; never before it is durable."""
        if not isinstance(staged, Staged):
            raise TypeError(f"{staged!r} was not staged here")
        self._stager.settle(staged.round)
        return self._publisher.publish(staged, over)

    def hardlink(self, item: Item, to: str, over: Held | None) -> Held:
        """Make `item.path` a further name of `to`; a copy of it where links cannot be had."""
        held, there = self.look(item.path), self.look(to)
        if held and there and held.version == there.version:  # it is that name already
            return held
        with self._ground.translated(f"linking {item.path!r} to {to!r}"):
            staged = self._stager.again(item, to) or self._copy(item, to)
        return self.publish(staged, over)

    def adjust(self, item: Item, held: Held, attributes: Attributes | None) -> bool:
        """Bring owner, mode and time (and attributes) of what is there in line with the item."""
        dresser = self._ground.dresser
        if attributes is None and dresser.aligned(held, item):
            dresser.miss(item, (held.uid, held.gid))
            return False  # as nearly always: not worth the rest
        with self._ground.translated(f"adjusting {item.path!r}"):
            return aligning.adjust(self._ground, item, held, attributes)

    def begin(
        self,
        item: Item,
        group: str,
        attributes: Attributes,
        part: int,  # noqa: ARG002 - files have no parts
    ) -> str:
        """A staging place for one huge file that several units write."""
        with self._ground.translated(f"making a staging place for {item.path!r}"):
            return spans.begin(self._ground.top(), self._ground.dresser, item, group, attributes)

    def write(
        self,
        item: Item,
        place: str,
        start: int,
        chunks: Iterator[Chunk],
        digest: hashlib._Hash,
        part: int,  # noqa: ARG002
    ) -> None:
        """Write one range into the staging place, durable and read back."""
        with self._ground.translated(f"writing {item.path!r} from {start}"):
            spans.write(self._ground.top(), self._writer, place, chunks, digest, start=start)

    def join(self, item: Item, place: str, part: int) -> Staged:  # noqa: ARG002
        """The staging place as a staged item."""
        with self._ground.translated(f"joining {item.path!r}"):
            return spans.join(self._ground.top(), self._ground.dresser, item, place)

    def abandon(self, place: str, item: Item) -> None:
        """Remove a staging place; absent already is success."""
        if self._ground.tree is not None:
            with self._ground.translated(f"removing the staging place of {item.path!r}"):
                spans.abandon(self._ground.top(), place)

    def seal(self, item: Item, attributes: Attributes | None = None) -> None:
        """Set a directory's owner, mode and times, if they are not right already."""
        with self._ground.translated(f"sealing {item.path!r}"):
            aligning.seal(self._ground, item, attributes)

    def finish(self) -> None:
        """Make names durable, and make sure that they are where they should be."""
        with self._ground.translated("making directories durable"):
            self._ground.finish()

    def close(self) -> None:
        """Remove what is still unpublished."""
        self._writer.close()
        with self._ground.translated("leaving the target"):
            self._ground.leave()

    def _forget(self, fd: int) -> None:
        if self._drop_behind and not reading.forgotten(fd):
            self._cached += 1

    def _copy(self, item: Item, to: str) -> Staged:
        if item.type is Type.LINK:
            return self._stager.stage(item, b"", {})
        parent, name = split(to)
        with reading.opened(self._ground.get(parent), name, to) as fd:
            chunks, attributes = reading.chunks(fd), xattrs.read(fd)
            return self._stager.stream(item, chunks, running_md5(), attributes)
