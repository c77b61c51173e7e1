"""Laws of manifests: whatever was put on the target stays known as ours, under every later cut.

The marks are the real ones, on a real store. A run of a user's generations is drawn: each cuts the
user into another number of pieces, and may die or fail anywhere between intent and report.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import Stale
from common.store.marks import Marks
from common.store.sqlite import SqliteStore
from consumer.users.manifest import LINKS, Entry, Manifest, Piece, bucket, decode, encode

CUTS = [1, 2, 4]
FILES = [f"dir/{number}" for number in range(6)] + ["caf\udce9", "\U0001f600", "a\nb", ""]
# any text; low surrogates stand for bytes of a name that is not UTF-8 (PEP 383)
TEXT = st.text(
    st.characters(exclude_categories=["Cs"])
    | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF, exclude_categories=())
)
NUMBER = st.integers(-1, 2**63 - 1)
ENTRY = st.builds(Entry, TEXT, NUMBER, NUMBER, TEXT, TEXT, TEXT, TEXT, st.integers(0, 99))
USERS = itertools.count()


class Fate(StrEnum):
    """What becomes of one item in one generation."""

    ABSENT = "absent"  # the source does not show it
    MOVED = "moved"  # intended, published, noted
    UNKNOWN = "unknown"  # intended and published, but the answer was lost
    FAILED = "failed"  # intended, never published
    UNTRIED = "untried"  # given up before the intent


@dataclass
class Shelf:
    """A user's memory as a unit of this fence has it (`consumer.mover.Memory`)."""

    marks: Marks
    fence: int = 1

    def read(self, group: str, name: str) -> list[bytes]:
        return self.marks.read("m", group, name)

    def names(self, group: str) -> list[str]:
        return self.marks.names("m", group)

    def put(self, group: str, name: str, blob: bytes, *, passing: bool = False) -> None:
        self.marks.put("m", group, name, blob, fence=self.fence)

    def append(self, group: str, name: str, blob: bytes, *, passing: bool = False) -> None:
        self.marks.append("m", group, name, blob, fence=self.fence)

    def drop(self, group: str, name: str) -> None:
        self.marks.drop("m", group, name, fence=self.fence)


@dataclass
class Generation:
    """One run over a user: how it is cut, which items are hard links, what becomes of each."""

    parts: int
    fates: dict[str, Fate]
    linked: frozenset[str] = frozenset()
    dies: frozenset[int] = frozenset()  # which consumers die before they keep what they did
    forgets: bool = True  # the closing unit came to drop the pieces of earlier cuts
    links_last: bool = True


@dataclass
class Past:
    """What the target really shows, whoever remembers it."""

    shelf: Shelf
    user: str
    shown: dict[str, Entry] = field(default_factory=dict)

    def live(self, number: int, generation: Generation) -> None:
        self.shelf.fence = number
        g = generation
        pieces = [Piece(g.parts, part) for part in range(g.parts)]
        pieces.insert(len(pieces) if g.links_last else 0, Piece(g.parts, tag=LINKS))
        for number_, piece in enumerate(pieces):
            paths = {p for p in g.fates if (p in g.linked) == bool(piece.tag) and piece.holds(p)}
            if paths or not piece.tag:
                self._pass(number, g, piece, sorted(paths), dies=number_ in g.dies)
        if g.forgets and not g.dies:
            self._forget(g.parts)

    def _pass(
        self, number: int, generation: Generation, piece: Piece, paths: list[str], *, dies: bool
    ) -> None:
        seen = [p for p in paths if generation.fates.get(p, Fate.ABSENT) is not Fate.ABSENT]
        manifest = Manifest(self.shelf, self.user, piece)
        manifest.load(set(seen) if piece.tag else None)
        for path in seen:
            fate = generation.fates[path]
            entry = Entry("file", number, number, f"{number}", "", "", "", number)
            if fate is not Fate.UNTRIED:
                manifest.intend({path: entry})
            if fate in (Fate.MOVED, Fate.UNKNOWN):
                self.shown[path] = entry
            if fate is Fate.MOVED:
                manifest.note(path, entry)
        if not dies:
            manifest.keep()

    def _forget(self, parts: int) -> None:
        """As the closing unit does."""
        for name in self.shelf.names(self.user):
            _, part, cut = name.split(".")
            if part.isdigit() and int(cut) != parts:
                self.shelf.drop(self.user, name)

    def known(self, path: str, parts: int) -> list[Entry]:
        """What a later run knows of an item, in whichever piece it falls."""
        manifest = Manifest(self.shelf, self.user, Piece(parts, bucket(path, parts)))
        manifest.load()
        return manifest.ours(path)


