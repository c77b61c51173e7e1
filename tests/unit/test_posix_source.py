"""A user's files as source: what is shown, what is read, and what is noticed."""

from __future__ import annotations

import gc
import os
import socket
import tracemalloc
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from common.clock import Clock
from common.endpoints.place import Item, Type, is_hole
from common.endpoints.posix import PosixSource, users
from common.endpoints.posix.ahead import DEEPEST
from common.endpoints.posix.content import BLOCK
from common.endpoints.posix.directories import KEPT
from common.endpoints.template import Template
from common.errors import Changing, Denied, Missing, Refused, Unmounted
from common.model import Failure
from tests.posix import Site, site, unprivileged


@pytest.fixture
def here() -> Iterator[Site]:
    with site() as made:
        yield made


def items(source: PosixSource) -> dict[str, Item]:
    return {found.path: found for found in source.walk() if isinstance(found, Item)}


def failures(source: PosixSource) -> dict[str, Failure]:
    return {found.item: found for found in source.walk() if isinstance(found, Failure)}


def seen(source: PosixSource, path: str) -> Item:
    item = source.look(path)
    assert item is not None
    return item


def settled(path: Path, data: bytes) -> Path:
    """A file that was written long enough ago for its times to tell."""
    path.write_bytes(data)
    os.utime(path, ns=(1, 10**18))
    return path


def test_the_walk_shows_every_kind_of_thing_and_directories_before_what_is_in_them(
    here: Site,
) -> None:
    (here.old / "d" / "e").mkdir(parents=True)
    (here.old / "d" / "file").write_bytes(b"abc")
    os.link(here.old / "d" / "file", here.old / "again")
    (here.old / "link").symlink_to("/etc/passwd")
    os.mkfifo(here.old / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(here.old / "socket"))
    found = items(here.source())
    assert next(iter(found)) == ""
    assert list(found).index("d") < list(found).index("d/e")
    assert {path: item.type for path, item in found.items()} == {
        "": Type.DIRECTORY,
        "d": Type.DIRECTORY,
        "d/e": Type.DIRECTORY,
        "d/file": Type.FILE,
        "again": Type.FILE,
        "link": Type.LINK,
        "pipe": Type.OTHER,
        "socket": Type.OTHER,
    }
    assert found["link"].link == "/etc/passwd"
    assert found["again"].inode == found["d/file"].inode is not None
    assert found["d"].inode is None
    assert all(here.source().look(path) == item for path, item in found.items())


def test_a_user_without_a_place_is_missing_and_shows_nothing(here: Site) -> None:
    source = here.source("bob")
    assert source.look("") is None
    with pytest.raises(Missing, match="bob"):
        source.walk()


def test_a_missing_fixed_root_is_told_from_a_missing_user() -> None:
    with pytest.raises(Unmounted, match="/nowhere/at/all") as caught:
        PosixSource(Template.parse("/nowhere/at/all"), "alice")
    assert "mount" in caught.value.hint


@pytest.mark.parametrize("what", ["link", "file"])
def test_a_user_whose_place_is_a_link_or_a_file_is_refused(here: Site, what: str) -> None:
    place = here.root / "old" / "bob"
    place.symlink_to("alice") if what == "link" else place.touch()
    with pytest.raises(Refused, match="bob"):
        here.source("bob").walk()


def test_the_fixed_root_may_be_reached_through_links(here: Site) -> None:
    (here.root / "way").symlink_to("old")
    (here.old / "file").touch()
    source = PosixSource(Template.parse(f"{here.root}/way"), "alice")
    assert set(items(source)) == {"", "file"}


def test_names_that_are_ours_are_refused_by_name_and_the_rest_is_shown(here: Site) -> None:
    (here.old / ".convoy-unit.1").mkdir()
    (here.old / "d").mkdir()
    (here.old / "d" / ".convoyish").touch()
    (here.old / "d" / "file").touch()
    assert set(items(here.source())) == {"", "d", "d/file"}
    refused = failures(here.source())
    assert set(refused) == {".convoy-unit.1", "d/.convoyish"}
    assert all("reserved" in f.reason and f.advice for f in refused.values())


