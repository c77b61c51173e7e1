"""The seams of the posix endpoint: errors, durability, names that fold."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from common.clock import Clock
from common.digest import md5
from common.endpoints.place import Item, Type
from common.endpoints.posix import kernel
from common.endpoints.posix.directories import Directories, Handle
from common.endpoints.posix.durability import Durability, reports
from common.endpoints.posix.folding import spelled
from common.endpoints.posix.translation import ours
from common.errors import ConvoyError, Denied, Missing, Occupied, Refused, Transient
from tests.posix import Site, site

ROOT = Item("", Type.DIRECTORY, 0, 10**18, 0o755, os.geteuid(), os.getegid())
FILE = Item("file", Type.FILE, 1, 10**18, 0o644, os.geteuid(), os.getegid())


@pytest.fixture
def here() -> Iterator[Site]:
    with site() as made:
        made.target().directory(ROOT)
        yield made


def handle(path: object) -> Handle:
    return Handle(os.open(str(path), os.O_RDONLY))


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, Missing),
        (errno.EACCES, Denied),
        (errno.EPERM, Denied),
        (errno.EROFS, Denied),
        (errno.ENAMETOOLONG, Refused),
        (errno.EILSEQ, Refused),
        (errno.EINVAL, Refused),
        (errno.ELOOP, Refused),
        (errno.ENOTDIR, Refused),
        (errno.EFBIG, Refused),
        (errno.EEXIST, Occupied),
        (errno.EIO, Transient),
        (errno.ESTALE, Transient),
        (errno.EMFILE, Transient),
        (errno.ENOSPC, Transient),
        (errno.EDQUOT, Transient),
        (errno.ECONNRESET, Transient),
    ],
)
def test_every_error_says_what_to_what_and_what_to_do(number: int, kind: type[ConvoyError]) -> None:
    error = ours(OSError(number, os.strerror(number)), "writing 'x'", place="/srv")
    assert type(error) is kind
    assert "writing 'x'" in str(error)
    assert os.strerror(number) in str(error)
    assert error.hint


def test_a_full_disk_says_what_is_full(here: Site) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    fd = os.open(here.root, os.O_RDONLY)
    try:
        assert "/srv is full (" in ours(full, "x", fd=fd, place="/srv").hint
    finally:
        os.close(fd)
    assert "quota on /srv" in ours(OSError(errno.EDQUOT, ""), "x", place="/srv").hint


def test_a_name_that_no_file_system_holds_is_refused() -> None:
    assert isinstance(ours(ValueError("embedded null byte"), "x"), Refused)


@pytest.mark.parametrize(
    ("release", "does"),
    [("5.8.0", True), ("6.1.0-18-amd64", True), ("5.4.0", False), ("4.19", False), ("odd", False)],
)
def test_a_kernel_whose_syncfs_hides_failures_is_not_trusted(release: str, does: bool) -> None:
    assert reports(release) is does


def test_where_syncfs_is_not_trusted_every_file_is_synced(
    here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fsync

    def counted(fd: int) -> None:
        synced.append(fd)
        real(fd)

    target = here.target()
    target._ground.durability.together = False
    works = [target.stage(FILE._replace(path=str(number)), b"x", "", {}) for number in range(40)]
    monkeypatch.setattr(os, "fsync", counted)
    target.settle()
    assert len(synced) == 40
    for staged in works:
        target.publish(staged, None)
    target.finish()
    assert len(synced) == 41
    target.close()


def test_an_fsync_that_fails_leaves_nothing_to_publish(
    here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    target = here.target()
    target._ground.durability.together = False
    target.stage(FILE, b"x", "", {})
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(Transient):
        target.settle()
    assert os.listdir(here.new / ".convoy-unit.1") == []


def test_a_syncfs_that_waits_for_others_is_left_for_fsync(here: Site) -> None:
    ticks = iter([0.0, 10.0, 10.0, 20.0])
    durability = Durability(handle(here.new), Clock(tick=lambda: next(ticks)))
    if not durability.together:
        pytest.skip("syncfs is not trusted here anyway")
    durability.settle(-1, [], 1 << 30)
    assert durability.together
    durability.settle(-1, [], 1 << 10)
    assert not durability.together


def test_what_was_written_does_not_stay_in_the_cache(
    here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[str] = []
    real = kernel.forget

    def noted(directory: int, name: str) -> None:
        forgotten.append(name)
        real(directory, name)

    monkeypatch.setattr(kernel, "forget", noted)
    target = here.target()
    target.publish(target.stage(FILE, b"x", "", {}), None)
    assert forgotten == ["1"]
    target.close()


def test_a_kernel_that_cannot_spare_the_cache_serves_as_well(
    here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, write = os.preadv, os.pwritev

    def preadv(fd: int, buffers: list[bytearray], at: int, flags: int = 0) -> int:
        if flags:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return read(fd, buffers, at)

    def pwritev(fd: int, buffers: list[bytes], at: int, flags: int = 0) -> int:
        if flags:
            raise OSError(errno.EINVAL, "Invalid argument")
        return write(fd, buffers, at)

    monkeypatch.setattr(os, "pwritev", pwritev)
    monkeypatch.setattr(os, "preadv", preadv)
    target = here.target()
    target.publish(target.stream(FILE, iter([b"x"]), md5(), {}), None)
    assert (here.new / "file").read_bytes() == b"x"
    target.close()


def test_an_error_of_a_write_is_not_taken_for_a_missing_feature(
    here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwritev", full)
    target = here.target()
    with pytest.raises(Transient, match="staging 'file'") as caught:
        target.stream(FILE, iter([b"x"]), md5(), {})
    assert "full" in caught.value.hint
    target.close()


def test_names_that_fold_into_another_are_refused(
    here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folding file system shows one name and finds it by another: here by a hidden link."""
    (here.new / "README").write_bytes(b"x")
    os.link(here.new / "README", here.new / "readme")
    real = os.listdir
    monkeypatch.setattr(os, "listdir", lambda at: [n for n in real(at) if n != "readme"])
    target = here.target()
    assert target.look("README") is not None
    with pytest.raises(Refused, match="readme"):
        target.look("readme")
    staged = target.stage(FILE._replace(path="readme"), b"x", "", {})
    with pytest.raises(Refused, match="the same to its file system"):
        target.publish(staged, None)
    target.publish(target.stage(FILE, b"x", "", {}), None)
    assert target.look("file") is not None  # ours, published since the directory was listed
    target.close()


