"""A user's files as target: aside, durable, then visible; and never over a stranger's."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.digest import EMPTY, md5
from common.endpoints.place import ZEROS, Held, Item, Staged, Type
from common.endpoints.posix import PosixSource, PosixTarget, kernel
from common.endpoints.template import Template
from common.errors import (
    Changing,
    Corrupt,
    Denied,
    Missing,
    Occupied,
    Refused,
    Stale,
    Transient,
    Unmounted,
)
from tests.posix import Site, site, unprivileged

MTIME = 10**18 + 123_456_789


@pytest.fixture
def here() -> Iterator[Site]:
    with site() as made:
        yield made


@pytest.fixture
def target(here: Site) -> Iterator[PosixTarget]:
    """A target whose root has been made."""
    opened = here.target()
    opened.directory(folder(""))
    yield opened
    opened.close()


def file(path: str, data: bytes = b"", **more: int) -> Item:
    fields = {"mode": 0o640, "uid": os.geteuid(), "gid": os.getegid(), "mtime_ns": MTIME, **more}
    return Item(path, Type.FILE, len(data), **fields)  # type: ignore[arg-type]


def folder(path: str, mode: int = 0o755) -> Item:
    return Item(path, Type.DIRECTORY, 0, MTIME, mode, os.geteuid(), os.getegid())


def put(target: PosixTarget, path: str, data: bytes, over: Held | None = None) -> Held:
    return target.publish(target.stage(file(path, data), data, md5(data).hexdigest(), {}), over)


def visible(root: Path) -> list[str]:
    return sorted(os.listdir(root))


def test_nothing_is_visible_before_it_is_published(here: Site, target: PosixTarget) -> None:
    staged = target.stage(file("file", b"data"), b"data", "", {})
    target.settle()
    assert [name for name in visible(here.new) if not name.startswith(".convoy-")] == []
    assert target.look("file") is None
    held = target.publish(staged, None)
    assert (here.new / "file").read_bytes() == b"data"
    assert held == target.look("file")
    assert (held.type, held.size, held.mtime_ns, held.mode) == (Type.FILE, 4, MTIME, 0o640)
    target.finish()
    target.close()
    assert visible(here.new) == ["file"]


def test_what_is_staged_says_what_the_target_will_hold(target: PosixTarget) -> None:
    staged = target.stage(file("file", b"data"), b"data", "", {})
    held = target.publish(staged, None)
    assert staged.held == held._replace(version="")


def test_a_large_file_is_digested_and_read_back_on_its_way(here: Site, target: PosixTarget) -> None:
    data = os.urandom((3 << 20) + 5)
    running = md5()
    pieces: list[bytes | bytearray | memoryview] = [
        data[: 1 << 20],
        bytearray(data[1 << 20 : 2 << 20]),
        memoryview(data)[2 << 20 :],
    ]
    staged = target.stream(file("large", data), iter(pieces), running, {})
    target.settle()
    target.publish(staged, None)
    assert running.hexdigest() == md5(data).hexdigest()
    assert target.digest("large") == (running.hexdigest(), len(data))
    assert list(target.ranges("large", [(0, 10), (5, len(data))])) == [
        md5(data[:10]).hexdigest(),
        md5(data[5:]).hexdigest(),
    ]
    with pytest.raises(Corrupt, match="large"):
        list(target.ranges("large", [(0, len(data) + 1)]))


@pytest.mark.parametrize("size", [1 << 20, 9 << 20])
def test_holes_are_kept_as_holes(here: Site, target: PosixTarget, size: int) -> None:
    data = b"x" * 100_000 + bytes(size - 100_000)
    item = file("sparse", data)._replace(sparse=True)
    if size <= target.pace.whole:
        staged = target.stage(item, data, "", {})
    else:
        zeros = size - 100_000
        chunks: list[bytes | bytearray | memoryview] = [data[:100_000]]
        while zeros:
            chunks.append(ZEROS[: min(zeros, len(ZEROS))])
            zeros -= len(chunks[-1])
        staged = target.stream(item, iter(chunks), md5(), {})
    target.publish(staged, None)
    assert (here.new / "sparse").read_bytes() == data
    assert (here.new / "sparse").stat().st_blocks * 512 < 300_000


def test_a_link_arrives_as_a_link(here: Site, target: PosixTarget) -> None:
    item = Item("link", Type.LINK, 0, MTIME, 0o777, os.geteuid(), os.getegid(), None, "/etc/passwd")
    held = target.publish(target.stage(item, b"", EMPTY, {}), None)
    assert os.readlink(here.new / "link") == held.link == "/etc/passwd"
    assert (here.new / "link").lstat().st_mtime_ns == MTIME
    assert target.look("link") == held
    assert target.attributes("link") == {}


def test_publishing_settles_what_was_not_settled(
    here: Site, target: PosixTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    real = kernel.syncfs

    def counted(fd: int) -> None:
        calls.append(fd)
        real(fd)

    monkeypatch.setattr(kernel, "syncfs", counted)
    first, second = (target.stage(file(name, b"x"), b"x", "", {}) for name in "ab")
    target.publish(first, None)
    target.publish(second, None)
    assert len(calls) == 1
    target.settle()
    assert len(calls) == 1


def test_what_was_begun_before_a_settling_and_staged_after_it_is_settled_again(
    here: Site, target: PosixTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(kernel, "syncfs", calls.append)

    def slow() -> Iterator[bytes]:
        yield b"x"
        put(target, "quick", b"y")
        yield b"x"

    staged = target.stream(file("slow", b"xx"), slow(), md5(), {})
    assert len(calls) == 1
    target.publish(staged, None)
    assert len(calls) == 2


def test_a_disk_that_says_no_leaves_nothing_to_publish(
    here: Site, target: PosixTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    staged = target.stage(file("file", b"x"), b"x", "", {})
    with monkeypatch.context() as patched:
        patched.setattr(kernel, "syncfs", broken)
        with pytest.raises(Transient, match="durable"):
            target.settle()
    with pytest.raises(Stale):
        target.publish(staged, None)
    assert visible(here.new) == [".convoy-unit.1"]


def test_a_name_taken_meanwhile_is_kept(here: Site, target: PosixTarget) -> None:
    staged = target.stage(file("file", b"ours"), b"ours", "", {})
    (here.new / "file").write_bytes(b"theirs")
    with pytest.raises(Occupied, match="by now"):
        target.publish(staged, None)
    assert (here.new / "file").read_bytes() == b"theirs"
    assert visible(here.new / ".convoy-unit.1") == []


def test_only_what_was_looked_at_is_replaced(here: Site, target: PosixTarget) -> None:
    over = put(target, "file", b"one")
    assert put(target, "file", b"two", over).size == 3
    assert (here.new / "file").read_bytes() == b"two"
    with pytest.raises(Occupied, match="changed"):
        put(target, "file", b"three", over)
    assert (here.new / "file").read_bytes() == b"two"
    (here.new / "file").unlink()
    with pytest.raises(Occupied, match="removed"):
        put(target, "file", b"three", over)
    assert visible(here.new) == [".convoy-unit.1"]


def test_a_directory_is_never_replaced_by_a_file(here: Site, target: PosixTarget) -> None:
    target.directory(folder("d"))
    with pytest.raises(Occupied, match="directory"):
        put(target, "d", b"x", target.look("d"))
    with pytest.raises(Occupied):
        put(target, "d", b"x")
    assert (here.new / "d").is_dir()


@pytest.mark.parametrize("what", ["link", "file"])
def test_a_directory_is_not_made_through_a_link_or_a_file(
    here: Site, target: PosixTarget, what: str
) -> None:
    outside = here.root / "outside"
    outside.mkdir()
    way = here.new / "way"
    way.symlink_to(outside) if what == "link" else way.touch()
    for act in (
        lambda: target.directory(folder("way")),
        lambda: target.directory(folder("way/below")),
        lambda: put(target, "way/file", b"x"),
        lambda: target.look("way/file"),
        lambda: target.seal(folder("way")),
    ):
        with pytest.raises(Occupied):
            act()
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("what", ["link", "file"])
def test_a_user_whose_place_is_a_link_or_a_file_is_refused(here: Site, what: str) -> None:
    (here.root / "outside").mkdir()
    here.new.symlink_to("../outside") if what == "link" else here.new.touch()
    with pytest.raises(Refused, match="alice"):
        here.target()


def test_a_shard_that_is_a_link_is_refused(here: Site) -> None:
    (here.root / "outside" / "alice").mkdir(parents=True)
    (here.root / "new" / "al").symlink_to("../outside")
    with pytest.raises(Refused, match="link"):
        PosixTarget(Template.parse(f"{here.root}/new/{{user:0:2}}/{{user}}"), "alice", "unit.1")


def test_a_place_is_made_with_its_shards_and_only_below_what_is_there(here: Site) -> None:
    target = PosixTarget(
        Template.parse(f"{here.root}/new/{{user:0:2}}/{{user}}/mail"), "alice", "unit.1"
    )
    assert target.look("") is None
    with pytest.raises(Missing):
        target.stage(file("file", b""), b"", EMPTY, {})
    assert target.directory(folder(""))
    assert not target.directory(folder(""))
    put(target, "file", b"x")
    target.finish()
    target.close()
    assert (here.root / "new" / "al" / "alice" / "mail" / "file").read_bytes() == b"x"
    with pytest.raises(Unmounted, match="absent"):
        PosixTarget(Template.parse(f"{here.root}/absent/{{user}}"), "alice", "unit.1")


def test_directories_are_private_until_they_are_sealed(here: Site, target: PosixTarget) -> None:
    assert target.directory(folder("a/b/c"))
    assert not target.directory(folder("a/b/c"))
    assert {(here.new / p).stat().st_mode & 0o7777 for p in ("", "a", "a/b", "a/b/c")} == {0o700}
    for path in ("a/b/c", "a/b", "a", ""):
        target.seal(folder(path, 0o1751))
    target.finish()
    target.close()
    for path in ("a/b/c", "a/b", "a", ""):
        found = (here.new / path).stat()
        assert (found.st_mode & 0o7777, found.st_mtime_ns) == (0o1751, MTIME)


def test_what_is_right_already_is_not_written_to(here: Site, target: PosixTarget) -> None:
    target.directory(folder("d"))
    held = put(target, "d/file", b"x")
    target.seal(folder("d"))
    target.seal(folder(""))
    target.close()
    before = {p: os.lstat(here.new / p).st_ctime_ns for p in ("", "d", "d/file")}
    again = here.target(token="unit.2")
    again.sweep("unit")
    assert not again.directory(folder(""))
    assert not again.directory(folder("d"))
    assert not again.adjust(file("d/file", b"x"), held, None)
    assert not again.adjust(file("d/file", b"x"), held, {})
    assert not again.adjust(folder("d"), again.look("d") or held, {})
    again.seal(folder("d"), {})
    again.seal(folder(""))
    again.finish()
    again.close()
    assert {p: os.lstat(here.new / p).st_ctime_ns for p in before} == before


def test_metadata_is_brought_in_line_and_contents_are_left(here: Site, target: PosixTarget) -> None:
    held = put(target, "file", b"x")
    inode = (here.new / "file").stat().st_ino
    item = file("file", b"x", mode=0o4755, mtime_ns=MTIME + 1)
    assert target.adjust(item, held, {"xattr:user.note": "aGk="})
    found = (here.new / "file").stat()
    assert (found.st_ino, found.st_mode & 0o7777, found.st_mtime_ns) == (inode, 0o4755, MTIME + 1)
    assert os.getxattr(here.new / "file", "user.note") == b"hi"
    now = target.look("file")
    assert now is not None
    assert target.adjust(item, now, {})
    assert os.listxattr(here.new / "file") == []
    (here.new / "file").write_bytes(b"theirs")
    with pytest.raises(Occupied, match="somebody else"):
        target.adjust(file("file", b"x"), now, None)


def test_a_links_own_time_is_brought_in_line(here: Site, target: PosixTarget) -> None:
    item = Item("link", Type.LINK, 0, MTIME, 0o777, os.geteuid(), os.getegid(), None, "x")
    held = target.publish(target.stage(item, b"", EMPTY, {}), None)
    later = item._replace(mtime_ns=MTIME + 5)
    assert target.adjust(later, held, {})
    assert not target.adjust(later, target.look("link") or held, {})
    assert (here.new / "link").lstat().st_mtime_ns == MTIME + 5


def test_a_further_name_is_the_same_file(here: Site, target: PosixTarget) -> None:
    put(target, "one", b"x")
    target.directory(folder("d"))
    held = target.hardlink(file("d/two", b"x"), "one", None)
    assert os.path.samefile(here.new / "one", here.new / "d" / "two")
    assert target.hardlink(file("d/two", b"x"), "one", target.look("d/two")) == held
    (here.new / "three").write_bytes(b"theirs")
    with pytest.raises(Occupied):
        target.hardlink(file("three", b"x"), "one", None)
    target.hardlink(file("three", b"x"), "one", target.look("three"))
    assert (here.new / "one").stat().st_nlink == 3
    with pytest.raises(Occupied, match="not any more"):
        target.hardlink(file("four", b"another"), "one", None)
    with pytest.raises(Missing):
        target.hardlink(file("four", b"x"), "nothing", None)
    assert visible(here.new / ".convoy-unit.1") == []


@pytest.mark.parametrize("number", [errno.EMLINK, errno.EXDEV, errno.EPERM])
def test_where_links_cannot_be_had_a_further_name_is_a_copy(
    here: Site, target: PosixTarget, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_args: object, **_more: object) -> None:
        raise OSError(number, os.strerror(number))

    put(target, "one", b"some data")
    monkeypatch.setattr(os, "link", refuse)
    target.hardlink(file("two", b"some data"), "one", None)
    assert (here.new / "two").read_bytes() == b"some data"
    assert (here.new / "two").stat().st_mtime_ns == MTIME


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EINVAL])
def test_a_link_stands_in_where_a_rename_cannot_refuse_to_replace(
    here: Site, target: PosixTarget, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def unknown(*_args: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(kernel, "rename_new", unknown)
    put(target, "file", b"ours")
    with pytest.raises(Occupied):
        put(target, "file", b"again")
    assert (here.new / "file").read_bytes() == b"ours"
    assert (here.new / "file").stat().st_nlink == 1
    monkeypatch.setattr(os, "link", lambda *_a, **_m: unknown_link())
    with pytest.raises(Denied, match="neither"):
        put(target, "other", b"x")


def unknown_link() -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("x" * 256, Refused),
        ("\ud800", Refused),
        ("a\0b", Refused),
        ("..", Refused),
        (".convoy-x", Refused),
        ("/etc/x", Refused),
        ("", Refused),
    ],
)
def test_a_name_that_cannot_be_is_refused_and_the_next_one_is_taken(
    here: Site, target: PosixTarget, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        put(target, name, b"x")
    put(target, "file", b"x")
    assert [n for n in visible(here.new) if not n.startswith(".convoy-")] == ["file"]


@pytest.mark.parametrize("name", ["\udcff\udcfe", "new\nline", "é" * 127, " ", "-rf", "*"])
def test_odd_names_arrive_unchanged(here: Site, target: PosixTarget, name: str) -> None:
    put(target, name, b"x")
    assert name in os.listdir(here.new)
    assert target.look(name) is not None


def test_what_is_not_as_long_as_it_was_listed_is_not_staged(
    here: Site, target: PosixTarget
) -> None:
    with pytest.raises(Changing):
        target.stage(file("file", b"abc"), b"ab", "", {})
    with pytest.raises(Changing):
        target.stream(file("file", b"abc"), iter([b"ab"]), md5(), {})
    assert not (here.new / ".convoy-unit.1").exists() or (
        visible(here.new / ".convoy-unit.1") == []
    )


def test_a_stream_that_breaks_leaves_nothing_behind(here: Site, target: PosixTarget) -> None:
    def breaking() -> Iterator[bytes]:
        yield b"x" * 10
        raise Changing("it moved")

    with pytest.raises(Changing, match="it moved"):
        target.stream(file("file", b"x" * 20), breaking(), md5(), {})
    assert visible(here.new / ".convoy-unit.1") == []


@pytest.mark.parametrize("large", [False, True])
def test_what_reads_back_different_is_corrupt(
    here: Site, target: PosixTarget, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    one, many = os.pwrite, os.pwritev

    def flipped(data: bytes) -> bytes:
        return bytes([data[0] ^ 1]) + bytes(data[1:])

    def pwrite(fd: int, data: bytes, at: int) -> int:
        return one(fd, flipped(data), at)

    def pwritev(fd: int, buffers: list[bytes], at: int, flags: int = 0) -> int:
        return many(fd, [flipped(data) for data in buffers], at, flags)

    def staged(data: bytes) -> Staged:
        if large:
            return target.stream(file("f", data), iter([data]), md5(), {})
        return target.stage(file("f", data), data, "", {})

    monkeypatch.setattr(os, "pwrite", pwrite)
    monkeypatch.setattr(os, "pwritev", pwritev)
    with pytest.raises(Corrupt, match="'f'"):
        staged(b"x" * 1000)
    assert visible(here.new / ".convoy-unit.1") == []


def test_reading_back_opens_nothing_but_files(here: Site, target: PosixTarget) -> None:
    (here.new / "link").symlink_to("/etc/passwd")
    os.mkfifo(here.new / "pipe")
    for path in ("link", "pipe"):
        with pytest.raises(Occupied):
            target.digest(path)
    with pytest.raises(Missing):
        target.digest("nothing")
    assert target.attributes("nothing") == {}


def test_reading_back_behind_the_cache_reads_the_same(here: Site, target: PosixTarget) -> None:
    put(target, "file", b"x" * 100_000)
    deep = PosixTarget(Template.parse(f"{here.root}/new"), "alice", "unit.2", drop_behind=True)
    assert deep.digest("file") == target.digest("file")
    deep.close()


def resident(path: Path, at: int = 0) -> bool:
    """Is a byte of this file in the page cache now? Skips where that cannot be asked."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.preadv(fd, [bytearray(1)], at, os.RWF_NOWAIT) == 1
    except BlockingIOError:
        return False
    except OSError as exc:
        pytest.skip(f"the page cache cannot be asked here: {exc}")
    finally:
        os.close(fd)


