"""What belongs to a file besides its contents: owner, mode, times, attributes, ACLs."""

from __future__ import annotations

import base64
import os
import struct
from collections.abc import Iterator
from contextlib import suppress

import pytest

from common.endpoints.place import Attributes, Held, Item, Type
from common.endpoints.posix import PosixTarget, capabilities, prepare, probe
from common.endpoints.posix import attributes as xattrs
from common.endpoints.template import Template
from common.errors import Denied, Missing, Refused, Unmounted
from tests.posix import NOBODY, Site, site, unprivileged

MTIME = 10**18 + 1
# version 2; user::rwx, user:1000:rw-, group::r-x, mask::rwx, other::---
ACL = struct.pack(
    "<I" + "HHI" * 5,
    2,
    1,
    7,
    2**32 - 1,
    2,
    6,
    1000,
    4,
    5,
    2**32 - 1,
    16,
    7,
    2**32 - 1,
    32,
    0,
    2**32 - 1,
)
ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"


@pytest.fixture
def here() -> Iterator[Site]:
    with site() as made:
        yield made


@pytest.fixture
def target(here: Site) -> Iterator[PosixTarget]:
    opened = here.target()
    opened.directory(folder(""))
    yield opened
    opened.close()


@pytest.fixture
def root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")


def file(path: str, mode: int = 0o644, uid: int = -1, gid: int = -1) -> Item:
    return Item(path, Type.FILE, 1, MTIME, mode, uid, gid)


def folder(path: str, mode: int = 0o755) -> Item:
    return Item(path, Type.DIRECTORY, 0, MTIME, mode)


def put(target: PosixTarget, item: Item, attributes: Attributes | None = None) -> Held:
    return target.publish(target.stage(item, b"x", "", attributes or {}), None)


def coded(name: str, value: bytes) -> dict[str, str]:
    return {f"xattr:{name}": base64.b64encode(value).decode()}


def acls_supported(here: Site) -> bool:
    with suppress(OSError):
        os.setxattr(here.root, ACCESS, ACL)
        os.removexattr(here.root, ACCESS)
        return True
    return False


def test_attributes_and_acls_travel_from_source_to_target(here: Site) -> None:
    if not acls_supported(here):
        pytest.skip("this file system has no ACLs")
    (here.old / "d").mkdir()
    (here.old / "d" / "file").write_bytes(b"x")
    os.setxattr(here.old / "d" / "file", "user.note", b"\0\xff binary")
    os.setxattr(here.old / "d" / "file", ACCESS, ACL)
    os.setxattr(here.old / "d", DEFAULT, ACL)
    (here.old / "d" / "plain").write_bytes(b"y")
    os.removexattr(here.old / "d" / "plain", ACCESS)
    here.haul()
    for path in ("d", "d/file", "d/plain"):
        old = {n: os.getxattr(here.old / path, n) for n in os.listxattr(here.old / path)}
        new = {n: os.getxattr(here.new / path, n) for n in os.listxattr(here.new / path)}
        assert old == new, path


def test_an_acl_that_a_root_hands_down_does_not_get_onto_new_files(here: Site) -> None:
    if not acls_supported(here):
        pytest.skip("this file system has no ACLs")
    here.new.mkdir()
    os.setxattr(here.new, DEFAULT, ACL)
    (here.old / "file").write_bytes(b"x")
    (here.old / "file").chmod(0o604)
    here.haul()
    assert os.listxattr(here.new / "file") == []
    assert (here.new / "file").stat().st_mode & 0o777 == 0o604


def test_a_group_that_a_root_hands_down_does_not_get_onto_new_files(root: None, here: Site) -> None:
    here.new.mkdir()
    os.chown(here.new, 0, 4242)
    here.new.chmod(0o2770)
    (here.old / "file").write_bytes(b"x")
    here.haul()
    assert (here.new / "file").stat().st_gid == 0


def test_owner_and_set_id_bits_arrive_together(root: None, here: Site, target: PosixTarget) -> None:
    put(target, file("tool", 0o6755, 1234, 4321), coded("security.capability", capability()))
    found = (here.new / "tool").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (1234, 4321, 0o6755)
    assert os.getxattr(here.new / "tool", "security.capability") == capability()


def capability() -> bytes:
    """CAP_NET_RAW, permitted and effective, as `setcap` writes it."""
    return struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)


def test_the_owner_of_a_link_is_its_own(root: None, here: Site, target: PosixTarget) -> None:
    item = Item("link", Type.LINK, 0, MTIME, 0o777, 1234, 4321, None, "/etc/passwd")
    held = target.publish(target.stage(item, b"", "", {}), None)
    assert (held.uid, held.gid) == (1234, 4321)
    assert target.adjust(item._replace(uid=0, gid=0), held, None)
    assert (here.new / "link").lstat().st_uid == 0
    assert os.stat("/etc/passwd").st_mtime_ns != MTIME


def test_what_a_source_does_not_know_is_set_as_people_expect(
    here: Site, target: PosixTarget
) -> None:
    held = target.publish(target.stage(Item("file", Type.FILE, 1), b"x", "", {}), None)
    assert (held.mode, held.uid) == (0o644, os.geteuid())
    assert held.mtime_ns > MTIME
    target.directory(Item("d", Type.DIRECTORY))
    target.seal(Item("d", Type.DIRECTORY))
    assert (here.new / "d").stat().st_mode & 0o777 == 0o755


