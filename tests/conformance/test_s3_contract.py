"""One suite for every S3 server, each held to what `tests.servers.s3` declares of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from common.digest import EMPTY, md5
from common.endpoints.place import Held, Item, Type
from common.endpoints.s3 import S3Source, client_for, probing, uploads, users
from common.endpoints.s3.ledger import NOTES
from common.endpoints.template import Template
from common.endpoints.wire import Timeouts
from common.errors import Changing, Denied, Missing, Occupied, Refused, Stale, Transient
from common.model import Failure
from common.settings import Settings
from tests.servers.s3 import Store
from tests.servers.s3_places import GID, MODE, MTIME, UID, Place, cut, directory, file, link

MEBI = 1 << 20
LARGE = bytes(range(256)) * (9 * MEBI // 256) + b"the end"
PARTS = {"layout:part": str(5 * MEBI)}
HOSTILE = [
    "sp ace", "pl+us", "pct%41%2F", "uml\u00e4ut", "semi;=&?#", "q'\"<>", "til~de", "back\\slash",
    "a:b@c,d", "emoji\U0001f600", "ctl\x01\x1f", "new\nline", "-dash", "(paren)*!$", "deep/er/file",
    "\u00e9", "e\u0301", "x" * 200,
]  # fmt: skip
DOTTED = ["double//slash", "./dot", "a/../b"]
HEADERS = {
    "header:content-type": "text/x-test",
    "header:cache-control": "max-age=60",
    "header:content-disposition": 'attachment; filename="a b"',
    "header:content-encoding": "gzip",
    "header:content-language": "de",
    "header:expires": "Thu, 01 Dec 2044 16:00:00 GMT",
    "meta:project": "two  spaces",
    "meta:odd-name.1": "=?x",
}


@pytest.fixture
def place(store: Store, prefix: str) -> Place:
    return Place(store, prefix)


def names(store: Store, some: list[str]) -> list[str]:
    """Those that this server takes at all."""
    taken = [name for name in some if not any(odd in name for odd in store.refuses)]
    return [name for name in taken if name != "e\u0301" or not store.folds]


def staged_large(place: Place, path: str = "large") -> Iterator[Held]:
    with place.target() as target:
        running = md5()
        item = file(path, len(LARGE))
        staged = target.stream(item, cut(LARGE), running, PARTS)
        assert place.listed() == [key for key in place.listed() if key.startswith(NOTES)]
        yield target.publish(staged, None)


# -- the character of the servers ---------------------------------------------------------------


def test_the_probe_finds_out_what_each_server_really_does(store: Store, prefix: str) -> None:
    found = probing.probe(client_for(store.location, Timeouts()), prefix)
    assert found.exclusive == store.exclusive
    assert found.matches == store.matches
    assert found.checks_md5 == store.checks_md5
    assert found.vouches
    assert found.markers == store.markers
    assert found.headers == store.headers
    assert found.tags == store.tags
    assert found.folds == store.folds


def test_the_probe_leaves_nothing_behind(place: Place) -> None:
    ours = client_for(place.store.location, Timeouts())
    probing.probe(ours, place.prefix)
    left = [key for key in place.listed() if ours.head(place.prefix + key)]  # no mere ghosts
    assert left == []


def test_wrong_keys_are_denied(store: Store, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not store.checks_keys:
        pytest.skip(f"{store.name} checks no signatures")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", store.access)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    location = type(store.location)(store.bucket, endpoint=store.endpoint)
    with pytest.raises(Denied):
        list(S3Source(location, prefix, limits=Timeouts()).walk())


def test_a_bucket_that_is_not_there_is_missing(store: Store, prefix: str) -> None:
    location = type(store.location)("no-such-bucket", store.endpoint, store.name)
    with pytest.raises(Missing):
        list(S3Source(location, prefix, limits=Timeouts()).walk())


# -- names --------------------------------------------------------------------------------------


def test_any_name_is_written_listed_and_read_as_it_is(place: Place) -> None:
    wanted = names(place.store, HOSTILE)
    for name in wanted:
        place.put(name, name.encode())
    shown = {path for path, item in place.walk().items() if item.type is Type.FILE}
    assert shown == set(wanted) == set(place.listed())
    assert {name: place.read(name)[0] for name in wanted} == {n: n.encode() for n in wanted}


def test_a_name_that_a_gateway_could_resolve_is_refused_both_ways(place: Place) -> None:
    for name in ("a/../../u2/x", "..", "./x", "x/."):
        with pytest.raises(Refused, match=r"\. or \.\."):
            place.put(name)
    for name in names(place.store, DOTTED):
        place.raw(name, b"x")
    if not names(place.store, DOTTED):
        pytest.skip(f"{place.store.name} takes no such keys")
    with place.source() as source:
        found = list(source.walk())
    assert [f.item for f in found if isinstance(f, Failure)] == ["./dot", "a/../b"]
    assert "double//slash" in [item.path for item in found if isinstance(item, Item)]


@pytest.mark.parametrize("name", ["caf\udce9", "x" * 1020, "nul\0", ".convoy-mine"])
def test_a_name_that_s3_cannot_hold_is_refused_by_name(place: Place, name: str) -> None:
    with pytest.raises(Refused):
        place.put(name)
    with place.target() as target:
        assert target.look(name) is None


def test_a_listing_of_many_pages_is_whole_and_in_order(place: Place) -> None:
    for number in range(12):
        place.raw(f"d{number:02}/f", b"x")
    pages = list(client_for(place.store.location, Timeouts()).pages(place.prefix, most=5))
    keys = [entry.key for page in pages for entry in page.entries]
    assert keys == [f"{place.prefix}d{number:02}/f" for number in range(12)]
    assert len(pages) == 3


# -- reading ------------------------------------------------------------------------------------


def test_a_walk_shows_directories_before_what_is_in_them(place: Place) -> None:
    for path in ("b/c/d", "b/c/e", "b-x", "z"):
        place.raw(path, b"1")
    with place.source() as source:
        shown = [item.path for item in source.walk() if isinstance(item, Item)]
    assert shown[0] == ""
    assert sorted(shown) == ["", "b", "b-x", "b/c", "b/c/d", "b/c/e", "z"]
    assert shown.index("b") < shown.index("b/c") < shown.index("b/c/d")


def test_a_directory_that_only_keys_imply_has_no_attributes_of_its_own(place: Place) -> None:
    place.raw("b/c", b"1")
    assert place.walk()["b"] == Item("b", Type.DIRECTORY)
    with place.source() as source:
        assert source.look("b") == Item("b", Type.DIRECTORY)
        assert source.open(Item("b", Type.DIRECTORY)).attributes == {}


def test_a_place_without_anything_in_it_is_missing(place: Place) -> None:
    with place.source() as source, pytest.raises(Missing, match="no place"):
        list(source.walk())


def test_a_look_shows_what_a_walk_shows(place: Place) -> None:
    place.put("small", b"1")
    place.put("big", bytes(9 * MEBI))
    if place.store.markers:
        with place.target() as target:
            target.directory(directory("dir"))
    walked = place.walk()
    with place.source() as source:
        assert {path: source.look(path) for path in walked} == walked
        assert source.look("nothing") is None


def test_a_plain_etag_vouches_for_the_contents(place: Place) -> None:
    place.raw("x", b"abc")
    assert place.walk()["x"].md5 == md5(b"abc").hexdigest()


def test_an_object_that_was_replaced_since_it_was_listed_is_changing(place: Place) -> None:
    place.raw("x", b"abc")
    item = place.walk()["x"]
    place.raw("x", b"xyz")
    with place.source() as source, pytest.raises(Changing):
        source.open(item)


def test_an_object_that_is_gone_is_missing(place: Place) -> None:
    place.raw("x", b"abc")
    with place.source() as source, pytest.raises(Missing):
        source.open(Item("gone", Type.FILE, 3))


@pytest.mark.parametrize("size", [0, 1, 300_000])
def test_any_range_of_an_object_can_be_read(place: Place, size: int) -> None:
    data = bytes(n % 251 for n in range(size))
    place.raw("x", data)
    with place.source() as source:
        item = source.look("x")
        assert item is not None
        for start, end in ((0, None), (0, size), (size // 3, size // 2), (size // 2, None)):
            with source.open(item) as content:
                found = b"".join(map(bytes, content.chunks(start, end)))
                assert found == data[start:end]
        with source.open(item) as content:
            assert content.whole() == data


# -- writing small items ------------------------------------------------------------------------


def test_nothing_is_visible_before_it_is_published(place: Place) -> None:
    with place.target() as target:
        staged = target.stage(file("x", 3), b"abc", md5(b"abc").hexdigest(), {})
        assert place.listed() == []
        held = target.publish(staged, None)
    assert held.version == held.md5 == staged.held.version == md5(b"abc").hexdigest()
    assert place.seen("x")[0] == b"abc"


def test_times_modes_and_owners_come_back(place: Place) -> None:
    place.put("x")
    _, item, attributes = place.read("x")
    assert (item.mtime_ns, item.mode, item.uid, item.gid) == (MTIME, MODE, UID, GID)
    assert not [name for name in attributes if name.startswith("meta:")]
    assert place.seen("x")[1] == {
        "mtime": "1700000000.123456789", "mode": "100640", "uid": "1234", "gid": "4321",
    }  # fmt: skip


@pytest.mark.parametrize("mtime", [0, -1_500_000_000, 1, 10**9, 4_000_000_000_000_000_001])
def test_any_time_comes_back_to_the_nanosecond(place: Place, mtime: int) -> None:
    place.put("x", mtime_ns=mtime)
    assert place.read("x")[1].mtime_ns == mtime


def test_what_is_there_is_never_written_over_unless_it_was_looked_at(place: Place) -> None:
    place.put("first")  # whoever ignores conditions is found out by now
    place.raw("x", b"theirs")
    with pytest.raises(Occupied):
        place.put("x", b"ours")
    assert place.seen("x")[0] == b"theirs"


def test_what_was_looked_at_may_be_replaced_and_nothing_else(place: Place) -> None:
    held = place.put("x", b"one")
    held = place.put("x", b"two", over=held)
    place.raw("x", b"theirs")
    with pytest.raises(Occupied):
        place.put("x", b"three", over=held)
    assert place.seen("x")[0] == b"theirs"


def test_publishing_the_very_same_twice_is_publishing_it_once(place: Place) -> None:
    place.put("x", b"one")
    assert place.put("x", b"one").md5 == md5(b"one").hexdigest()


def test_the_same_contents_with_other_metadata_are_not_the_very_same(place: Place) -> None:
    place.put("x", b"one")
    with pytest.raises(Occupied):
        place.put("x", b"one", mtime_ns=5)


def test_content_headers_metadata_and_tags_are_kept_from_store_to_store(
    place: Place, prefix: str
) -> None:
    if not place.store.headers:
        pytest.skip(f"{place.store.name} does not keep content headers")
    tags = {"tag:k 1": "v=+ \u00fc", "tag:k2": ""} if place.store.tags else {}
    place.put("x", b"data", {**HEADERS, **tags}, mtime_ns=-1, mode=-1, uid=-1, gid=-1)
    _, item, attributes = place.read("x")
    assert attributes == {**HEADERS, **tags}
    other = Place(place.store, f"{prefix}copy/")
    with other.target() as target:
        digest = md5(b"data").hexdigest()
        target.publish(target.stage(item._replace(path="y"), b"data", digest, attributes), None)
        assert target.attributes("y") == attributes
    assert set(other.seen("y")[1]) == {"project", "odd-name.1"}  # and nothing of ours


def test_metadata_that_is_not_ascii_comes_back(place: Place) -> None:
    note = "gr\u00fc\u00dfe \u4e16\u754c" * 8
    place.put("x", b"data", {"meta:note": note})
    assert place.read("x")[2]["meta:note"] == note


def test_metadata_in_a_form_that_is_not_ours_is_left_alone(place: Place) -> None:
    foreign = {"mtime": "yesterday", "mode": "33188", "uid": "root", "other": "x"}
    place.raw("x", b"1", Metadata=foreign)
    _, item, attributes = place.read("x")
    assert (item.mtime_ns, item.mode, item.uid) == (-1, -1, -1)
    assert {f"meta:{name}": value for name, value in foreign.items()}.items() <= attributes.items()


def test_a_file_of_a_store_that_notices_damage_is_never_published_damaged(place: Place) -> None:
    with place.target() as target:
        staged = target.stage(file("x", 3), b"abc", md5(b"abd").hexdigest(), {})
        with pytest.raises(Exception, match=r"BadDigest|but the target holds"):
            target.publish(staged, None)
    assert place.listed() == []


# -- directories and links ----------------------------------------------------------------------


def test_directories_keep_their_metadata_and_empty_ones_exist(place: Place) -> None:
    if not place.store.markers:
        pytest.skip(f"{place.store.name} cannot hold directories")
    root, empty = directory(""), directory("a/empty", mode=0o1777)
    with place.target() as target:
        assert target.directory(root) and target.directory(empty)
        target.settle()
        assert place.listed() == ["", "a/empty/"]
    with place.target() as target:
        assert not target.directory(root) and not target.directory(empty)
        held = target.look("a/empty")
        assert held is not None
        assert (held.type, held.mode, held.mtime_ns) == (Type.DIRECTORY, 0o1777, MTIME)
    shown = place.walk()
    assert shown["a/empty"]._replace(version="") == empty
    assert shown[""]._replace(version="") == root


def test_sealing_writes_only_what_differs(place: Place) -> None:
    if not place.store.markers:
        pytest.skip(f"{place.store.name} cannot hold directories")
    with place.target() as target:
        target.directory(directory("d"))
    with place.target() as target:
        target.seal(directory("d"))
        target.seal(directory("d", mtime_ns=7))
        target.seal(directory("new"))
    assert place.walk()["d"].mtime_ns == 7
    assert place.walk()["new"].mode == 0o750


def test_a_store_that_cannot_hold_directories_is_left_without(place: Place) -> None:
    if place.store.markers:
        pytest.skip(f"{place.store.name} can")
    with place.target() as target:
        assert not target.directory(directory("d"))
        with pytest.raises(Refused, match="cannot hold"):
            target.stage(link("l", "x"), b"", EMPTY, {})
    place.put("d/file")
    assert place.listed() == ["d/file"]


def test_links_are_kept_as_links(place: Place) -> None:
    if not place.store.markers:
        pytest.skip(f"{place.store.name} cannot hold links")
    for name, to in (("l", "../a b/\u00fc%"), ("odd", "caf\udce9\n")):
        with place.target() as target:
            target.publish(target.stage(link(name, to), b"", EMPTY, {}), None)
        with place.target() as target:
            held = target.look(name)
        assert held is not None and (held.type, held.link, held.size) == (Type.LINK, to, 0)
        found = place.walk()[name]
        assert (found.type, found.link, found.mtime_ns) == (Type.LINK, to, MTIME)
    with place.target() as target, pytest.raises(Refused, match="too long"):
        target.stage(link("long", "\u00fc" * 200), b"", EMPTY, {})


def test_a_link_takes_the_place_of_a_file_and_a_file_that_of_a_link(place: Place) -> None:
    if not place.store.markers:
        pytest.skip(f"{place.store.name} cannot hold links")
    held = place.put("x")
    with place.target() as target:
        held = target.publish(target.stage(link("x", "y"), b"", EMPTY, {}), held)
        assert place.listed() == ["x/"]
        changed = target.stage(link("x", "z"), b"", EMPTY, {})
        seen = target.look("x")
        target.publish(changed, seen)
        with pytest.raises(Occupied):
            target.publish(changed, seen)
        held_now = target.look("x")
    place.put("x", over=held_now)
    assert place.listed() == ["x"]


def test_a_file_never_takes_the_place_of_a_directory(place: Place) -> None:
    with pytest.raises(Occupied, match="directory"):
        place.put("d", over=Held(Type.DIRECTORY))


# -- looking ------------------------------------------------------------------------------------


def test_a_listing_answers_as_a_request_does(place: Place) -> None:
    place.put("x", b"abc")
    with place.target() as target:
        asked = target.look("x")
    with place.target() as target:
        assert list(target.survey()) == ["x"]
        listed = target.look("x")
        assert target.look("y") is None
    assert asked is not None and listed is not None
    assert (asked.md5, asked.size, asked.version) == (listed.md5, listed.size, listed.version)
    assert asked.mtime_ns == MTIME and listed.mtime_ns == -1


def test_many_looks_cost_one_listing(place: Place) -> None:
    for number in range(3):
        place.put(f"f{number}", b"abc")
    with place.target() as target:
        looked = [target.look(f"f{number}") for number in range(50)]
    assert [held.size if held else None for held in looked] == [3] * 3 + [None] * 47


def test_what_was_published_since_the_listing_is_known(place: Place) -> None:
    with place.target() as target:
        assert list(target.survey()) == []
        staged = target.stage(file("x", 3), b"abc", md5(b"abc").hexdigest(), {})
        held = target.publish(staged, None)
        seen = target.look("x")
        assert seen is not None and (seen.version, seen.size) == (held.version, 3)


def test_contents_are_read_back_whole_and_by_ranges(place: Place) -> None:
    place.raw("x", b"0123456789")
    with place.target() as target:
        assert target.digest("x") == (md5(b"0123456789").hexdigest(), 10)
        ranges = list(target.ranges("x", [(0, 4), (4, 10)]))
        assert ranges == [md5(b"0123").hexdigest(), md5(b"456789").hexdigest()]
        with pytest.raises(Missing):
            target.digest("nothing")


# -- adjusting ----------------------------------------------------------------------------------


def test_metadata_is_adjusted_and_all_else_stays(place: Place) -> None:
    attributes = dict(HEADERS) if place.store.headers else {"meta:project": "x"}
    attributes |= {"tag:k": "v"} if place.store.tags else {}
    place.put("x", b"abc", attributes)
    with place.target() as target:
        held = target.look("x")
        assert held is not None
        assert not target.adjust(file("x", 3), held, None)
        assert not target.adjust(file("x", 3), held, attributes)
        assert target.adjust(file("x", 3, mtime_ns=99, mode=0o600), held, None)
    data, item, found = place.read("x")
    assert (data, item.mtime_ns, item.mode, item.uid) == (b"abc", 99, 0o600, UID)
    assert attributes.items() <= found.items()


def test_an_item_that_says_nothing_asks_for_no_adjustment(place: Place) -> None:
    place.put("x", b"abc")
    with place.target() as target:
        held = target.look("x")
        assert held is not None
        bare = Item("x", Type.FILE, 3, md5=held.md5, version=held.version)
        assert not target.adjust(bare, held, None)
    assert place.read("x")[1].mtime_ns == MTIME


def test_a_listing_hides_no_difference_from_an_adjustment(place: Place) -> None:
    place.put("x", b"abc")
    with place.target() as target:
        list(target.survey())
        held = target.look("x")
        assert held is not None and held.mtime_ns == -1
        assert not target.adjust(file("x", 3), held, None)
        assert target.adjust(file("x", 3, mtime_ns=5), held, None)


def test_a_further_name_is_a_copy(place: Place) -> None:
    place.put("first", b"abc")
    with place.target() as target:
        held = target.hardlink(file("second", 3), "first", None)
        assert held.md5 == md5(b"abc").hexdigest()
        with pytest.raises(Occupied):
            target.hardlink(file("second", 3), "first", None)
    assert place.seen("second") == place.seen("first")


# -- large items --------------------------------------------------------------------------------


def test_a_large_file_is_joined_from_parts_and_visible_only_then(place: Place) -> None:
    for held in staged_large(place):
        digests = [md5(LARGE[s : s + 5 * MEBI]).hexdigest() for s in (0, 5 * MEBI)]
        joined = uploads.joined(digests)
        expected = joined if place.store.joins else md5(LARGE).hexdigest()
        assert held.version == expected and held.size == len(LARGE)
        assert held.md5 == ("" if place.store.joins else expected)
    assert place.listed() == ["large"] and place.uploads() == []
    data, metadata = place.seen("large")
    assert data == LARGE and metadata["mtime"] == "1700000000.123456789"
    assert place.read("large")[0] == LARGE
    assert place.walk()["large"].md5 == held.md5


def test_a_large_file_is_never_joined_over_what_was_not_looked_at(place: Place) -> None:
    with place.target() as target:
        staged = target.stream(file("large", len(LARGE)), cut(LARGE), md5(), PARTS)
        place.raw("large", b"theirs")
        with pytest.raises(Occupied):
            target.publish(staged, None)
    assert place.seen("large")[0] == b"theirs"


def test_a_large_file_may_replace_what_was_looked_at(place: Place) -> None:
    held = place.put("large", b"small")
    with place.target() as target:
        running = md5()
        staged = target.stream(file("large", len(LARGE)), cut(LARGE), running, PARTS)
        target.publish(staged, held)
        assert running.hexdigest() == md5(LARGE).hexdigest()
        assert target.digest("large") == (md5(LARGE).hexdigest(), len(LARGE))


def test_joining_twice_is_joining_once(place: Place) -> None:
    with place.target() as target:
        staged = target.stream(file("large", len(LARGE)), cut(LARGE), md5(), PARTS)
        assert target.publish(staged, None) == target.publish(staged, None)
    assert place.listed() == ["large"] and place.uploads() == []


def test_a_file_that_is_shorter_than_it_said_is_changing_and_leaves_nothing(place: Place) -> None:
    with place.target() as target, pytest.raises(Changing):
        target.stream(file("large", len(LARGE) + 1), cut(LARGE), md5(), PARTS)
    assert place.listed() == [] and place.uploads() == []


def test_parts_are_cut_as_at_the_source_so_that_the_etags_agree(place: Place, prefix: str) -> None:
    if not (place.store.joins and place.store.shows_parts):
        pytest.skip(f"{place.store.name} does not show how large parts are")
    for held in staged_large(place):
        _, item, attributes = place.read("large")
        assert attributes["layout:part"] == str(5 * MEBI)
        with Place(place.store, f"{prefix}copy/").target() as target:
            copy = target.stream(item, cut(LARGE), md5(), attributes)
            assert target.publish(copy, None).version == held.version


def test_uploads_of_earlier_epochs_are_swept_and_others_are_not(place: Place) -> None:
    with place.target("abc.1") as target:
        lost = target.stream(file("large", len(LARGE)), cut(LARGE), md5(), PARTS)
    others = client_for(place.store.location, Timeouts())
    foreign = uploads.create(others, f"{place.prefix}theirs", {})
    with place.target("abc.2") as target:
        target.sweep("abd")
        assert sorted(place.uploads()) == ["large", "theirs"]
        target.sweep("abc")
        assert place.uploads() == ["theirs"]
        with pytest.raises(Stale):
            target.publish(lost, None)
    assert place.listed() == []
    uploads.abort(others, f"{place.prefix}theirs", foreign)


def test_several_units_write_one_file_into_one_staging_place(place: Place) -> None:
    item, part = file("huge", len(LARGE)), 5 * MEBI
    attributes = {"meta:note": "kept"} | ({"tag:k": "v"} if place.store.tags else {})
    with place.target("one.1") as target:
        staging = target.begin(item, "group", attributes, part)
        running = md5()
        target.write(item, staging, part, cut(LARGE[part:]), running, part)
        assert running.hexdigest() == md5(LARGE[part:]).hexdigest()
    with place.target("two.1") as target:
        assert target.begin(item, "group", attributes, part) == staging
        target.sweep("one")
        target.write(item, staging, 0, cut(LARGE[:part]), md5(), part)
        target.write(item, staging, 0, cut(LARGE[:part]), md5(), part)
        assert not [key for key in place.listed() if not key.startswith(NOTES)]
    with place.target("three.1") as target:
        staged = target.join(item, staging, part)
        target.publish(staged, None)
    assert place.listed() == ["huge"] and place.uploads() == []
    data, found, kept = place.read("huge")
    assert data == LARGE and found.mtime_ns == MTIME
    assert attributes.items() <= kept.items()  # of a large object, which is opened by a look


def test_a_staging_place_with_a_gap_is_not_joined(place: Place) -> None:
    item, part = file("huge", len(LARGE)), 5 * MEBI
    with place.target() as target:
        staging = target.begin(item, "group", {}, part)
        target.write(item, staging, part, cut(LARGE[part:]), md5(), part)
        with pytest.raises(Transient):
            target.join(item, staging, part)
        target.abandon(staging, item)


def test_abandoning_twice_is_abandoning_once_and_begins_anew(place: Place) -> None:
    item, part = file("huge", len(LARGE)), 5 * MEBI
    with place.target() as target:
        staging = target.begin(item, "group", {}, part)
        target.abandon(staging, item)
        target.abandon(staging, item)
        assert place.listed() == [] and place.uploads() == []
        with pytest.raises(Stale):
            target.write(item, staging, 0, cut(LARGE[:part]), md5(), part)
        again = target.begin(item, "group", {}, part)
        assert again != staging
        target.abandon(again, item)


def test_parts_that_no_store_takes_are_refused(place: Place) -> None:
    with place.target() as target, pytest.raises(Refused, match="parts"):
        target.begin(file("huge", 10**15), "group", {}, 5 * MEBI)


# -- users --------------------------------------------------------------------------------------


def test_users_are_listed_by_the_layout_of_the_template(place: Place) -> None:
    for user in ("alice", "bob", "b"):
        place.raw(f"{user[:1]}/{user}/file", b"x")
    place.raw("stray", b"x")
    fixed = place.prefix.rstrip("/")
    template = Template.parse(place.store.url(fixed + "/{user:0:1}/{user}"))
    assert sorted(users(template, Settings())) == ["alice", "b", "bob", "stray/"]
