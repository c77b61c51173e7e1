"""Nobody's data ever ends up in another's place, whatever the list or the trees contain."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from common import failpoints
from common.model import Kind
from common.queue.broker import Broker
from producer.intake import Accepted, Intake, Order
from tests.trees import differences, plant
from tests.world import World

SECRET = b"bob's secret"


@pytest.fixture
def world(tmp_path: Path, broker_url: str) -> Iterator[World]:
    broker = Broker(broker_url)
    world = World(tmp_path, broker)
    plant(world.old / "ann")
    (world.old / "bob").mkdir()
    (world.old / "bob" / "secret").write_bytes(SECRET)
    yield world
    failpoints.disarm()
    world.store.close()
    broker.close()


def accept(world: World, *lines: str) -> Accepted:
    ground = world.ground
    intake = Intake(ground.migrations, ground.units, ground.events, world.settings)
    accepted = intake.accept(Order(str(world.old), str(world.new), Kind.USERS), lines)
    world.work(accepted.migration)
    return accepted


def leaked(world: World, *, beside: str) -> list[str]:
    """Where on the target the secret is, but in the place of `beside`."""
    return [
        str(path)
        for path in world.new.rglob("*")
        if path.is_file() and not path.is_symlink() and SECRET in path.read_bytes()
        if not path.is_relative_to(world.new / beside)
    ]


def test_hostile_lines_are_refused_by_number_and_the_rest_is_moved(world: World) -> None:
    lines = [
        "../bob",
        "ann",
        "",
        ".",
        "..",
        "a/b",
        "x\0y",
        "bob\n",
        "\udcff",
        ".convoy-x",
        "y" * 256,
    ]
    accepted = accept(world, *lines)
    assert accepted.refused == 10
    assert [refusal.line for refusal in accepted.refusals] == [1, *range(3, 12)]
    assert all(refusal.reason for refusal in accepted.refusals)
    assert differences(world.old / "ann", world.new / "ann") == []
    assert [p.name for p in world.new.iterdir()] == ["ann"]


def test_a_user_named_twice_is_moved_once(world: World) -> None:
    accepted = accept(world, "bob", "bob", "bob")
    sums = world.ground.units.sums(accepted.migration)
    assert (sums.done, sums.counts.items) == (1, 1)


def test_links_to_another_user_stay_links(world: World) -> None:
    (world.old / "ann" / "theirs").symlink_to("../bob/secret")
    (world.old / "ann" / "all-of-theirs").symlink_to(world.old / "bob")
    accept(world, "ann")
    assert os.readlink(world.new / "ann" / "theirs") == "../bob/secret"
    assert os.readlink(world.new / "ann" / "all-of-theirs") == str(world.old / "bob")
    assert leaked(world, beside="bob") == []


def test_a_hard_link_across_users_becomes_two_files_that_share_nothing(world: World) -> None:
    os.link(world.old / "bob" / "secret", world.old / "ann" / "shared")
    accept(world, "ann", "bob")
    shared = (world.new / "ann" / "shared").stat()
    assert (world.new / "ann" / "shared").read_bytes() == SECRET  # ann could read it before, too
    assert shared.st_nlink == 1
    assert shared.st_ino != (world.new / "bob" / "secret").stat().st_ino


def test_a_file_that_becomes_a_link_while_it_is_read_never_leads_elsewhere(world: World) -> None:
    victim = world.old / "ann" / "notes.txt"

    def swap() -> None:
        victim.unlink(missing_ok=True)
        victim.symlink_to("../bob/secret")

    failpoints.arm("users.read", swap)
    accept(world, "ann")
    assert leaked(world, beside="bob") == []
    assert (world.new / "ann" / "sparse").exists()


def test_a_folder_that_becomes_a_link_while_we_look_never_leads_elsewhere(world: World) -> None:
    (world.old / "ann" / "docs" / "secret").write_bytes(b"my own one")

    def swap() -> None:
        failpoints.disarm()
        (world.old / "ann" / "docs").rename(world.old / "ann" / "moved")
        (world.old / "ann" / "docs").symlink_to("../bob")

    failpoints.arm("users.read", swap)
    accept(world, "ann")
    assert leaked(world, beside="bob") == []


def test_a_target_folder_that_became_a_link_is_not_written_through(world: World) -> None:
    (world.new / "ann").mkdir()
    (world.new / "bob").mkdir()
    (world.new / "ann" / "docs").symlink_to("../bob")
    accepted = accept(world, "ann")
    assert list((world.new / "bob").iterdir()) == []
    assert any(name.startswith("docs/") for name in world.failures(accepted.migration))
    assert (world.new / "ann" / "sparse").exists()


def test_names_that_are_ours_are_refused_by_name_and_the_rest_is_moved(world: World) -> None:
    (world.old / "ann" / ".convoy-unit.1").write_text("mine")
    accepted = accept(world, "ann")
    assert list(world.failures(accepted.migration)) == [".convoy-unit.1"]
    assert (world.new / "ann" / "notes.txt").exists()


def test_odd_names_arrive_as_they_are(world: World) -> None:
    for name in (
        b"new\nline",
        b"x" * 255,
        b"-rf *",
        b"\xff\xfe",
        "é".encode(),
        b"e\xcc\x81",
        b"A",
        b"a",
    ):
        Path(os.fsdecode(os.fsencode(world.old / "bob") + b"/" + name)).write_bytes(name)
    accept(world, "bob")
    assert differences(world.old / "bob", world.new / "bob") == []
