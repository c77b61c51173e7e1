"""What happens to users, end to end through runner and dispatcher rules, on real file trees."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from common import failpoints
from common.errors import Stale
from common.lifecycle.units import State
from common.queue.broker import Broker
from ops.verification import verification
from tests.trees import differences, plant
from tests.world import World


@pytest.fixture
def world(tmp_path: Path, broker: Broker) -> Iterator[World]:
    world = World(tmp_path, broker)
    yield world
    failpoints.disarm()
    world.store.close()


@pytest.fixture
def small(tmp_path: Path, broker: Broker) -> Iterator[World]:
    """A world in which users of more than 40 items or 8 MiB are huge."""
    world = World(tmp_path, broker, unit_items=40, unit_bytes=8 << 20, range_bytes=16 << 20)
    yield world
    failpoints.disarm()
    world.store.close()


def crowd(root: Path, files: int) -> None:
    """A user with many files in some folders, hard links among them."""
    plant(root)
    for number in range(files):
        folder = root / f"d{number % 7}" / "x"
        folder.mkdir(parents=True, exist_ok=True)
        folder.joinpath(f"f{number}").write_bytes(b"%d" % number * 50)
    for number in range(0, files, 10):
        os.link(root / f"d{number % 7}" / "x" / f"f{number}", root / f"link{number}")


def test_every_user_arrives_in_its_own_place(world: World) -> None:
    for user in ("ann", "bob", "ä user with spaces"):
        plant(world.old / user)
    migration = world.migrate("ann", "bob", "ä user with spaces")
    assert world.states(migration) == {"done"}
    assert differences(world.old, world.new) != []  # the roots' own times are nobody's
    for user in ("ann", "bob", "ä user with spaces"):
        assert differences(world.old / user, world.new / user) == []


def test_a_user_that_is_not_there_is_reported_and_the_others_are_moved(world: World) -> None:
    plant(world.old / "ann")
    migration = world.migrate("ann", "nobody")
    assert differences(world.old / "ann", world.new / "ann") == []
    assert list(world.failures(migration)) == ["nobody"]
    assert not (world.new / "nobody").exists()


def test_a_user_that_is_a_link_to_another_is_refused(world: World) -> None:
    plant(world.old / "ann")
    (world.old / "eve").symlink_to("ann")
    migration = world.migrate("ann", "eve")
    assert list(world.failures(migration)) == ["eve"]
    assert not (world.new / "eve").exists()


def test_what_somebody_else_put_on_the_target_is_kept_and_reported(world: World) -> None:
    plant(world.old / "ann")
    (world.new / "ann").mkdir()
    (world.new / "ann" / "notes.txt").write_text("mine")
    migration = world.migrate("ann")
    assert (world.new / "ann" / "notes.txt").read_text() == "mine"
    assert "notes.txt" in world.failures(migration)
    assert world.states(migration) == {"quarantined"}
    assert (world.new / "ann" / "sparse").exists()


def test_with_overwrite_the_source_wins(world: World) -> None:
    plant(world.old / "ann")
    (world.new / "ann").mkdir()
    (world.new / "ann" / "notes.txt").write_text("mine")
    migration = world.migrate("ann", overwrite=True)
    assert world.states(migration) == {"done"}
    assert differences(world.old / "ann", world.new / "ann") == []


def test_a_file_that_changed_at_the_source_is_moved_again(world: World) -> None:
    plant(world.old / "ann")
    world.migrate("ann")
    (world.old / "ann" / "nothing").write_text("something")
    second = world.migrate("ann")
    assert world.counts(second).moved == 1
    assert differences(world.old / "ann", world.new / "ann") == []


def test_a_file_that_vanished_at_the_source_stays_on_the_target(world: World) -> None:
    plant(world.old / "ann")
    world.migrate("ann")
    (world.old / "ann" / "nothing").unlink()
    second = world.migrate("ann")
    assert world.states(second) == {"done"}
    assert (world.new / "ann" / "nothing").exists()


def test_a_foreign_change_on_the_target_is_a_conflict_and_never_overwritten(world: World) -> None:
    plant(world.old / "ann")
    world.migrate("ann")
    (world.new / "ann" / "notes.txt").write_text("somebody wrote this")
    second = world.migrate("ann")
    assert (world.new / "ann" / "notes.txt").read_text() == "somebody wrote this"
    assert "notes.txt" in world.failures(second)
    assert world.counts(second).moved == 0


def test_a_truncated_file_is_found_and_never_reported_as_moved(world: World) -> None:
    plant(world.old / "ann")
    world.migrate("ann")
    os.truncate(world.new / "ann" / "notes.txt", 5)
    second = world.migrate("ann")
    assert "notes.txt" in world.failures(second)
    assert world.counts(second).moved == 0


@pytest.mark.parametrize("check", ["md5", "manifest", "mtime", "size"])
def test_a_second_run_moves_nothing_by_any_check(world: World, check: str) -> None:
    plant(world.old / "ann")
    first = world.migrate("ann")
    second = world.migrate("ann", check=check)
    assert world.counts(second).skipped == world.counts(first).items
    assert world.digest(first) == world.digest(second) != ""


def test_the_digest_does_not_depend_on_how_the_work_was_cut(tmp_path: Path, broker: Broker) -> None:
    digests = set()
    for name, most in (("a", 10_000), ("b", 30)):
        (tmp_path / name).mkdir()
        world = World(tmp_path / name, broker, unit_items=most)
        crowd(world.old / "ann", 200)
        migration = world.migrate("ann")
        assert world.states(migration) == {"done"}
        digests.add(world.digest(migration))
        world.store.close()
    assert len(digests) == 1


def test_a_huge_user_is_cut_into_spans_and_arrives_whole(small: World) -> None:
    crowd(small.old / "ann", 300)
    migration = small.migrate("ann")
    assert small.states(migration) == {"done"}
    assert small.jobs(migration).count("span") >= 8
    assert differences(small.old / "ann", small.new / "ann") == []
    files = sum(not p.is_dir() or p.is_symlink() for p in (small.old / "ann").rglob("*"))
    counts = small.counts(migration)
    assert (counts.items, counts.moved, counts.failed) == (files, files, 0)


@pytest.mark.parametrize("options", [{}, {"pass": "verify"}])
def test_the_files_of_a_span_are_read_ahead_like_those_of_a_walk(
    small: World, monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    """The scan of a huge user opens nothing, so whatever is announced to the kernel is a span's."""
    crowd(small.old / "ann", 100)
    small.migrate("ann")
    announced: list[int] = []
    advise = os.posix_fadvise

    def noted(fd: int, start: int, length: int, advice: int) -> None:
        if advice == os.POSIX_FADV_WILLNEED:
            announced.append(fd)
        advise(fd, start, length, advice)

    monkeypatch.setattr(os, "posix_fadvise", noted)
    again = small.migrate("ann", **options)
    assert small.states(again) == {"done"}
    assert len(announced) > 80