def test_reading_behind_the_cache_takes_nothing_from_it_and_leaves_nothing_there(
    here: Site, target: PosixTarget
) -> None:
    put(target, "file", os.urandom(3 << 20))
    path, ends = here.new / "file", (0, (3 << 20) - 1)
    deep = PosixTarget(Template.parse(f"{here.root}/new"), "alice", "unit.2", drop_behind=True)
    try:
        cuts = [(0, 1 << 20), (1 << 20, 3 << 20)]
        for read in (deep.digest, lambda name: list(deep.ranges(name, cuts))):
            path.read_bytes()
            assert all(resident(path, at) for at in ends)
            read("file")
            assert not any(resident(path, at) for at in ends)
        assert list(deep.ranges("file", cuts)) == list(target.ranges("file", cuts))
        assert deep.remarks() == {}
    finally:
        deep.close()


def test_what_the_cache_does_not_let_go_of_is_told(here: Site, target: PosixTarget) -> None:
    put(target, "file", b"x" * 100_000)
    deep = PosixTarget(Template.parse(f"{here.root}/new"), "alice", "unit.2", drop_behind=True)
    with (here.new / "file").open("r+b") as file, mmap.mmap(file.fileno(), 0) as held:
        assert held[0] == ord("x")  # a page that somebody has mapped stays
        assert resident(here.new / "file")
        assert deep.digest("file") == target.digest("file")
    assert deep.remarks() == {"contents: the page cache did not let go of them (--deep)": 1}
    deep.close()