def test_unicode_forms_that_fold_are_noticed(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    composed, split = "caf\u00e9", "cafe\u0301"
    (here.new / composed).touch()
    os.link(here.new / composed, here.new / split)
    monkeypatch.setattr(os, "listdir", lambda _at: [composed])
    directory = handle(here.new)
    assert spelled(directory, composed)
    assert not spelled(directory, split)


def test_names_are_not_taken_to_fold_where_they_do_not(here: Site) -> None:
    for name in ("README", "readme", "123", "\u00e9", "e\u0301"):
        (here.new / name).touch()
    directory = handle(here.new)
    assert all(map(lambda name: spelled(directory, name), os.listdir(here.new)))
    assert directory.folds is False


def test_handles_in_use_survive_being_dropped(here: Site) -> None:
    for number in range(20):
        (here.new / str(number)).mkdir()
    directories = Directories(handle(here.new), kept=4)
    first = directories.get("0")
    for number in range(20):
        directories.get(str(number))
    os.fstat(first.fd)
    number, before = first.fd, len(os.listdir("/proc/self/fd"))
    del first
    assert len(os.listdir("/proc/self/fd")) == before - 1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_many_threads_at_once_put_everything_where_it_belongs(here: Site) -> None:
    """Directories are dropped and opened again all the time while others work in them."""
    target = here.target()
    target._ground.tree = Directories(target._ground.top(), kept=4)
    items = [
        Item(f"{n % 13}/{n % 7}/{n}", Type.FILE, len(str(n)), 10**18, 0o644) for n in range(600)
    ]

    def carry(item: Item) -> None:
        name = item.path.rpartition("/")[2].encode()
        target.directory(ROOT._replace(path=item.path.rpartition("/")[0]))
        assert target.look(item.path) is None
        target.publish(target.stage(item, name, "", {}), None)
        assert target.digest(item.path) == (md5(name).hexdigest(), len(name))

    with ThreadPoolExecutor(8) as lanes:
        list(lanes.map(carry, items))
    target.finish()
    target.close()
    assert sum(len(files) for _, _, files in os.walk(here.new)) == 600
    assert all((here.new / i.path).read_text() == i.path.rpartition("/")[2] for i in items)
