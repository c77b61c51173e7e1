"""The staging place is the fence: who is swept away can change nothing any more."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from common.digest import md5
from common.endpoints.place import ZEROS, Item, Type
from common.endpoints.posix import PosixTarget
from common.endpoints.template import Template
from common.errors import Occupied, Refused, Stale, Transient
from tests.posix import Site, site

ROOT = Item("", Type.DIRECTORY, 0, 10**18, 0o755, os.geteuid(), os.getegid())
FILE = Item("file", Type.FILE, 1, 10**18, 0o644, os.geteuid(), os.getegid())
HUGE = Item("huge", Type.FILE, 10, 10**18, 0o644, os.geteuid(), os.getegid(), version="v1")


@pytest.fixture
def here() -> Iterator[Site]:
    with site() as made:
        made.target().directory(ROOT)
        yield made


def test_a_later_epoch_sweeps_what_earlier_ones_left_and_nothing_else(here: Site) -> None:
    for token in ("unit.1", "unit.2", "unit.10", "unitary.1", "other.1"):
        here.target(token=token).stage(FILE, b"x", "", {})
    (here.new / ".convoy-unit.file").touch()
    (here.new / ".convoy-unit.link").symlink_to("/etc")
    (here.new / "unit.1").mkdir()
    later = here.target(token="unit.5")
    later.sweep("unit")
    assert sorted(os.listdir(here.new)) == [
        ".convoy-other.1",
        ".convoy-unit.10",
        ".convoy-unitary.1",
        "unit.1",
    ]
    assert os.path.isdir("/etc")


def test_an_epoch_does_not_sweep_itself(here: Site) -> None:
    target = here.target(token="unit.1")
    staged = target.stage(FILE, b"x", "", {})
    target.sweep("unit")
    target.publish(staged, None)
    target.close()
    assert os.listdir(here.new) == ["file"]


def acts(target: PosixTarget) -> list[Callable[[], object]]:
    """Everything by which a target becomes different, besides publishing."""
    held = target.look("there")
    assert held is not None
    there = FILE._replace(path="there")
    return [
        lambda: target.stage(FILE, b"x", "", {}),
        lambda: target.stream(FILE, iter([b"x"]), md5(), {}),
        lambda: target.directory(ROOT._replace(path="new")),
        lambda: target.hardlink(FILE._replace(path="linked"), "there", None),
        lambda: target.adjust(there._replace(mode=0o600), held, None),
        lambda: target.seal(ROOT._replace(mode=0o700)),
    ]


def test_who_was_swept_away_can_change_nothing_any_more(here: Site) -> None:
    zombie = here.target(token="unit.1")
    zombie.publish(zombie.stage(FILE._replace(path="there"), b"x", "", {}), None)
    staged = zombie.stage(FILE, b"x", "", {})
    zombie.settle()
    here.target(token="unit.2").sweep("unit")
    before = os.stat(here.new / "there")
    with pytest.raises(Stale):
        zombie.publish(staged, None)
    with pytest.raises(Stale):
        zombie.publish(staged, zombie.look("there"))
    for act in acts(zombie):
        with pytest.raises(Stale):
            act()
    zombie.close()
    assert os.listdir(here.new) == ["there"]
    assert os.stat(here.new / "there") == before


def test_an_epoch_that_comes_too_late_does_not_even_begin(here: Site) -> None:
    later = here.target(token="unit.2")
    later.stage(FILE, b"x", "", {})
    with pytest.raises(Stale):
        here.target(token="unit.1").stage(FILE, b"x", "", {})
    assert os.listdir(here.new) == [".convoy-unit.2"]


def test_a_place_swept_before_it_was_settled_is_stale(here: Site) -> None:
    zombie = here.target(token="unit.1")
    zombie.stage(FILE, b"x", "", {})
    zombie._ground.durability.together = False  # fsync by name, as on a network file system
    here.target(token="unit.2").sweep("unit")
    with pytest.raises(Stale):
        zombie.settle()


def test_what_an_earlier_try_of_the_same_epoch_left_is_cleared(here: Site) -> None:
    here.target(token="unit.1").stage(FILE, b"x", "", {})
    again = here.target(token="unit.1")
    again.publish(again.stage(FILE, b"y", "", {}), None)
    assert (here.new / "file").read_bytes() == b"y"


def test_a_staging_place_that_is_not_ours_alone_is_refused(here: Site) -> None:
    (here.new / ".convoy-unit.1").mkdir(mode=0o777)
    (here.new / ".convoy-unit.1").chmod(0o777)
    with pytest.raises(Refused, match="not ours alone"):
        here.target(token="unit.1").stage(FILE, b"x", "", {})


def test_a_staging_place_that_is_a_link_is_not_followed(here: Site) -> None:
    (here.root / "outside").mkdir()
    (here.new / ".convoy-unit.1").symlink_to(here.root / "outside")
    with pytest.raises(Occupied):
        here.target(token="unit.1").stage(FILE, b"x", "", {})
    assert list((here.root / "outside").iterdir()) == []


def test_a_staging_place_comes_and_goes_without_a_trace(here: Site) -> None:
    os.utime(here.new, ns=(10**18, 10**18))
    target = here.target()
    target.stage(FILE, b"x", "", {})
    assert here.new.stat().st_mtime_ns == 10**18
    target.close()
    assert here.new.stat().st_mtime_ns == 10**18
    assert os.listdir(here.new) == []


@pytest.mark.parametrize("token", ["", "a/b", "x" * 250, "a\0b"])
def test_a_token_that_cannot_name_a_place_is_refused(here: Site, token: str) -> None:
    with pytest.raises(Refused):
        PosixTarget(Template.parse(f"{here.root}/new"), "alice", token)


def test_a_huge_file_is_written_in_ranges_by_several_and_published_by_one(here: Site) -> None:
    one, other, last = (here.target(token=f"{name}.1") for name in ("a", "b", "c"))
    place = one.begin(HUGE, "group", {"xattr:user.note": "aGk="}, 5)
    assert other.begin(HUGE, "group", {}, 5) == place
    digest = md5()
    other.write(HUGE, place, 5, iter([b"fgh", b"ij"]), digest, 5)
    one.write(HUGE, place, 0, iter([b"abcde"]), md5(), 5)
    assert digest.hexdigest() == md5(b"fghij").hexdigest()
    staged = last.join(HUGE, place, 5)
    assert not (here.new / "huge").exists()
    assert last.publish(staged, None).mtime_ns == 10**18
    last.finish()
    assert (here.new / "huge").read_bytes() == b"abcdefghij"
    assert os.getxattr(here.new / "huge", "user.note") == b"hi"
    for target in (one, other, last):
        target.close()
    assert os.listdir(here.new) == ["huge"]


def test_a_range_written_again_leaves_nothing_of_the_first_time(here: Site) -> None:
    target = here.target()
    place = target.begin(HUGE, "group", {}, 10)
    target.write(HUGE, place, 0, iter([b"0123456789"]), md5(), 10)
    target.write(HUGE, place, 0, iter([b"ab", ZEROS[:8]]), md5(), 10)
    target.publish(target.join(HUGE, place, 10), None)
    assert (here.new / "huge").read_bytes() == b"ab" + bytes(8)


def test_a_source_that_changed_gets_a_staging_place_of_its_own(here: Site) -> None:
    target = here.target()
    place = target.begin(HUGE, "group", {}, 5)
    assert target.begin(HUGE._replace(version="v2"), "group", {}, 5) != place


def test_a_huge_files_place_that_was_swept_is_stale(here: Site) -> None:
    target = here.target()
    place = target.begin(HUGE, "group", {}, 5)
    here.target(token="x.1").sweep("group")
    with pytest.raises(Stale):
        target.write(HUGE, place, 0, iter([b"abcde"]), md5(), 5)
    with pytest.raises(Stale):
        target.join(HUGE, place, 5)
    target.abandon(place, HUGE)
    assert os.listdir(here.new) == []


def test_an_abandoned_place_is_gone_and_the_others_of_its_group_are_not(here: Site) -> None:
    target = here.target()
    place, other = (target.begin(HUGE._replace(path=p), "group", {}, 5) for p in "ab")
    target.abandon(place, HUGE)
    target.abandon(place, HUGE)
    assert os.listdir(here.new / ".convoy-group") == [other.partition("/")[2]]
    target.abandon(other, HUGE)
    assert os.listdir(here.new) == []
    here.target("bob").abandon(place, HUGE)  # a user without a place: absent already


def test_a_place_into_which_somebody_still_writes_is_not_joined(here: Site) -> None:
    target = here.target()
    place = target.begin(HUGE, "group", {}, 10)
    with (here.new / place).open("r+b"), pytest.raises(Transient, match="still writes"):
        target.join(HUGE, place, 10)
    target.join(HUGE, place, 10)
    os.truncate(here.new / place, 3)
    with pytest.raises(Transient, match="as long as"):
        target.join(HUGE, place, 10)


def test_sweeping_where_there_is_no_place_is_nothing(here: Site) -> None:
    target = here.target("bob")
    target.sweep("unit")
    target.close()
    assert target.look("") is None
