"""Moves one user between two places by their contract alone: the least that a mover does.

No store, no queue, no manifest: what the tests of an endpoint need to make it work hard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from common.digest import EMPTY, md5
from common.endpoints.place import Held, Item, Source, Staged, Target, Type
from common.errors import Permanent, Transient
from common.model import Failure


@dataclass(slots=True)
class Hauled:
    """What became of one pass."""

    moved: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # path -> why
    others: list[str] = field(default_factory=list)  # devices, sockets, pipes


@dataclass(slots=True)
class Haul:
    """One pass over one user."""

    source: Source
    target: Target
    fresh: Callable[[Item, Held | None], bool] = lambda item, held: True  # is it to be moved?
    done: Hauled = field(default_factory=Hauled)
    _works: list[tuple[Staged, Held | None]] = field(default_factory=list)
    _names: dict[tuple[int, int], str] = field(default_factory=dict)
    _further: list[Item] = field(default_factory=list)
    _directories: list[Item] = field(default_factory=list)

    def run(self) -> Hauled:
        for found in self.source.walk():
            if isinstance(found, Failure):
                self.done.failed[found.item] = found.reason
            elif found.type is Type.OTHER:
                self.done.others.append(found.path)
            else:
                self._try(found, self._prepare)
        self.target.settle()
        for staged, over in self._works:
            self._publish(staged, over)
        for item in self._further:
            self._try(item, self._link)
        for item in reversed(self._directories):
            self._try(item, self._seal)
        self.target.finish()
        return self.done

    def _try(self, item: Item, act: Callable[[Item], None]) -> None:
        try:
            act(item)
        except (Permanent, Transient) as error:
            self.done.failed[item.path] = str(error)

    def _prepare(self, item: Item) -> None:
        if item.type is Type.DIRECTORY:
            self.target.directory(item)
            self._directories.append(item)
            return
        if item.inode and self._names.setdefault(item.inode, item.path) != item.path:
            self._further.append(item)
            return
        held = self.target.look(item.path)
        if self.fresh(item, held):
            self._works.append((self._staged(item), held))

    def _staged(self, item: Item) -> Staged:
        if item.type is Type.LINK:
            return self.target.stage(item, b"", EMPTY, {})
        with self.source.open(item) as content:
            if item.size <= self.target.pace.whole:
                data = content.whole()
                staged = self.target.stage(item, data, md5(data).hexdigest(), content.attributes)
            else:
                chunks: Iterator[bytes | bytearray | memoryview] = content.chunks()
                staged = self.target.stream(item, chunks, md5(), content.attributes)
            assert content.unchanged()
        return staged

    def _publish(self, staged: Staged, over: Held | None) -> None:
        try:
            self.target.publish(staged, over)
            self.done.moved.append(staged.path)
        except (Permanent, Transient) as error:
            self.done.failed[staged.path] = str(error)

    def _link(self, item: Item) -> None:
        assert item.inode is not None
        first = self._names[item.inode]
        there, held = self.target.look(first), self.target.look(item.path)
        if there and held and there.version == held.version:  # one file already
            return
        self.target.hardlink(item, first, held)
        self.done.moved.append(item.path)

    def _seal(self, item: Item) -> None:
        with self.source.open(item) as content:
            self.target.seal(item, content.attributes)
