"""What we write is what other tools read, and the other way round: rclone and s5cmd as judges."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

from common.digest import md5
from common.endpoints.place import Item, Type
from tests.servers import roll
from tests.servers.s3 import FIXTURES, Store
from tests.servers.s3_places import MTIME, Place, cut, directory, file, link

MEBI = 1 << 20


@pytest.fixture(params=["moto", "swift", "ceph"])
def place(request: pytest.FixtureRequest, prefix: str) -> Place:
    return Place(request.getfixturevalue(FIXTURES[request.param]), prefix)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree with what is easily mistaken."""
    root = tmp_path / "tree"
    (root / "empty").mkdir(parents=True)
    (root / "a b" / "c").mkdir(parents=True)
    for name, data in {"x": b"1", "a b/zero": b"", "a b/c/\u00fc+%41": b"abc" * 1000}.items():
        (root / name).write_bytes(data)
        os.utime(root / name, ns=(MTIME, MTIME))
    (root / "large").write_bytes(bytes(range(256)) * (17 * MEBI // 256))
    (root / "link").symlink_to("a b/zero")
    return root


def moved(place: Place, root: Path) -> None:
    """Move the tree there, the way a mover does."""
    with place.target() as target:
        target.directory(directory(""))
        for path in sorted(root.rglob("*")):
            name, stat = str(path.relative_to(root)), path.lstat()
            if path.is_symlink():
                staged = target.stage(link(name, os.readlink(path)), b"", md5().hexdigest(), {})
            elif path.is_dir():
                target.directory(directory(name))
                continue
            else:
                data, running = path.read_bytes(), md5()
                item = file(name, len(data), mtime_ns=stat.st_mtime_ns)
                staged = target.stream(item, cut(data), running, {})  # type: ignore[assignment]
            target.publish(staged, None)


def tool(store: Store, name: str, *argv: str) -> str:
    """Run another S3 tool against a store."""
    found = Path(sysconfig.get_path("scripts")) / name
    if not found.exists():
        roll.absent(name, required=name == "rclone")
    env = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": store.access,
        "AWS_SECRET_ACCESS_KEY": store.secret,
        "AWS_REGION": "us-east-1",
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_CONFIG_S_TYPE": "s3",
        "RCLONE_CONFIG_S_PROVIDER": "Other",
        "RCLONE_CONFIG_S_ENV_AUTH": "true",
        "RCLONE_CONFIG_S_ENDPOINT": store.endpoint,
        "RCLONE_CONFIG_S_FORCE_PATH_STYLE": "true",
    }
    done = subprocess.run([found, *argv], env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_rclone_finds_no_difference_between_a_tree_and_what_we_made_of_it(
    place: Place, tree: Path
) -> None:
    moved(place, tree)
    there = f"s:{place.store.bucket}/{place.prefix}"
    tool(place.store, "rclone", "check", "--download", str(tree), there)
    times = tool(place.store, "rclone", "lsf", "-R", "--files-only", "--format", "tp", there)
    assert "x" in times and times.count("2023-11-1") == 3


def test_what_rclone_wrote_we_read_with_its_times_and_modes(place: Place, tree: Path) -> None:
    there = f"s:{place.store.bucket}/{place.prefix}"
    (tree / "x").chmod(0o604)
    tool(place.store, "rclone", "copy", "--metadata", str(tree), there)
    shown = place.walk()
    files = {path for path, item in shown.items() if item.type is Type.FILE}
    assert files == {"x", "a b/zero", "a b/c/\u00fc+%41", "large"}
    data, item, attributes = place.read("x")
    assert (data, item.mtime_ns, item.mode) == (b"1", MTIME, 0o604)
    assert "meta:mtime" not in attributes and "meta:mode" not in attributes
    large = place.read("large")[0]
    assert large == (tree / "large").read_bytes()


def test_s5cmd_reads_what_we_wrote(place: Place, tree: Path, tmp_path: Path) -> None:
    moved(place, tree)
    there = f"s3://{place.store.bucket}/{place.prefix}x"
    out = tmp_path / "out"
    tool(place.store, "s5cmd", "--endpoint-url", place.store.endpoint, "cp", there, str(out))
    assert out.read_bytes() == b"1"


def test_a_tree_comes_back_as_it_was(place: Place, tree: Path) -> None:
    moved(place, tree)
    shown = place.walk()
    assert sorted(shown) == sorted(["", *(str(p.relative_to(tree)) for p in tree.rglob("*"))])
    assert shown["link"].link == "a b/zero" and shown["empty"].type is Type.DIRECTORY
    for path, item in shown.items():
        if item.type is Type.FILE:
            data, described, _ = place.read(path)
            assert data == (tree / path).read_bytes()
            assert described.mtime_ns == (tree / path).stat().st_mtime_ns
    assert isinstance(shown["large"], Item)
