"""Any tree that a file system can hold arrives as it was, and nothing else is touched."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from tests.posix import Site, site
from tests.trees import differences

HOSTILE = [
    b"...",
    b"-rf",
    b" ",
    b"a\nb",
    b"\xff\xfe",
    b"\xc3\xa9",
    b"e\xcc\x81",
    b"CON",
    b"%2e%2e",
    b"..\\x",
    b"x" * 255,
    b"\x01\x1b[31m",
    b".convoy",
    b".convoy-unit.1",
    b"A",
    b"a",
]
NAMES = st.sampled_from(HOSTILE) | st.binary(min_size=1, max_size=20).map(
    lambda name: name.translate(bytes.maketrans(b"/\0.", b"_-,"))
)
TARGETS = st.sampled_from([b"/etc/passwd", b"../../../bob/secret", b".", b"..", b"/", b"a/../b"])
TIMES = st.integers(0, 2**32 * 10**9)


@dataclass(frozen=True)
class Node:
    """One thing below a user's root, to be planted."""

    kind: str
    name: bytes
    data: bytes = b""
    mode: int = 0o644
    time: int = 0
    below: tuple[Node, ...] = ()


LEAVES = (
    st.builds(Node, st.just("file"), NAMES, st.binary(max_size=300), st.integers(0, 0o7777), TIMES)
    | st.builds(Node, st.just("sparse"), NAMES, st.binary(max_size=30), time=TIMES)
    | st.builds(Node, st.just("link"), NAMES, TARGETS, time=TIMES)
    | st.builds(Node, st.just("hard"), NAMES)
    | st.builds(Node, st.just("pipe"), NAMES)
)
TREES = st.recursive(
    st.lists(LEAVES, max_size=4).map(tuple),
    lambda below: st.lists(
        LEAVES
        | st.builds(
            Node, st.just("dir"), NAMES, st.just(b""), st.integers(0, 0o7777), TIMES, below
        ),
        max_size=5,
    ).map(tuple),
    max_leaves=12,
)


def plant(root: bytes, nodes: tuple[Node, ...], files: list[bytes]) -> None:
    """Make these things; a name that is taken already stays what it is."""
    for node in nodes:
        path = root + b"/" + node.name
        if os.path.lexists(path):
            continue
        if node.kind == "dir":
            os.mkdir(path)
            plant(path, node.below, files)
        elif node.kind == "link":
            os.symlink(node.data, path)
        elif node.kind == "pipe":
            os.mkfifo(path)
        elif node.kind == "hard" and files:
            os.link(files[len(node.name) % len(files)], path)
        else:
            with open(path, "wb") as file:
                if node.kind == "sparse":
                    file.seek(3 << 20)
                file.write(node.data)
            files.append(path)
        dress(path, node)


def dress(path: bytes, node: Node) -> None:
    if node.kind in ("file", "dir"):
        readable = 0 if os.geteuid() == 0 else 0o700 if node.kind == "dir" else 0o400
        os.chmod(path, node.mode | readable)
    if node.kind in ("file", "sparse"):
        os.setxattr(path, "user.hostile", node.data)
    os.utime(path, ns=(node.time, node.time), follow_symlinks=False)


def refused(root: Path) -> set[str]:
    """What is never carried: names that are ours (and all below them), pipes."""
    found = set()
    for top, directories, files in os.walk(root):
        for name in (*directories, *files):
            path = Path(top, name)
            inside = str(path.relative_to(root))
            parts = inside.split("/")
            if any(p.startswith(".convoy") for p in parts) or stat.S_ISFIFO(path.lstat().st_mode):
                found.add(inside)
    return found


def picture(root: Path, but: Path) -> dict[str, tuple[int, ...]]:
    """Everything below `root` but a user's place, and whether it was touched."""
    seen: dict[str, tuple[int, ...]] = {}
    for top, directories, files in os.walk(root):
        directories[:] = [name for name in directories if Path(top, name) != but]
        for name in (*directories, *files):
            if Path(top, name) == but.parent:  # the user's root was made in it
                continue
            found = os.lstat(Path(top, name))
            seen[str(Path(top, name))] = (found.st_ino, found.st_ctime_ns, found.st_mtime_ns)
    return seen


@settings(max_examples=40, deadline=None)
@given(TREES)
@example((Node("file", b".convoy-unit.1"), Node("dir", b".convoy", below=(Node("file", b"x"),))))
@example((Node("file", b"a"), Node("hard", b"b"), Node("dir", b"d", below=(Node("hard", b"c"),))))
def test_what_arrives_is_what_was_there_and_nothing_outside_is_touched(
    nodes: tuple[Node, ...],
) -> None:
    with site() as here:
        (here.root / "new" / "bob").mkdir()
        (here.root / "new" / "bob" / "secret").write_text("of another user")
        plant(os.fsencode(here.old), nodes, [])
        never = refused(here.old)
        outside = picture(here.root, here.new)
        done = here.haul()
        event(f"{len(done.moved)} moved, {len(never)} never")
        assert picture(here.root, here.new) == outside
        assert set(done.failed) | set(done.others) <= never
        found = set(differences(here.old, here.new))
        absent = {f"{path}: only in {here.old}" for path in never}
        linked = {os.lstat(here.old / path).st_ino for path in never}
        assert absent <= found
        for line in found - absent:  # a name that is not carried takes a link along, no more
            path, _, aspect = line.rpartition(": ")
            assert aspect.startswith(("links", "other names"))
            assert os.lstat(here.old / path).st_ino in linked
        assert here.haul(token="unit.2", only_new=True).moved == []
        assert set(differences(here.old, here.new)) == found


def test_an_independent_tool_finds_no_difference_either() -> None:
    tool = shutil.which("rsync")
    if tool is None:
        pytest.skip("rsync is not installed")
    with site() as here:
        settle(here)
        here.haul()
        compared = subprocess.run(
            [tool, "-aHAXnci", "--checksum", "--delete", f"{here.old}/", f"{here.new}/"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert compared.stdout == ""


def settle(here: Site) -> None:
    """One of everything, as hostile as it gets."""
    below = tuple(
        Node(kind, name + kind.encode(), b"some data" * 100, 0o4751, 10**18 + 7)
        for kind in ("file", "sparse", "hard")
        for name in HOSTILE
        if len(name) < 200 and not name.startswith(b".convoy")
    )
    links = tuple(Node("link", b"l%d" % n, t) for n, t in enumerate([b"/etc/passwd", b"..", b"x"]))
    inner = Node("dir", b"d" * 255, b"", 0o1750, 10**18, below + links)
    plant(os.fsencode(here.old), (inner, *below, Node("dir", b"empty", b"", 0o500, 5)), [])