def test_what_belongs_to_other_worlds_is_told_and_not_kept(here: Site, target: PosixTarget) -> None:
    put(target, file("file"), {"header:a": "b", "tag:a": "b", "layout:part": "8"})
    assert os.listxattr(here.new / "file") == []
    assert target.remarks() == {
        "header: not kept by the target": 1,
        "tag: not kept by the target": 1,
    }


def test_an_attribute_that_the_target_has_no_room_for_is_refused_by_name(
    here: Site, target: PosixTarget
) -> None:
    with pytest.raises(Refused, match=r"user\.large"):
        put(target, file("file"), coded("user.large", b"x" * 65_537))
    put(target, file("file"), coded("user.small", b"x"))
    assert target.attributes("file") == coded("user.small", b"x")
    assert target.attributes("") == {}


def test_owners_that_a_poorer_user_may_not_give_are_counted_with_all_they_cost(here: Site) -> None:
    here.new.mkdir()
    with unprivileged(here.new):
        target = here.target()
        held = put(target, file("plain", 0o644, 1, 1))
        put(target, file("tool", 0o4755, 1, 1))
        link = Item("link", Type.LINK, 0, MTIME, 0o777, 1, 1, None, "plain")
        target.publish(target.stage(link, b"", "", {}), None)
        target.directory(Item("d", Type.DIRECTORY, 0, MTIME, 0o755, 1, 1))
        target.seal(Item("d", Type.DIRECTORY, 0, MTIME, 0o755, 1, 1), {})
        assert target.remarks() == {
            "owner: not kept by the target": 4,
            "set-id bits: not kept by the target": 1,
        }
        assert not target.adjust(file("plain", 0o644, 1, 1), held, None)
        assert not target.adjust(file("plain", 0o644, 1, 1), held, {})
        assert target.adjust(file("plain", 0o600, 1, 1), held, {})
        assert target.remarks()["owner: not kept by the target"] == 7
        put(target, file("mine", 0o644, os.geteuid(), os.getegid()))
        assert target.remarks()["owner: not kept by the target"] == 7
        target.close()


def test_attributes_that_a_poorer_user_may_not_set_are_told(here: Site) -> None:
    here.new.mkdir()
    with unprivileged(here.new):
        target = here.target()
        put(target, file("file"), coded("trusted.note", b"x"))
        if os.geteuid() != 0:
            assert target.remarks()["xattr trusted.*: not kept by the target"] == 1
        target.close()


def test_attributes_of_the_mount_are_not_read(here: Site) -> None:
    (here.old / "file").touch()
    os.setxattr(here.old / "file", "user.note", b"x")
    fd = os.open(here.old / "file", os.O_RDONLY)
    try:
        if os.geteuid() == 0:
            os.setxattr(fd, "trusted.overlay.opaque", b"y")
        assert xattrs.read(fd) == coded("user.note", b"x")
    finally:
        os.close(fd)


def test_a_group_of_ones_own_may_be_given(root: None, here: Site) -> None:
    here.new.mkdir()
    before = os.getgroups()
    os.setgroups([4242])
    try:
        with unprivileged(here.new):
            target = here.target()
            put(target, file("file", 0o644, NOBODY, 4242))
            put(target, file("other", 0o2755, NOBODY, 4343))
            target.close()
    finally:
        os.setgroups(before)
    assert (here.new / "file").stat().st_gid == 4242
    assert (here.new / "other").stat().st_mode & 0o7777 == 0o755


def test_probing_a_target_tells_what_it_holds_and_leaves_nothing(here: Site) -> None:
    found = probe(Template.parse(f"{here.root}/new"))
    assert found.links
    assert found.hardlinks
    assert found.modes
    assert found.any_name
    assert found.conditional
    assert not found.folds
    assert not found.headers
    assert found.owners == (os.geteuid() == 0)
    assert os.listdir(here.root / "new") == []


def test_probing_where_one_may_not_write_says_so(here: Site) -> None:
    with unprivileged(), pytest.raises(Denied):
        probe(Template.parse(f"{here.root}/new"))
    with pytest.raises(Unmounted):
        probe(Template.parse(f"{here.root}/absent"))


def test_a_source_can_show_everything_but_must_be_there(here: Site) -> None:
    assert capabilities(Template.parse(f"{here.root}/old")).xattrs
    with pytest.raises(Unmounted):
        capabilities(Template.parse(f"{here.root}/absent"))


def test_only_the_last_directory_of_a_target_is_made(here: Site) -> None:
    prepare(Template.parse(f"{here.root}/fresh/{{user}}"))
    prepare(Template.parse(f"{here.root}/fresh/{{user}}"))
    assert (here.root / "fresh").is_dir()
    with pytest.raises(Missing, match="absent"):
        prepare(Template.parse(f"{here.root}/absent/fresh"))
    with unprivileged(), pytest.raises(Denied):
        prepare(Template.parse(f"{here.root}/other"))


def test_an_acl_that_a_directory_hands_down_does_not_get_onto_new_directories(
    here: Site, target: PosixTarget
) -> None:
    if not acls_supported(here):
        pytest.skip("this file system has no ACLs")
    os.setxattr(here.new, DEFAULT, ACL)
    target.directory(folder("a/b"))
    target.seal(folder("a/b", 0o705))
    for path in ("a", "a/b"):
        assert os.listxattr(here.new / path) == []
    assert (here.new / "a" / "b").stat().st_mode & 0o777 == 0o705
