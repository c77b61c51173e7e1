"""The demonstration's own witnesses can be believed: they see what differs, and harm no more."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.demo import mischief, trees
from ops.demo.compare import differences


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two trees that are alike, to the nanosecond."""
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "a").mkdir(parents=True)
    (old / "a/file").write_bytes(b"contents" * 30)
    (old / "a/link").symlink_to("file")
    os.link(old / "a/file", old / "a/again")
    for path in (old / "a/file", old / "a"):
        os.utime(path, ns=(10**18, 10**18 + 7))
    shutil.copytree(old, new, symlinks=True)
    (new / "a/again").unlink()
    os.link(new / "a/file", new / "a/again")
    for name in ("a/link", "a/file", "a"):
        at = (old / name).lstat().st_mtime_ns
        os.utime(new / name, ns=(at, at), follow_symlinks=False)
    return old, new


def test_trees_that_are_alike_show_no_difference(pair: tuple[Path, Path]) -> None:
    assert differences(str(pair[0]), str(pair[1])) == {}


def _separate(new: Path) -> None:
    at = (new / "a").stat().st_mtime_ns
    (new / "a/again").unlink()
    shutil.copy2(new / "a/file", new / "a/again")
    os.utime(new / "a", ns=(at, at))


def _relink(new: Path) -> None:
    (new / "a/link").unlink()
    (new / "a/link").symlink_to("elsewhere")


@pytest.mark.parametrize(
    ("change", "path", "aspect"),
    [
        (lambda new: mischief.damage(os.fsencode(new / "a/file")), "a/file", "contents"),
        (lambda new: (new / "a/file").chmod(0o600), "a/file", "mode"),
        (lambda new: os.utime(new / "a", ns=(0, 1)), "a", "time"),
        (lambda new: (new / "a/more").touch(), "a/more", "only on the target"),
        (lambda new: (new / "a/link").unlink(), "a/link", "only at the source"),
        (_relink, "a/link", "link"),
        (_separate, "a/again", "names shared"),
        (lambda new: mischief.overwrite(os.fsencode(new / "a/file"), b"x"), "a/file", "length"),
    ],
)
def test_every_kind_of_difference_is_seen(
    pair: tuple[Path, Path], change: Callable[[Path], object], path: str, aspect: str
) -> None:
    change(pair[1])
    assert aspect in differences(str(pair[0]), str(pair[1]))[path]


def test_damage_is_one_bit_and_leaves_length_and_time_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    before = path.stat()
    mischief.damage(os.fsencode(path))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert sum(byte.bit_count() for byte in path.read_bytes()) == 1


def test_the_same_seed_makes_the_same_users_and_counts_what_it_made(tmp_path: Path) -> None:
    made = [trees.plant(str(tmp_path / name), seed=3) for name in ("one", "two")]
    assert made[0] == made[1]
    assert differences(str(tmp_path / "one"), str(tmp_path / "two")) == {}
    assert len(set(made[0].users)) == trees.USERS
    files = links = folders = size = 0
    for folder, below, names in os.walk(os.fsencode(tmp_path / "one")):
        folders += 1
        paths = [os.path.join(folder, name) for name in [*names, *below]]
        links += sum(map(os.path.islink, paths))
        plain = [p for p in paths if os.path.isfile(p) and not os.path.islink(p)]
        files += len(plain)
        size += sum(map(os.path.getsize, plain))
    counted = (files, links, folders - 1, size)  # without the folder of all users
    assert counted == (made[0].files, made[0].links, made[0].folders, made[0].bytes)


def test_nobody_elses_process_is_ours() -> None:
    assert not mischief.is_ours(1)
    assert not mischief.is_ours(os.getppid())
    assert not mischief.is_ours(0)
    assert mischief.parent(os.getpid()) == os.getppid()