def test_a_directory_replaced_while_we_work_in_it_is_noticed(
    here: Site, target: PosixTarget
) -> None:
    target.directory(folder("a/b"))
    put(target, "a/b/file", b"x")
    (here.new / "a" / "b").rename(here.new / "a" / "moved")
    (here.new / "a" / "b").mkdir()
    with pytest.raises(Transient, match="replaced"):
        target.finish()


def test_a_root_replaced_while_we_work_in_it_is_noticed(here: Site, target: PosixTarget) -> None:
    put(target, "file", b"x")
    here.new.rename(here.root / "new" / "bob")
    here.new.mkdir()
    with pytest.raises(Transient, match="replaced"):
        target.finish()
    assert list(here.new.iterdir()) == []


def test_a_directory_removed_before_publishing_is_tried_again(
    here: Site, target: PosixTarget
) -> None:
    target.directory(folder("d"))
    staged = target.stage(file("d/file", b"x"), b"x", "", {})
    (here.new / "d").rmdir()
    with pytest.raises(Transient, match="removed"):
        target.publish(staged, None)


def test_many_directories_are_made_durable_with_few_handles(
    here: Site, target: PosixTarget
) -> None:
    for number in range(1500):
        path = f"{number % 40}/{number}"
        target.directory(folder(path))
        if number % 10 == 0:
            put(target, f"{path}/file", b"x")
    target.finish()
    assert len(os.listdir("/proc/self/fd")) < 400
    assert sum(len(files) for _, _, files in os.walk(here.new)) == 150