def test_an_unreadable_directory_is_told_and_the_walk_goes_on(here: Site) -> None:
    (here.old / "shut").mkdir()
    (here.old / "shut" / "file").touch()
    (here.old / "open").touch()
    with unprivileged(here.old, here.old / "shut"):
        (here.old / "shut").chmod(0)
        source = here.source()
        assert set(items(source)) == {"", "shut", "open"}
        assert failures(source)["shut"].advice == Denied.hint


def test_a_name_that_cannot_be_looked_at_is_told_and_the_walk_goes_on(here: Site) -> None:
    (here.old / "blind").mkdir()
    (here.old / "blind" / "file").touch()
    with unprivileged(here.old, here.old / "blind"):
        (here.old / "blind").chmod(0o600)  # may be listed, but what is in it not be looked at
        assert "blind/file" in failures(here.source())


def test_memory_stays_flat_however_large_a_directory_is(here: Site) -> None:
    def peak(name: str, count: int) -> int:
        (here.root / "old" / name).mkdir()
        for number in range(count):
            (here.root / "old" / name / str(number)).touch()
        tracemalloc.start()
        assert sum(1 for _ in here.source(name).walk()) == count + 1
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak("large", 8_000) < peak("small", 2_000) * 1.2


def test_no_depth_is_too_deep_and_handles_do_not_run_out(here: Site) -> None:
    levels, handle = 1500, os.open(here.old, os.O_RDONLY)
    for _ in range(levels):  # 30 kB of path, far beyond what a path may be long
        os.mkdir("a-name-of-20-letters", dir_fd=handle)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=handle))
        deeper = os.open("a-name-of-20-letters", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = deeper
    os.close(handle)
    source, most, paths = here.source(), 0, 0
    for found in source.walk():
        assert isinstance(found, Item)
        paths += 1
        if paths % 50 == 0:
            most = max(most, len(os.listdir("/proc/self/fd")))
    assert paths == 2 * levels + 1
    assert most < 3 * KEPT
    deepest = "/".join(["a-name-of-20-letters"] * (levels - 1) + ["file"])
    with source.open(seen(source, deepest)) as content:
        assert content.whole() == b""


def test_contents_are_read_whole_or_in_pieces(here: Site) -> None:
    data = os.urandom(2 * BLOCK + 7)
    settled(here.old / "file", data)
    source = here.source()
    with source.open(seen(source, "file")) as content:
        assert content.whole() == data
        assert b"".join(map(bytes, content.chunks())) == data
        assert b"".join(map(bytes, content.chunks(5, BLOCK + 9))) == data[5 : BLOCK + 9]
        assert list(content.chunks(7, 7)) == []
        assert content.unchanged()


def test_holes_come_as_holes_and_cost_no_reading(here: Site) -> None:
    with (here.old / "file").open("wb") as file:
        file.seek(8 * BLOCK)
        file.write(b"x" * 4096)
        file.truncate(12 * BLOCK)
    source = here.source()
    item = seen(source, "file")
    assert item.sparse
    with source.open(item) as content:
        chunks = [(is_hole(chunk), bytes(chunk)) for chunk in content.chunks()]
    assert b"".join(data for _, data in chunks) == (here.old / "file").read_bytes()
    assert sum(len(data) for hole, data in chunks if not hole) <= BLOCK


def test_a_file_that_changed_since_it_was_listed_is_not_opened(here: Site) -> None:
    file = settled(here.old / "file", b"one")
    source = here.source()
    item = seen(source, "file")
    settled(file, b"two")
    with pytest.raises(Changing, match="file"):
        source.open(item)


@pytest.mark.parametrize("what", ["link", "directory", "pipe", "socket", "nothing"])
def test_a_file_replaced_by_something_else_is_not_followed(here: Site, what: str) -> None:
    file = settled(here.old / "file", b"one")
    source = here.source()
    item = seen(source, "file")
    file.unlink()
    if what == "link":
        file.symlink_to("/etc/passwd")
    elif what == "directory":
        file.mkdir()
    elif what == "pipe":
        os.mkfifo(file)
    elif what == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(file))
    with pytest.raises(Missing if what == "nothing" else Changing):
        source.open(item)