def test_a_huge_user_moves_nothing_the_second_time(small: World) -> None:
    crowd(small.old / "ann", 300)
    first = small.migrate("ann")
    second = small.migrate("ann")
    assert small.counts(second).skipped == small.counts(first).items
    assert small.counts(second).moved == 0


def test_a_user_that_grew_huge_is_known_by_what_was_published_before(small: World) -> None:
    crowd(small.old / "ann", 10)
    small.migrate("ann")
    notes = small.new / "ann" / "notes.txt"
    was = notes.stat()
    notes.write_bytes(b"x" * was.st_size)
    os.utime(notes, ns=(was.st_atime_ns, was.st_mtime_ns))
    crowd_more(small.old / "ann", 300)
    second = small.migrate("ann")
    assert small.states(second) == {"done"}
    assert small.counts(second).mended == 1
    assert differences(small.old / "ann", small.new / "ann") == []


def crowd_more(root: Path, files: int) -> None:
    for number in range(files):
        (root / f"more{number}").write_bytes(b"%d" % number)


def huge_file(user: Path) -> Path:
    """40 MiB that no two ranges of which are alike."""
    user.mkdir(exist_ok=True)
    film = user / "film"
    film.write_bytes(b"".join(os.urandom(1 << 20) for _ in range(40)))
    os.utime(film, ns=(10**18, 10**18))
    return film