def test_a_poorer_user_keeps_what_it_may(here: Site) -> None:
    here.new.mkdir()
    with unprivileged(here.new):
        target = here.target()
        item = file("file", b"x", mode=0o6755, uid=12345, gid=54321)
        held = target.publish(target.stage(item, b"x", "", {}), None)
        assert held.uid == os.geteuid()
        assert held.mode == 0o755  # no set-id bit for a file that has not got its owner
        assert not target.adjust(item, held, None)
        target.close()


def test_directories_that_lock_their_owner_out_are_opened_while_needed(here: Site) -> None:
    here.new.mkdir()
    with unprivileged(here.new):
        first = here.target()
        first.directory(folder("shut/inner"))
        for path in ("shut/inner", "shut", ""):
            first.seal(folder(path, 0o555))
        first.close()
        again = here.target(token="unit.2")
        put(again, "shut/inner/file", b"x")
        again.directory(folder("shut/new"))
        again.finish()
        again.seal(folder("shut/inner", 0o500))
        again.close()
        modes = {p: (here.new / p).stat().st_mode & 0o777 for p in ("", "shut", "shut/inner")}
    assert modes == {"": 0o555, "shut": 0o555, "shut/inner": 0o500}


def test_a_target_may_not_write_where_it_is_not_let(here: Site) -> None:
    here.new.mkdir()
    (here.new / "theirs").mkdir()
    with unprivileged(here.new):
        target = here.target()
        with pytest.raises(Denied):
            put(target, "theirs/file", b"x")
        with pytest.raises(Denied):
            target.directory(folder("theirs/d"))
        target.close()


def test_something_staged_elsewhere_is_not_published(target: PosixTarget) -> None:
    class Other:
        path = "file"
        held = Held(Type.FILE)

    with pytest.raises(TypeError):
        target.publish(Other(), None)


def test_a_tree_of_any_depth_arrives(here: Site) -> None:
    levels, handle = 1100, os.open(here.old, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("a-name-of-20-letters", dir_fd=handle)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=handle))
        deeper = os.open("a-name-of-20-letters", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = deeper
    os.close(handle)
    done = here.haul()
    assert done.failed == {}
    assert len(done.moved) == levels
    found = PosixSource(Template.parse(f"{here.root}/new"), "alice").walk()
    assert sum(1 for _ in found) == 2 * levels + 1
