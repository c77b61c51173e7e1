"""The jobs `range` and `join`: one huge file, moved by several units into one staging place.

Each range is written, made durable, read back and noted with its MD5; the joining unit publishes
the file once every range is noted and the source is still what it was at the cut. Where the
target already holds a file of this length, a first round only compares, and the joining unit
plans a second one if anything differs and the file may be replaced.
"""

from __future__ import annotations

from dataclasses import dataclass

from common.digest import composite, md5
from common.endpoints.place import Held, Item
from common.errors import Changing, Corrupt, Missing, Occupied, Transient
from common.failpoints import failpoint
from common.ids import short
from common.model import Draft, Receipt, Unit
from consumer.mover import Reach
from consumer.users.copying import Copier
from consumer.users.cuts import Cut, cut_of, part_for
from consumer.users.judge import Verdict, as_published, judge
from consumer.users.manifest import Entry, Manifest, Piece
from consumer.users.places import Places, places, policy
from consumer.users.stages import Stage, stage_of
from consumer.users.tally import Tally


def plan(
    user: str, reach: Reach, both: Places, item: Item, stage: Stage, *, reads: bool = False
) -> list[Draft]:
    """The units that move this file, or first compare it; `reads`: only compare it."""
    if reads:
        return Cut.of(item, "", reach.settings.range_bytes).drafts(user, stage, reads=True)
    held = both.target.look(item.path)
    if held is None or held.size != item.size:
        return _moving(user, reach, both, item, stage)
    return Cut.of(item, "", reach.settings.range_bytes).drafts(user, stage)


def move(unit: Unit, reach: Reach) -> Receipt:
    """The job `range`: one range written into the staging place, or compared.

    A file that is no longer what was cut is left to the joining unit, which cuts it anew.
    """
    cut, start = cut_of(unit.data), int(unit.data["start"])
    with places(unit, reach) as both:
        try:
            read, found = _range(reach, both, cut, start)
        except (Changing, Missing):
            if both.source.look(cut.item.path) == cut.item:
                raise
            return Receipt()
    failpoint("users.ranged")
    note = f"{read} {found}".encode()
    reach.memory.put(unit.key, f"range.{cut.tag}.{start}", note, passing=True)
    return Receipt()


def _range(reach: Reach, both: Places, cut: Cut, start: int) -> tuple[str, str]:
    """(MD5 read from the source, MD5 found on the target)."""
    end, path = min(start + cut.size, cut.item.size), cut.item.path
    copier, digest = Copier(both.source, both.target, reach.lease), md5()
    with both.source.open(cut.item) as content:
        chunks = copier.metered(content.chunks(start, end))
        if cut.place:
            both.target.write(cut.item, cut.place, start, chunks, digest, cut.part)
        else:
            for chunk in chunks:
                digest.update(chunk)
        if not content.unchanged():
            raise Changing(f"{path}: changed while it was read")
    read = digest.hexdigest()
    if cut.place:
        return read, read  # read back as it was written
    return read, next(iter(both.target.ranges(path, [(start, end)])))


def join(unit: Unit, reach: Reach) -> Receipt:
    """The job `join`: publish the file, or find it right, or plan the round that moves it."""
    cut = cut_of(unit.data)
    with places(unit, reach) as both:
        fresh = both.source.look(cut.item.path)
        if fresh is None or fresh != cut.item:
            if cut.place:
                both.target.abandon(cut.place, cut.item)
            reads = bool(unit.data["reads"])
            if fresh is None:
                return Receipt()
            again = plan(unit.key, reach, both, fresh, stage_of(unit), reads=reads)
            return Receipt(drafts=tuple(again))
        manifest = Manifest(reach.memory, unit.key, Piece(tag=f"file-{short(cut.item.path)}"))
        manifest.load({cut.item.path})
        joining = Joining(unit, reach, both, cut, manifest, Tally(unit.key))
        return both.told(joining.verify() if unit.data["reads"] else joining.run())


def _moving(user: str, reach: Reach, both: Places, item: Item, stage: Stage) -> list[Draft]:
    with both.source.open(item) as content:
        attributes = content.attributes
    group = short(reach.migration.id, user, item.path, f"{item.size} {item.version}")
    place = both.target.begin(item, group, attributes, part_for(item))
    return Cut.of(item, place, reach.settings.range_bytes).drafts(user, stage)


