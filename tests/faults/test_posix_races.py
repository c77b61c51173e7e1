"""Names that are swapped for links at any moment never lead out of a user's place.

The swapping is real: another process exchanges a directory (or file) and a link to the outside
as fast as the kernel lets it, while we walk, read, make and publish.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from common.endpoints.place import Held, Item, Type
from common.endpoints.posix import PosixSource, PosixTarget
from common.errors import ConvoyError
from common.model import Failure
from tests.posix import Site, site

ROUNDS = 150
SECRET = b"SECRET"


@pytest.fixture
def here() -> Iterator[Site]:
    """A site with something outside that must neither be read nor written."""
    with site() as made:
        (made.root / "outside").mkdir()
        (made.root / "outside" / "inside").write_bytes(SECRET)
        (made.root / "new" / "alice").mkdir()
        yield made


@contextmanager
def swapping(here: Site, one: str, other: str) -> Iterator[None]:
    """While another process exchanges two names below the site."""
    argv = [sys.executable, "-m", "tests.faults.posix_child", "swap", str(here.root)]
    with subprocess.Popen(
        [*argv, f"{one}:{other}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == b"swapping\n"
        try:
            yield
        finally:
            child.stdin.close()
            assert child.wait() == 0


def rounds(act: Callable[[int], object], *wanted: str) -> set[str]:
    """How `act` ends, again and again, until it has ended in all the `wanted` ways: the race is
    only won by luck, so it is run until the luck was on either side."""
    outcomes: set[str] = set()
    number, deadline = 0, time.monotonic() + 30
    while number < ROUNDS or not outcomes >= set(wanted):
        assert time.monotonic() < deadline, f"never {set(wanted) - outcomes}"
        try:
            act(number)
            outcomes.add("done")
        except ConvoyError as error:
            outcomes.add(type(error).__name__)
        number += 1
    return outcomes


def everything(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in (root, *root.rglob("*"))
    }


def file(path: str) -> Item:
    return Item(path, Type.FILE, 1, 10**18, 0o644)


def put(target: PosixTarget, path: str, over: Held | None = None) -> Held:
    return target.publish(target.stage(file(path), b"x", "", {}), over)


def test_a_directory_swapped_for_a_link_is_never_walked_outside(here: Site) -> None:
    (here.old / "way" / "deep").mkdir(parents=True)
    (here.old / "way" / "inside").write_bytes(b"alice's")
    (here.old / "other").symlink_to(here.root / "outside")
    types: set[Type] = set()

    def read(source: PosixSource, item: Item) -> None:
        with suppress(ConvoyError), source.open(item) as content:
            assert content.whole() == b"alice's"

    def walk(_number: int) -> None:
        source = here.source()
        for found in source.walk():
            if isinstance(found, Failure):
                continue
            if found.path == "way":
                types.add(found.type)
            if found.type is Type.FILE:
                read(source, found)

    with swapping(here, "old/alice/way", "old/alice/other"):
        rounds(walk)
    assert types == {Type.DIRECTORY, Type.LINK}


def test_a_file_swapped_for_a_link_is_never_read_outside(here: Site) -> None:
    (here.old / "file").write_bytes(b"alice's")
    (here.old / "other").symlink_to(here.root / "outside" / "inside")
    source = here.source()
    item = source.look("file")
    assert item is not None
    item = item._replace(version="")

    def read(_number: int) -> None:
        with source.open(item) as content:
            assert content.whole() == b"alice's"

    with swapping(here, "old/alice/file", "old/alice/other"):
        rounds(read, "done", "Changing")


@pytest.mark.parametrize("act", ["directory", "publish", "hardlink", "seal", "digest"])
def test_nothing_is_ever_made_or_set_or_published_outside(here: Site, act: str) -> None:
    (here.new / "way").mkdir()
    (here.new / "other").symlink_to(here.root / "outside")
    before = everything(here.root / "outside")

    def work(number: int) -> None:
        target = here.target(token=f"unit.{number}")
        folder = Item(f"way/d{number}", Type.DIRECTORY, 0, 10**18, 0o755)
        try:
            target.directory(folder)
            if act == "publish":
                put(target, f"way/f{number}")
            elif act == "hardlink":
                put(target, f"first{number}")
                target.hardlink(file(f"way/f{number}"), f"first{number}", None)
            elif act == "seal":
                target.seal(folder._replace(mode=0o700))
            elif act == "digest":
                target.digest("way/inside")
            target.finish()
        finally:
            target.close()

    with swapping(here, "new/alice/way", "new/alice/other"):
        rounds(work, "Missing" if act == "digest" else "done", "Occupied")
    assert everything(here.root / "outside") == before


def test_a_name_swapped_for_a_link_is_replaced_and_never_written_through(here: Site) -> None:
    (here.new / "other").symlink_to(here.root / "outside" / "inside")
    target = here.target()
    put(target, "file")
    before = everything(here.root / "outside")

    def replace(_number: int) -> None:
        held = put(target, "file", target.look("file"))
        target.adjust(file("file")._replace(mode=0o600), held, None)

    with swapping(here, "new/alice/file", "new/alice/other"):
        rounds(replace, "done")
    target.close()
    assert everything(here.root / "outside") == before


def test_a_users_place_swapped_for_a_link_is_refused_or_the_right_one(here: Site) -> None:
    (here.root / "new" / "mallory").symlink_to(here.root / "outside")
    before = everything(here.root / "outside")

    def work(number: int) -> None:
        target = here.target(token=f"unit.{number}")
        put(target, f"f{number}")
        target.finish()
        target.close()

    with swapping(here, "new/alice", "new/mallory"):
        rounds(work, "done", "Refused")
    assert everything(here.root / "outside") == before
