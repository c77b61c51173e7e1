"""Users between files and an object store: ordinary ones, huge ones, huge files, and back."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from common import failpoints
from common.queue.broker import Broker
from ops.cli import show
from ops.report import report
from tests.servers.s3 import Store
from tests.trees import differences, plant
from tests.world import World


@pytest.fixture
def small(tmp_path: Path, broker: Broker, moto: Store, prefix: str) -> Iterator[World]:
    """To a bucket; users of more than 60 items or 8 MiB are huge."""
    world = World(tmp_path, broker, unit_items=60, unit_bytes=8 << 20, range_bytes=16 << 20)
    world.target = moto.url(prefix.strip("/"))
    yield world
    failpoints.disarm()
    world.store.close()


def back(world: World, *users: str) -> None:
    """From the bucket into a second folder."""
    world.source, world.target = world.target, f"file://{world.new}"
    migration = world.migrate(*users)
    assert world.states(migration) == {"done"}, world.failures(migration)


def film(user: Path) -> Path:
    user.mkdir(exist_ok=True)
    path = user / "film"
    path.write_bytes(b"".join(os.urandom(1 << 20) for _ in range(40)))
    os.utime(path, ns=(10**18, 10**18))
    return path


def but_hard_links(found: list[str]) -> list[str]:
    """Each name of a hard-linked file is an object of its own, and names must be UTF-8."""
    odd = ("other names", "links", "only in", "xattr")
    return [line for line in found if not any(word in line for word in odd)]


def fit_for_moto(user: Path) -> None:
    """A small tree with one of everything but a name with a line break, which moto cannot find."""
    plant(user)
    (user / "docs" / "new\nline").unlink()
    os.utime(user / "docs", ns=(10**18, 10**18))


def test_a_tree_arrives_in_a_bucket_and_comes_back_as_it_was(small: World) -> None:
    fit_for_moto(small.old / "ann")
    first = small.migrate("ann")
    assert list(small.failures(first)) == ["not-utf8-\\xff"]
    back(small, "ann")
    assert but_hard_links(differences(small.old / "ann", small.new / "ann")) == []


def test_a_second_run_into_a_bucket_moves_nothing(small: World) -> None:
    fit_for_moto(small.old / "ann")
    os.unlink(os.fsencode(small.old / "ann") + b"/not-utf8-\xff")
    first = small.migrate("ann")
    second = small.migrate("ann")
    assert small.counts(second).skipped == small.counts(first).items
    assert small.digest(first) == small.digest(second) != ""


def test_a_huge_user_arrives_in_a_bucket_and_comes_back(small: World) -> None:
    for number in range(200):
        folder = small.old / "ann" / f"d{number % 9}"
        folder.mkdir(parents=True, exist_ok=True)
        folder.joinpath(f"f{number}").write_bytes(b"%d" % number * 20)
    first = small.migrate("ann")
    assert small.states(first) == {"done"}
    assert small.jobs(first).count("span") >= 4
    assert small.counts(first).moved == 200
    assert small.counts(small.migrate("ann")).moved == 0
    back(small, "ann")
    assert but_hard_links(differences(small.old / "ann", small.new / "ann")) == []


@pytest.mark.parametrize("files", [3, 100])
def test_what_the_target_could_not_keep_is_counted_in_the_report(small: World, files: int) -> None:
    """Of a user in one piece or in many: each loss once, in words that do not grow with it."""
    home = small.old / "ann"
    home.mkdir()
    for number in range(files):
        (home / f"f{number}").write_bytes(b"%d" % number)
        os.setxattr(home / f"f{number}", "user.note", b"x")
    migration = small.migrate("ann")
    assert small.states(migration) == {"done"}
    found = report(small.desk(), small.ground.migrations.get(migration.id))
    assert found["remarks"] == {"xattr: not kept by the target": files}
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(show.report(found))
    assert f"xattr: not kept by the target ({files} times)" in console.export_text()
    assert report(small.desk(), small.migrate("ann"))["remarks"] == {}


def test_a_huge_file_is_joined_from_its_ranges_and_comes_back(small: World) -> None:
    film(small.old / "ann")
    first = small.migrate("ann")
    assert small.states(first) == {"done"}, small.failures(first)
    assert small.jobs(first).count("range") == 3
    second = small.migrate("ann")
    assert (small.counts(second).moved, small.counts(second).skipped) == (0, 1)
    back(small, "ann")
    assert (small.new / "ann" / "film").read_bytes() == (small.old / "ann" / "film").read_bytes()


def test_a_huge_file_that_changes_between_its_ranges_arrives_as_it_is_at_the_end(
    small: World,
) -> None:
    path = film(small.old / "ann")

    def change() -> None:
        failpoints.disarm()
        with path.open("r+b") as file:
            file.write(b"changed")

    failpoints.arm("users.ranged", change)
    assert small.states(small.migrate("ann")) == {"done"}
    back(small, "ann")
    assert (small.new / "ann" / "film").read_bytes() == path.read_bytes()