def test_a_huge_file_is_moved_in_ranges_and_published_once(small: World) -> None:
    huge_file(small.old / "ann")
    (small.old / "ann" / "small").write_text("small")
    migration = small.migrate("ann")
    assert small.states(migration) == {"done"}
    assert small.jobs(migration).count("range") == 3
    assert differences(small.old / "ann", small.new / "ann") == []
    assert not list(small.new.rglob(".convoy*"))
    assert (small.counts(migration).items, small.counts(migration).moved) == (2, 2)


def test_a_huge_file_is_compared_in_ranges_and_skipped(small: World) -> None:
    huge_file(small.old / "ann")
    first = small.migrate("ann")
    second = small.migrate("ann")
    assert (small.counts(second).moved, small.counts(second).skipped) == (0, 1)
    assert small.digest(first) == small.digest(second)


def test_damage_in_a_huge_file_is_found_and_mended(small: World) -> None:
    huge_file(small.old / "ann")
    small.migrate("ann")
    film = small.new / "ann" / "film"
    was = film.stat()
    with film.open("r+b") as file:
        file.seek(33 << 20)
        byte = file.read(1)
        file.seek(33 << 20)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(film, ns=(was.st_atime_ns, was.st_mtime_ns))
    second = small.migrate("ann")
    assert small.states(second) == {"done"}
    assert differences(small.old / "ann", small.new / "ann") == []


def test_a_huge_file_of_somebody_else_is_kept(small: World) -> None:
    huge_file(small.old / "ann")
    huge_file(small.new / "ann")
    before = (small.new / "ann" / "film").read_bytes()
    migration = small.migrate("ann")
    assert "film" in small.failures(migration)
    assert (small.new / "ann" / "film").read_bytes() == before
    assert not list(small.new.rglob(".convoy*"))


def test_a_huge_file_that_changes_between_its_ranges_is_moved_as_it_is_at_the_end(
    small: World,
) -> None:
    film = huge_file(small.old / "ann")

    def change() -> None:
        failpoints.disarm()
        with film.open("r+b") as file:
            file.write(b"changed")

    failpoints.arm("users.ranged", change)
    migration = small.migrate("ann")
    assert small.states(migration) == {"done"}
    assert differences(small.old / "ann", small.new / "ann") == []
    assert not list(small.new.rglob(".convoy*"))


def test_a_scan_that_dies_is_not_made_twice_differently(small: World) -> None:
    crowd(small.old / "ann", 300)
    died = []

    def die() -> None:
        failpoints.disarm()
        died.append(True)
        raise Stale("died after the plan was handed on")

    failpoints.arm("runner.reporting", die)
    migration = small.migrate("ann")
    [unit] = [doc for doc in small.ground.units.of(migration) if doc["job"] == "user"]
    assert died and unit["state"] == "running"
    held = small.ground.units.get(unit["id"])
    assert held is not None and held.state is State.RUNNING
    small.ground.units.lapse(held, attempts=8)
    crowd_more(small.old / "ann", 900)  # a second scan would cut for twice as many
    small.work(migration)
    assert small.states(migration) == {"done"}
    counts = small.counts(migration)
    assert counts.items == counts.moved


def test_hooks_run_around_the_last_pass_and_see_their_user(world: World) -> None:
    plant(world.old / "ann")
    log = world.root / "log"
    script = world.root / "hook.sh"
    script.write_text(f'#!/bin/sh\necho "$1 $2 $CONVOY_USER" >> {log}\n')
    script.chmod(0o755)
    migration = world.migrate(
        "ann", hook_freeze=f"{script} freeze {{user}}", hook_switch=f"{script} switch {{user}}"
    )
    assert world.states(migration) == {"done"}
    assert log.read_text().splitlines() == ["freeze ann ann", "switch ann ann"]