GENERATION = st.builds(
    Generation,
    st.sampled_from(CUTS),
    st.dictionaries(st.sampled_from(FILES), st.sampled_from(Fate)),
    st.frozensets(st.sampled_from(FILES), max_size=4),
    st.frozensets(st.integers(0, 4), max_size=2),
    st.booleans(),
    st.booleans(),
)


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marks]:
    store = SqliteStore(str(tmp_path_factory.mktemp("marks") / "state.db"))
    yield Marks(store)
    store.close()


@pytest.fixture
def past(marks: Marks) -> Past:
    return Past(Shelf(marks), f"user{next(USERS)}")


def entry(generation: int, size: int = 1) -> Entry:
    return Entry("file", size, 100, "", "", "", "", generation)


@settings(max_examples=80)
@given(generations=st.lists(GENERATION, min_size=1, max_size=4))
def test_what_the_target_shows_stays_known_under_every_later_cut(
    marks: Marks, generations: list[Generation]
) -> None:
    past = Past(Shelf(marks), f"user{next(USERS)}")
    for number, generation in enumerate(generations, 1):
        past.live(number, generation)
    for path, shown in past.shown.items():
        for parts in CUTS:
            assert shown in past.known(path, parts), (path, parts)


def test_an_item_that_left_its_hard_links_stays_known(past: Past) -> None:
    moved = dict.fromkeys(["a", "b", "c"], Fate.MOVED)
    past.live(1, Generation(2, moved, frozenset("abc")))
    past.live(2, Generation(2, {"a": Fate.MOVED}, frozenset("a"), links_last=False))
    assert set(past.known("b", 4)) == {past.shown["b"]}


def test_an_intent_that_came_to_nothing_does_not_hide_what_is_there(past: Past) -> None:
    past.live(1, Generation(1, {"a": Fate.MOVED}))
    past.live(2, Generation(1, {"a": Fate.FAILED}, dies=frozenset([0])))
    past.live(3, Generation(1, {"a": Fate.UNTRIED}))
    assert past.shown["a"] in past.known("a", 1)


def test_what_was_noted_replaces_all_that_it_may_have_been(past: Past) -> None:
    for number in (1, 2, 3):
        past.live(number, Generation(1, {"a": Fate.MOVED}))
    assert past.known("a", 1) == [past.shown["a"]]


def test_the_same_is_not_kept_twice(past: Past) -> None:
    for _ in range(3):
        manifest = Manifest(past.shelf, past.user, Piece())
        manifest.load()
        manifest.intend({"a": entry(1)})
        manifest.keep()
    assert past.known("a", 1) == [entry(1)]


@pytest.mark.parametrize("generations", list(itertools.permutations([1, 2, 3])))
def test_the_latest_of_all_generations_stands_last(
    past: Past, generations: tuple[int, int, int]
) -> None:
    for generation, parts in zip(generations, CUTS, strict=True):
        manifest = Manifest(past.shelf, past.user, Piece(parts, bucket("a", parts)))
        manifest.intend({"a": entry(generation)})
    assert [e.generation for e in past.known("a", 1)] == [1, 2, 3]


