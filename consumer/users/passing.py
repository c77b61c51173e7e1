"""One pass over a run of a user's items: skip what is right, stage the rest, publish.

The order of acts is the promise: everything of a batch is written aside and read back, then made
durable, then the lease is confirmed and the intent written down, and only then do names appear.
Whoever dies in between leaves nothing visible, and whoever comes next knows what was ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from common.endpoints.place import Held, Item, Source, Target, Type
from common.errors import Changing, Corrupt, Missing, Occupied, Permanent, Refused, Transient
from common.failpoints import failpoint
from common.model import Check, Failure
from consumer.mover import TARGET, Lease
from consumer.users.copying import Copier, Work
from consumer.users.judge import Verdict, as_published, judge
from consumer.users.lanes import Lanes
from consumer.users.manifest import Entry, Manifest
from consumer.users.tally import Tally

SMALL = 256 << 10  # bytes up to which an item is worth announcing: it fits what a socket holds
TROUBLE = 20  # items that fail for passing reasons before the unit gives up for now
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's choices, and which generation this is."""

    check: Check = Check.MD5
    overwrite: bool = False
    generation: int = 1


class Pass:
    """A run over items of one user between two places. Not to be used twice."""

    def __init__(
        self,
        user: str,
        source: Source,
        target: Target,
        *,
        manifest: Manifest,
        lease: Lease,
        policy: Policy,
    ) -> None:
        self._source, self._target = source, target
        self._manifest, self._lease, self._policy = manifest, lease, policy
        self._copier = Copier(source, target, lease)
        self._names: dict[tuple[int, int], str] = {}  # first name of each hard-linked file
        self._others: list[Item] = []  # further names
        self.tally = Tally(user)

    def run(self, items: Iterable[Item | Failure]) -> None:
        """Bring the target in line with `items`; directories must precede what is in them.

        Names become durable with the target's `finish`, which is the caller's."""
        with Lanes(max(self._source.lanes, self._target.pace.lanes)) as lanes:
            for batch in self._batches(items):
                works = self._works(batch, lanes)
                self._publish([work for work in works if work], lanes)
            for item in self._others:
                self._attempt(item, self._further)

    def _batches(self, items: Iterable[Item | Failure]) -> Iterator[list[Item]]:
        pace = self._target.pace
        stream = filter(None, map(self._sort, items))
        while batch := list(_upto(stream, pace.batch_items, pace.batch_bytes)):
            yield batch

    def _sort(self, item: Item | Failure) -> Item | None:
        """Directories are made at once, further names wait, the rest goes through the lanes."""
        if isinstance(item, Failure):
            self.tally.refuse(item)
            return None
        if item.type is Type.DIRECTORY:
            self._attempt(item, self._target.directory)
            return None
        if item.type is Type.OTHER:
            self.tally.notice(f"{item.path}: device, socket or pipe, not carried")
            return None
        self.tally.seen(item)
        if not (item.inode and self._target.pace.hardlinks):
            return item
        if self._names.setdefault(item.inode, item.path) == item.path:
            return item
        self._others.append(item)
        return None

    def _works(self, batch: list[Item], lanes: Lanes) -> list[Work | None]:
        """What is new and small is read by this thread, the rest by all lanes: threads that wait
        for each other cost more than the work on a small item."""
        if lanes.count == 1 or not (self._source.ahead or self._source.lanes == 1):
            return lanes.each(self._prepare, batch)
        seen = dict(pair for pair in lanes.each(self._seen, batch) if pair)
        new = [i for i in batch if i.size <= SMALL and i.path in seen and seen[i.path] is None]
        apart = {item.path for item in new}
        rest = [(i, seen[i.path]) for i in batch if i.path in seen and i.path not in apart]
        works = lanes.each(lambda pair: self._prepare(*pair), rest)
        return works + list(map(self._prepare, self._announced(new)))

    def _announced(self, items: list[Item]) -> Iterator[Item]:
        """One after the other, the source being asked for the next ones already."""
        begun = 0
        for number, item in enumerate(items):
            while begun < min(number + self._source.ahead, len(items)):
                self._source.announce(items[begun])
                begun += 1
            yield item

    def _seen(self, item: Item) -> tuple[str, Held | None] | None:
        return self._attempt(item, lambda item: (item.path, self._target.look(item.path)))

    def _prepare(self, item: Item, *held: Held | None) -> Work | None:
        """`held`: what the target shows there, if that was looked at."""
        return self._attempt(item, lambda item: self._consider(item, *held))

    def _attempt(self, item: Item, act: Callable[[Item], T]) -> T | None:
        """What goes wrong with one item is noted by name and does not stop the others."""
        try:
            return act(item)
        except Missing as error:
            if self._source.look(item.path) is None:
                self.tally.gone(item)
            else:
                self.tally.fail(item.path, error)
        except (Changing, Corrupt) as error:
            self.tally.retry(item.path, error)
        except Transient as error:
            if self.tally.retry(item.path, error) >= TROUBLE:
                raise
        except Permanent as error:
            self.tally.fail(item.path, error)
        return None

    def _consider(self, item: Item, *seen: Held | None) -> Work | None:
        self._lease.still_mine()
        [held] = seen or [self._target.look(item.path)]
        ours = self._manifest.ours(item.path)
        verdict, digest = self._judged(item, held, ours)
        if held is not None and verdict is Verdict.SKIP:
            self._skip(item, held, ours, digest)
            return None
        if verdict is Verdict.CONFLICT:
            raise _occupied(item)
        return self._copier.stage(item, held, mends=verdict is Verdict.MEND)

    def _judged(self, item: Item, held: Held | None, ours: Sequence[Entry]) -> tuple[Verdict, str]:
        policy = self._policy
        verdict = judge(item, held, ours, check=policy.check, overwrite=policy.overwrite)
        if verdict is not Verdict.COMPARE:
            return verdict, ""
        digest = self._copier.read(item)
        found = held.md5 if held else ""  # what the target vouches for need not be read again
        if not found:
            self._lease.spend(bytes=item.size, requests=1, sides=TARGET)
            found = self._target.digest(item.path)[0]
        same = found == digest
        again = judge(item, held, ours, check=policy.check, overwrite=policy.overwrite, same=same)
        return again, digest

    def _skip(self, item: Item, held: Held, ours: Sequence[Entry], digest: str) -> None:
        if item.type is Type.FILE and not digest:
            proven = [entry.md5 for entry in ours if entry.md5 and entry.size == item.size]
            digest = held.md5 or item.md5 or (proven[-1] if proven else "")
        adjusted = self._adjust(item, held, ours)
        if adjusted:
            held = self._target.look(item.path) or held
        since = ours[-1].generation if ours else 0  # what was published before stays so
        now = since == self._policy.generation
        self._manifest.note(item.path, self._entry(item, held, digest, since))
        self._done(item, digest, moved=adjusted or now, content=now)

    def _adjust(self, item: Item, held: Held, ours: Sequence[Entry]) -> bool:
        """Bring what is not contents in line. An item whose version is as it was published needs
        nothing read at the source, and nothing asked of a target whose versions name contents."""
        known = any(entry.source == item.version and as_published(held, entry) for entry in ours)
        if known and self._target.pace.versions:
            return False
        attributes = None
        if not known and item.type is Type.FILE:
            with self._source.open(item) as content:
                item, attributes = content.item, content.attributes
        return self._target.adjust(item, held, attributes)

    def _publish(self, works: list[Work], lanes: Lanes) -> None:
        if not works:
            return
        failpoint("users.staged")
        self._target.settle()
        failpoint("users.settled")
        self._lease.confirm()
        now = self._policy.generation
        self._manifest.intend(
            {w.item.path: self._entry(w.item, w.staged.held, w.digest, now) for w in works}
        )
        failpoint("users.intended")
        self._appearing(works, lanes)
        failpoint("users.published")

    def _appearing(self, works: list[Work], lanes: Lanes) -> None:
        """Small ones by this thread, the next ones being on their way already (see `_works`)."""
        ahead = self._target.pace.ahead
        small = [work for work in works if ahead and work.item.size <= SMALL]
        lanes.each(self._appear, [w for w in works if w.item.size > SMALL] if ahead else works)
        begun = 0
        for number, work in enumerate(small):
            while begun < min(number + ahead, len(small)):
                self._lease.still_mine()
                self._target.announce(small[begun].staged, small[begun].over)
                begun += 1
            self._appear(work)

    def _appear(self, work: Work) -> None:
        def publish(item: Item) -> None:
            self._lease.still_mine()
            failpoint("users.publishing")
            held = self._target.publish(work.staged, work.over)
            now = self._policy.generation
            self._manifest.note(item.path, self._entry(item, held, work.digest, now))
            self._done(item, work.digest, moved=True, mended=work.mends, content=True)

        self._attempt(work.item, publish)

    def _further(self, item: Item) -> None:
        """Give a hard-linked file a further name, now that its first one is there."""
        self._lease.still_mine()
        first = self._names[item.inode] if item.inode else ""
        there, held = self._target.look(first), self._target.look(item.path)
        entry = self._manifest.latest(first)
        if there is None or entry is None:
            raise Refused(f"{item.path}: its other name {first} did not arrive")
        moved = True
        if held is not None and held.version == there.version:  # one file already
            moved = entry.generation == self._policy.generation
        else:
            verdict, _ = self._judged(item, held, self._manifest.ours(item.path))
            if verdict is Verdict.CONFLICT:
                raise _occupied(item)
            self._manifest.intend({item.path: entry})
            self._target.hardlink(item, first, held)
        self._manifest.note(item.path, entry)
        self._done(item, entry.md5, moved=moved, content=False)

    def _done(
        self, item: Item, digest: str, *, moved: bool, content: bool, mended: bool = False
    ) -> None:
        self.tally.done(item, digest, moved=moved, mended=mended, content=content)
        self._lease.show(items=1)

    def _entry(self, item: Item, held: Held, digest: str, generation: int) -> Entry:
        return Entry(  # by place: this runs for every item
            item.type,
            item.size,
            item.mtime_ns if item.mtime_ns >= 0 else held.mtime_ns,
            digest,
            item.version,
            held.version if self._target.pace.versions else "",
            item.link,
            generation,
        )


def _upto(stream: Iterator[Item], count: int, size: int) -> Iterator[Item]:
    for item in islice(stream, count):
        yield item
        size -= item.size
        if size <= 0:
            return


def _occupied(item: Item) -> Occupied:
    return Occupied(f"{item.path}: the target holds something else that was not published by us")