def test_a_user_is_not_switched_when_anything_did_not_arrive(world: World) -> None:
    plant(world.old / "ann")
    (world.new / "ann").mkdir()
    (world.new / "ann" / "notes.txt").write_text("mine")
    migration = world.migrate("ann", hook_switch=f"touch {world.root}/switched")
    assert not (world.root / "switched").exists()
    assert "quarantined" in world.states(migration)


def test_a_hook_that_fails_is_tried_again_and_then_a_person_is_told(world: World) -> None:
    plant(world.old / "ann")
    migration = world.migrate("ann", hook_freeze="false", hook_switch="true")
    assert "quarantined" in world.states(migration)
    [unit] = [doc for doc in world.ground.units.of(migration) if doc["job"] == "final"]
    assert "'false' ended with 1" in unit["reason"]


def test_a_file_that_never_stands_still_is_reported_and_the_rest_arrives(world: World) -> None:
    plant(world.old / "ann")
    restless = world.old / "ann" / "notes.txt"
    number = iter(range(10_000))

    def write() -> None:
        restless.write_text(f"changed {next(number)}")

    failpoints.arm("users.read", write)
    migration = world.migrate("ann")
    assert "notes.txt" in world.failures(migration)
    assert (world.new / "ann" / "sparse").exists()
    assert not (world.new / "ann" / "notes.txt").exists()


def test_a_huge_user_is_verified_in_pieces(small: World) -> None:
    crowd(small.old / "ann", 300)
    huge_file(small.old / "ann")
    small.migrate("ann")
    verified = small.migrate("ann", **{"pass": "verify"})
    assert small.states(verified) == {"done"}
    assert {"verify", "check", "range", "join", "close"} == set(small.jobs(verified))
    counts = small.counts(verified)
    assert counts.skipped == counts.items > 300
    assert small.counts(small.migrate("ann")).moved == 0


def test_damage_anywhere_in_a_huge_user_is_found_by_verify(small: World) -> None:
    crowd(small.old / "ann", 300)
    huge_file(small.old / "ann")
    small.migrate("ann")
    for name, at in (("film", 33 << 20), ("d1/x/f1", 0)):
        with (small.new / "ann" / name).open("r+b") as file:
            file.seek(at)
            file.write(b"\0\1")
    verified = small.migrate("ann", **{"pass": "verify"})
    assert set(small.failures(verified)) == {"film", "d1/x/f1"}
    assert (small.new / "ann" / "film").read_bytes()[33 << 20 :][:2] == b"\0\1"


@pytest.mark.parametrize("deep", [True, False])
def test_a_deep_verification_drops_every_file_of_both_sides_before_it_reads(
    small: World, monkeypatch: pytest.MonkeyPatch, deep: bool
) -> None:
    """Through the very options that the command gives, for whole users, spans and ranges."""
    crowd(small.old / "ann", 100)
    plant(small.old / "bob")
    huge_file(small.old / "ann")
    migration = small.migrate("ann", "bob")
    dropped: set[int] = set()
    advise = os.posix_fadvise

    def noted(fd: int, start: int, length: int, advice: int) -> None:
        if advice == os.POSIX_FADV_DONTNEED:
            dropped.add(os.fstat(fd).st_ino)
        advise(fd, start, length, advice)

    monkeypatch.setattr(os, "posix_fadvise", noted)
    order = verification(small.ground.migrations.get(migration.id), by="test", deep=deep).order
    verified = small.migrate("ann", "bob", **order.options)
    assert small.states(verified) == {"done"}
    trees = (small.old, small.new) if deep else ()
    files = {f.stat().st_ino for root in trees for f in root.rglob("*") if _has_bytes(f)}
    assert dropped == files


def _has_bytes(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