@pytest.mark.parametrize("act", ["write", "grow", "shrink", "touch", "replace", "mode"])
def test_a_change_while_a_file_is_read_is_noticed(here: Site, act: str) -> None:
    file = settled(here.old / "file", b"0123456789")
    source = here.source()
    with source.open(seen(source, "file")) as content:
        assert content.whole() == b"0123456789"
        assert content.unchanged()
        if act == "write":
            with file.open("r+b") as writer:
                writer.write(b"x")
            os.utime(file, ns=(1, 10**18))
        elif act == "grow":
            with file.open("ab") as writer:
                writer.write(b"x")
        elif act == "shrink":
            os.truncate(file, 3)
        elif act == "touch":
            file.touch()
        elif act == "replace":
            settled(here.old / "new", b"0123456789").rename(file)
        else:
            file.chmod(0o600)
        assert not content.unchanged()


def test_a_file_that_shrinks_or_grows_under_the_reader_is_changing(here: Site) -> None:
    file = settled(here.old / "file", b"x" * 100)
    source = here.source()
    with source.open(seen(source, "file")) as content:
        os.truncate(file, 40)
        with pytest.raises(Changing):
            content.whole()
        with pytest.raises(Changing):
            list(content.chunks())
        os.truncate(file, 140)
        with pytest.raises(Changing):
            content.whole()


def test_a_file_changed_in_this_very_tick_is_left_to_grow_older(here: Site) -> None:
    (here.old / "file").write_bytes(b"now")
    changed = (here.old / "file").stat().st_ctime_ns
    waits: list[float] = []
    for age, expected in ((0, 1), (10_000_000, 1), (30_000_000, 0)):
        now = (changed + age) / 1e9
        clock = Clock(wall=partial(float, now), sleep=waits.append)
        source = PosixSource(Template.parse(f"{here.root}/old"), "alice", clock=clock)
        with source.open(seen(source, "file")) as content:
            assert content.whole() == b"now"
        assert len(waits) == expected
        waits.clear()


def test_a_directory_is_opened_for_its_attributes(here: Site) -> None:
    (here.old / "d").mkdir()
    os.setxattr(here.old / "d", "user.note", b"of a directory")
    source = here.source()
    with source.open(seen(source, "d")) as content:
        assert "xattr:user.note" in content.attributes
    with source.open(seen(source, "")) as content:
        assert dict(content.attributes) == {}


@pytest.mark.parametrize(
    "path", ["../bob", "/etc/passwd", "a//b", "./x", "x/..", "x\0y", ".convoy-x"]
)
def test_a_path_that_leads_elsewhere_is_refused(here: Site, path: str) -> None:
    source = here.source()
    (here.old / "x").mkdir()
    (here.old / "a").mkdir()
    with pytest.raises(Refused):
        source.look(path)
    with pytest.raises(Refused):
        source.open(Item(path, Type.FILE))


def test_what_lies_below_a_file_or_a_link_is_nothing(here: Site) -> None:
    (here.old / "file").touch()
    (here.old / "link").symlink_to("/etc")
    source = here.source()
    assert source.look("file/x") is None
    assert source.look("link/passwd") is None
    assert source.look("nothing/x") is None
    with pytest.raises(Changing):
        source.open(Item("link/passwd", Type.FILE))


def test_reading_does_not_even_set_an_access_time(here: Site) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may read without setting access times")
    file = settled(here.old / "file", b"x")
    source = here.source()
    with source.open(seen(source, "file")) as content:
        content.whole()
    assert file.stat().st_atime_ns == 1