@dataclass(frozen=True, slots=True)
class Joining:
    """The end of one round of a huge file."""

    unit: Unit
    reach: Reach
    both: Places
    cut: Cut
    manifest: Manifest
    tally: Tally

    def verify(self) -> Receipt:
        """Every range was read on both sides; do they agree?"""
        item = self.cut.item
        notes = [self._noted(start) for start, _ in self.cut.ranges]
        self.tally.seen(item)
        held, ranges = self.both.target.look(item.path), self.cut.ranges
        wrong = [at for (at, _), (read, found) in zip(ranges, notes, strict=True) if read != found]
        if held is None or held.size != item.size or wrong:
            length = f"{held.size} bytes" if held else "nothing"
            differs = f"{item.path}: {length} on the target; differs in the ranges at {wrong}"
            self.tally.fail(item.path, Corrupt(differs))
        else:
            digest = composite((read for read, _ in notes), self.cut.size)
            self.tally.done(item, digest, moved=False, mended=False, content=False)
        return self.tally.receipt()

    def run(self) -> Receipt:
        item = self.cut.item
        notes = [self._noted(start) for start, _ in self.cut.ranges]
        digest = composite((read for read, _ in notes), self.cut.size)
        held, ours = self.both.target.look(item.path), self.manifest.ours(item.path)
        if held and any(as_published(held, e) and self._is(e, digest) for e in ours):
            return self._done(held, digest, moved=True)  # published, but died before saying so
        same = not self.cut.place and all(read == found for read, found in notes)
        policy_ = policy(self.reach)
        verdict = judge(
            item, held, ours, check=policy_.check, overwrite=policy_.overwrite, same=same
        )
        if verdict is Verdict.CONFLICT:
            return self._conflict()
        if held is not None and verdict is Verdict.SKIP:
            self.both.target.adjust(item, held, None)
            return self._done(held, digest, moved=False)
        if self.cut.place:
            return self._done(self._publish(held, digest), digest, moved=True)
        stage = stage_of(self.unit)
        return Receipt(drafts=tuple(_moving(self.unit.key, self.reach, self.both, item, stage)))

    def _publish(self, over: Held | None, digest: str) -> Held:
        item, target = self.cut.item, self.both.target
        staged = target.join(item, self.cut.place, self.cut.part)
        target.settle()
        self.reach.lease.confirm()
        self.manifest.intend({item.path: self._entry(staged.held, digest)})
        failpoint("users.joining")
        self.reach.lease.still_mine()
        held = target.publish(staged, over)
        target.finish()
        return held

    def _done(self, held: Held, digest: str, *, moved: bool) -> Receipt:
        item = self.cut.item
        entry, ours = self._entry(held, digest), self.manifest.ours(item.path)
        if not moved:
            entry = entry._replace(generation=ours[-1].generation if ours else 0)
        self.manifest.note(item.path, entry)
        self.manifest.keep()
        self.tally.seen(item)
        self.tally.done(item, digest, moved=moved, mended=False, content=moved)
        return self.tally.receipt()

    def _conflict(self) -> Receipt:
        item = self.cut.item
        if self.cut.place:
            self.both.target.abandon(self.cut.place, item)
        self.tally.seen(item)
        self.tally.fail(item.path, Occupied(f"{item.path}: the target holds something else"))
        return self.tally.receipt()

    def _noted(self, start: int) -> tuple[str, str]:
        """(MD5 read from the source, MD5 found on the target) of a range."""
        notes = self.reach.memory.read(self.unit.key, f"range.{self.cut.tag}.{start}")
        if not notes:
            raise Transient(f"{self.cut.item.path}: the range at {start} was not noted")
        read, found = notes[0].decode().split()
        return read, found

    def _is(self, entry: Entry, digest: str) -> bool:
        return entry.md5 == digest and entry.generation == self.reach.migration.generation

    def _entry(self, held: Held, digest: str) -> Entry:
        item = self.cut.item
        return Entry(
            type=item.type.value,
            size=item.size,
            mtime_ns=item.mtime_ns if item.mtime_ns >= 0 else held.mtime_ns,
            md5=digest,
            source=item.version,
            held=held.version if self.both.target.pace.versions else "",
            link="",
            generation=self.reach.migration.generation,
        )
