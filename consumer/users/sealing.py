"""Sets what belongs to directories, after the last change below them."""

from __future__ import annotations

from collections.abc import Iterable

from common.endpoints.place import Attributes, Item, Source, Target, Type
from common.errors import Changing, Denied, Missing, Permanent
from consumer.mover import Lease
from consumer.users.manifest import Entry, Manifest
from consumer.users.tally import Tally

OPEN = 0o700  # what a directory must allow its owner while things are still put into it


class Sealer:
    """Seals the directories of one user.

    Setting a directory does not touch its parent, so any order would do, but for those that lock
    out even their owner: they come last, the deepest first.
    """

    def __init__(
        self,
        source: Source,
        target: Target,
        lease: Lease,
        tally: Tally,
        *,
        manifest: Manifest | None = None,
        generation: int = 0,
    ) -> None:
        self._source, self._target, self._lease, self._tally = source, target, lease, tally
        self._manifest, self._generation = manifest, generation

    def seal(self, items: Iterable[Item]) -> None:
        """Set modes, owners, times and attributes of all directories among `items`; one that
        cannot be set is noted by name."""
        closed = []
        for item in items:
            if item.type is not Type.DIRECTORY:
                continue
            if item.mode & OPEN != OPEN:
                closed.append(item)
            else:
                self._seal(item)
        for item in reversed(closed):
            self._seal(item)

    def _seal(self, item: Item) -> None:
        self._lease.still_mine()
        try:
            if not self._known(item):
                self._set(item)
        except Permanent as error:
            self._tally.fail(item.path, error)

    def _set(self, item: Item) -> None:
        self._target.seal(item, self._attributes(item))
        if self._manifest is not None and self._remembers(item):
            entry = Entry(
                type=item.type.value,
                size=0,
                mtime_ns=item.mtime_ns,
                md5="",
                source=item.version,
                held="",
                link="",
                generation=self._generation,
            )
            self._manifest.note(item.path, entry)

    def _remembers(self, item: Item) -> bool:
        """Is a version of the source's the name of all that belongs to the directory (ctime), and
        asking the target dear enough to rely on what it was told before?"""
        return self._target.pace.versions and item.mtime_ns >= 0 and bool(item.version)

    def _known(self, item: Item) -> bool:
        if self._manifest is None or not self._remembers(item):
            return False
        ours = self._manifest.ours(item.path)
        right = any(e.type == item.type.value and e.source == item.version for e in ours)
        return right and self._target.look(item.path) is not None

    def _attributes(self, item: Item) -> Attributes | None:
        if not item.version:  # only implied by what is in it
            return None
        try:
            with self._source.open(item) as content:
                return content.attributes
        except (Changing, Denied, Missing):  # its times and mode are known all the same
            return None