def test_users_are_listed_by_the_layout_and_strays_come_with_a_slash(here: Site) -> None:
    shards = here.root / "old"
    for place in ("al/alice", "bo/bob", "bo/carol", "x"):
        (shards / place).mkdir(parents=True, exist_ok=True)
    (shards / "bo" / "note").touch()
    (shards / "way").symlink_to("bo")
    found = sorted(users(Template.parse(f"{shards}/{{user:0:2}}/{{user}}")))
    assert found == ["alice", "bo/carol/", "bo/note/", "bob", "way/"]


def test_users_of_a_layout_that_ends_in_a_fixed_name_are_found(here: Site) -> None:
    template = Template.parse(f"{here.root}/old/{{user}}/mail")
    assert list(users(template)) == ["alice"]


def test_a_list_of_users_that_cannot_be_read_whole_is_none(here: Site) -> None:
    with unprivileged(here.root / "old"):
        (here.root / "old").chmod(0o300)
        with pytest.raises(Denied):
            list(users(Template.parse(f"{here.root}/old")))


def opened(source: PosixSource, item: Item) -> bytes:
    with source.open(item) as content:
        data = content.whole()
        assert content.unchanged()
        return data


def handles() -> int:
    return len(os.listdir("/proc/self/fd"))


def handles_before() -> int:
    """Not counting what other tests left open, which goes at some time."""
    gc.collect()
    return handles()


def test_files_are_opened_ahead_of_their_reader_and_none_is_forgotten(here: Site) -> None:
    for number in range(100):
        settled(here.old / f"{number:03d}", b"%d" % number)
    before = handles_before()
    source = here.source()
    found = [item for item in items(source).values() if item.type is Type.FILE]
    most = 0
    for item in found:
        assert opened(source, item) == b"%d" % int(item.path)
        most = max(most, handles())
    assert before + 5 < most < before + DEEPEST + 5
    source.close()
    assert handles() <= before + 1  # the root itself goes with the source


def test_whoever_leaves_files_out_gets_none_opened_ahead(here: Site) -> None:
    for number in range(100):
        settled(here.old / f"{number:03d}", b"%d" % number)
    source = here.source()
    found = [item for item in items(source).values() if item.type is Type.FILE]
    before = handles_before()
    for item in (*found[::3], found[1], *reversed(found)):
        assert opened(source, item) == b"%d" % int(item.path)
        assert handles() <= before + 2


def test_a_file_that_is_replaced_after_it_was_opened_ahead_is_noticed(here: Site) -> None:
    for number in range(20):
        settled(here.old / f"{number:03d}", b"old")
    source = here.source()
    found = [item for item in items(source).values() if item.type is Type.FILE]
    for item in found[:5]:
        opened(source, item)
    settled(here.old / "new", b"new").rename(here.old / found[5].path)
    (here.old / found[6].path).unlink()
    for item in found[5:7]:
        with pytest.raises(Changing):
            source.open(item)
    with pytest.raises(Missing):
        source.open(found[6])
    assert opened(source, seen(source, found[5].path)) == b"new"
    assert opened(source, found[7]) == b"old"
    source.close()


def test_a_list_from_elsewhere_may_be_expected_as_well(here: Site) -> None:
    for number in range(20):
        settled(here.old / f"{number:03d}", b"x")
    source = here.source()
    listed = [seen(source, f"{number:03d}") for number in range(20)]
    source.expect(listed)
    before = handles_before()
    for item in listed[:8]:
        assert opened(source, item) == b"x"
    assert handles() > before + 4
    source.close()


def test_a_source_read_behind_the_cache_gives_the_same_bytes_from_the_device(here: Site) -> None:
    path, data = here.old / "file", os.urandom(1 << 20)
    path.write_bytes(data)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        template = Template.parse(f"file://{here.root}/old")
        source = PosixSource(template, "alice", deep=True)
        item = source.look("file")
        assert item is not None
        with source.open(item) as content:
            try:
                os.preadv(file.fileno(), [bytearray(1)], len(data) - 1, os.RWF_NOWAIT)
                cached = True
            except BlockingIOError:
                cached = False
            except OSError as exc:
                pytest.skip(f"the page cache cannot be asked here: {exc}")
            assert not cached
            assert content.whole() == data
        source.close()