def test_of_one_generation_the_latest_intent_stands_last(past: Past) -> None:
    manifest = Manifest(past.shelf, past.user, Piece())
    for size in (3, 1, 2):
        manifest.intend({"a": entry(1, size)})
    assert [e.size for e in past.known("a", 1)] == [3, 1, 2]


def test_a_piece_knows_its_own_items_and_no_others(past: Past) -> None:
    past.live(1, Generation(1, dict.fromkeys(FILES, Fate.MOVED)))
    for part in range(4):
        piece = Piece(4, part)
        manifest = Manifest(past.shelf, past.user, piece)
        manifest.load()
        assert [bool(manifest.ours(path)) for path in FILES] == list(map(piece.holds, FILES))


def test_a_piece_named_by_a_tag_knows_of_other_pieces_what_it_was_asked_for(past: Past) -> None:
    past.live(1, Generation(2, dict.fromkeys(FILES, Fate.MOVED)))
    manifest = Manifest(past.shelf, past.user, Piece(2, tag=LINKS))
    manifest.load({FILES[0]})
    assert [path for path in FILES if manifest.ours(path)] == FILES[:1]


def test_this_run_knows_what_it_noted_and_nothing_else_as_its_latest(past: Past) -> None:
    past.live(1, Generation(1, {"a": Fate.MOVED}))
    manifest = Manifest(past.shelf, past.user, Piece())
    manifest.load()
    assert manifest.latest("a") is None
    manifest.note("a", entry(2))
    assert manifest.latest("a") == entry(2)
    assert manifest.ours("b") == []


def test_a_run_that_knows_nothing_keeps_nothing(past: Past) -> None:
    manifest = Manifest(past.shelf, past.user, Piece())
    manifest.load()
    manifest.keep()
    assert past.shelf.names(past.user) == []


def test_marks_of_another_purpose_are_not_taken_for_pieces(past: Past) -> None:
    past.shelf.put(past.user, "list.1-1.0", b"no manifest")
    assert past.known("a", 1) == []


def test_an_earlier_epoch_can_neither_intend_nor_keep(past: Past) -> None:
    late = Manifest(Shelf(past.shelf.marks, fence=1), past.user, Piece())
    late.note("a", entry(1))
    past.shelf.fence = 2
    past.live(2, Generation(1, {"a": Fate.MOVED}))
    with pytest.raises(Stale):
        late.intend({"a": entry(1)})
    with pytest.raises(Stale):
        late.keep()
    assert past.known("a", 1) == [past.shown["a"]]


@pytest.mark.parametrize("parts", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("others", [1, 2, 4, 8, 16])
def test_two_pieces_touch_exactly_if_some_path_belongs_to_both(parts: int, others: int) -> None:
    finest = max(parts, others)
    for part, other in itertools.product(range(parts), range(others)):
        shared = any(n % parts == part and n % others == other for n in range(finest))
        assert Piece(parts, part).touches(Piece(others, other).name) == shared


@pytest.mark.parametrize("parts", CUTS)
def test_a_piece_named_by_a_tag_may_know_anything(parts: int) -> None:
    tagged = Piece(parts, tag=LINKS)
    assert tagged.touches(Piece(8, 3).name)
    assert Piece(8, 3).touches(tagged.name)
    assert all(map(tagged.holds, FILES))


@given(TEXT, st.integers(0, 10))
def test_every_path_belongs_to_one_piece_of_every_cut(path: str, power: int) -> None:
    parts = 2**power
    assert sum(Piece(parts, part).holds(path) for part in range(parts)) == 1


@given(TEXT, st.integers(0, 10))
def test_a_finer_cut_only_divides_a_coarser_one(path: str, power: int) -> None:
    assert bucket(path, 2**power) == bucket(path, 2 ** (power + 1)) % 2**power


@given(st.lists(st.tuples(TEXT, ENTRY)))
def test_entries_are_read_as_they_were_written(entries: list[tuple[str, Entry]]) -> None:
    assert list(decode(encode(entries))) == entries
