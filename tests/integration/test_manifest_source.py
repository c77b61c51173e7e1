"""Users' files from a web server, as a manifest lists them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from common.digest import md5
from common.endpoints import registry
from common.endpoints.manifest import ManifestSource
from common.endpoints.place import Item, Type
from common.endpoints.wire import Silent, Timeouts
from common.errors import Changing, Corrupt, Missing, Permanent, Refused, Transient
from common.model import Failure
from common.settings import Settings
from tests.servers.proxy import Fault, before
from tests.servers.scripted import scripted
from tests.servers.web import serving

DATA = bytes(range(256)) * 4000


def entry(path: str, data: bytes, url: str = "", **more: Any) -> dict[str, Any]:
    return {
        "path": path, "url": url or f"files/{path}", "length": len(data),
        "md5": md5(data).hexdigest(), **more,
    }  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """alice's files and her manifest."""
    files = {"a/one": b"1", "a/b/two": DATA, "z": b""}
    for path, data in files.items():
        (tmp_path / "files" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / path).write_bytes(data)
    listed = [entry(path, data) for path, data in files.items()]
    listed[0] |= {"mtime": 1.5, "mode": "0600"}
    (tmp_path / "alice.json").write_text(json.dumps(listed))
    return tmp_path


@contextmanager
def opened(url: str, **limits: Any) -> Iterator[ManifestSource]:
    source = ManifestSource(url, limits=Timeouts(**limits))
    try:
        yield source
    finally:
        source.close()


def test_a_manifest_is_walked_and_its_files_are_read(site: Path) -> None:
    with serving(site) as web, opened(f"{web}/alice.json") as source:
        items = [item for item in source.walk() if isinstance(item, Item)]
        assert [item.path for item in items] == ["", "a", "a/b", "a/b/two", "a/one", "z"]
        kinds = [item.type for item in items]
        assert kinds == [Type.DIRECTORY] * 3 + [Type.FILE] * 3
        two, one = items[3], items[4]
        assert (one.mtime_ns, one.mode, one.size) == (1_500_000_000, 0o600, 1)
        assert one.md5 == one.version == md5(b"1").hexdigest()
        assert source.look("a/b/two") == two
        assert source.look("a/b") == Item("a/b", Type.DIRECTORY)
        assert source.look("nothing") is None
        with source.open(two) as content:
            assert content.whole() == DATA and content.unchanged()
        for start, end in ((0, 1000), (5000, None), (999, 999)):
            with source.open(two) as content:
                assert b"".join(map(bytes, content.chunks(start, end))) == DATA[start:end]


def test_a_table_does_as_well(site: Path) -> None:
    rows = ["path,url,length,md5"]
    rows += [f"z,files/z,0,{md5(b'').hexdigest()}"]
    (site / "alice.csv").write_text("\n".join(rows))
    (site / "bob").write_text("\n".join(rows))
    with serving(site, types={"": "text/csv; charset=utf-8"}) as web:
        for name in ("alice.csv", "bob"):
            with opened(f"{web}/{name}") as source:
                assert [item.path for item in source.walk() if isinstance(item, Item)] == ["", "z"]


def test_a_user_is_put_into_the_address_whatever_the_name(site: Path) -> None:
    (site / "u").mkdir()
    for user in ("alice", "a b?#%41\u00fc"):
        (site / "u" / f"{user}.json").write_text(json.dumps([entry("z", b"", "../files/z")]))
    with serving(site) as web:
        url = f"manifest+{web}/u/{{user}}.json?largest=1MiB"
        for user in ("alice", "a b?#%41\u00fc"):
            source = registry.open_source(url, user, Settings())
            assert len(list(source.walk())) == 2
            source.close()
        assert registry.capabilities(url, Settings()).vouches
        source = registry.open_source(url, "nobody", Settings())
        with pytest.raises(Missing):
            list(source.walk())
    with pytest.raises(Refused, match="no option"):
        registry.open_source(f"manifest+{web}/x?secret=1", "alice", Settings())


def test_contents_that_are_not_what_the_manifest_says_are_corrupt(site: Path) -> None:
    with serving(site) as web, opened(f"{web}/alice.json") as source:
        item = source.look("a/b/two")
        assert item is not None
        (site / "files/a/b/two").write_bytes(DATA[:-1] + b"x")
        with source.open(item) as content, pytest.raises(Corrupt, match="manifest says"):
            content.whole()
        with source.open(item) as content, pytest.raises(Corrupt):
            list(content.chunks())
        (site / "files/a/b/two").write_bytes(DATA[:-1])
        with pytest.raises(Changing, match="bytes"):
            source.open(item)
        (site / "files/a/b/two").unlink()
        with pytest.raises(Missing):
            source.open(item)


def test_only_files_can_be_opened(site: Path) -> None:
    with serving(site) as web, opened(f"{web}/alice.json") as source, pytest.raises(Refused):
        source.open(Item("a", Type.DIRECTORY))


def test_a_file_that_would_have_to_be_a_directory_is_refused(site: Path) -> None:
    listed = [entry("x", b""), entry("x-y", b""), entry("x/y/z", b""), entry("x/y/zz", b"")]
    (site / "alice.json").write_text(json.dumps(listed))
    with serving(site) as web, opened(f"{web}/alice.json") as source:
        found = list(source.walk())
    assert [item.item for item in found if isinstance(item, Failure)] == ["x/y/z", "x/y/zz"]
    assert [i.path for i in found if isinstance(i, Item) and i.type is Type.FILE] == ["x", "x-y"]


def test_redirects_are_followed_a_few_times_and_addresses_seen_from_their_end(site: Path) -> None:
    (site / "deep").mkdir()
    (site / "alice.json").rename(site / "deep/alice.json")
    (site / "files").rename(site / "deep/files")
    moves = {"/1": "/2", "/2": "/3", "/3": "deep/alice.json", "/loop": "/loop", "/nowhere": ""}
    moves |= {"/file": "file:///etc/passwd", "/keys": "http://user:hunter2@127.0.0.1/"}
    with serving(site, moves=moves) as web:
        with opened(f"{web}/1") as source:
            item = source.look("a/one")
            assert item is not None and item.url == f"{web}/deep/files/a/one"
        with opened(f"{web}/loop") as source, pytest.raises(Permanent, match="more than"):
            list(source.walk())
        with opened(f"{web}/nowhere") as source, pytest.raises(Permanent, match="nowhere"):
            list(source.walk())
        with opened(f"{web}/file") as source, pytest.raises(Refused):
            list(source.walk())
        with opened(f"{web}/keys") as source, pytest.raises(Refused) as caught:
            list(source.walk())
        assert "hunter2" not in str(caught.value)


def test_a_huge_manifest_is_refused_at_the_limit_and_not_read_to_its_end() -> None:
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    endless += b"1\r\n[\r\n" + b"10000\r\n%b\r\n" % (b" " * 65536) * 40
    with scripted(endless) as server:
        source = ManifestSource(f"{server.url}/x.json", limits=Timeouts(), largest=1 << 20)
        with pytest.raises(Refused, match="more than 1048576 bytes"):
            list(source.walk())
        source.close()


def test_a_manifest_of_nothing_but_bad_entries_is_refused_before_it_fills_the_memory(
    tmp_path: Path,
) -> None:
    (tmp_path / "x.json").write_text("[" + "1," * 20_000 + "1]")
    with (
        serving(tmp_path) as web,
        opened(f"{web}/x.json") as source,
        pytest.raises(Refused, match="more than 10000"),
    ):
        list(source.walk())


def test_a_manifest_that_is_cut_short_is_no_shorter_manifest(site: Path) -> None:
    with serving(site) as web, before(web) as proxy:
        proxy.set(down=Fault(end_after=350))
        with opened(f"{proxy.url}/alice.json") as source, pytest.raises(Transient):
            list(source.walk())


def test_a_file_whose_transfer_breaks_is_taken_up_again_even_without_ranges(site: Path) -> None:
    with serving(site) as web, before(web) as proxy, opened(f"{proxy.url}/alice.json") as source:
        item = source.look("a/b/two")
        assert item is not None
        proxy.set(down=Fault(end_after=500_000), times=1)
        with source.open(item) as content:
            assert content.whole() == DATA
        assert proxy.connections == 3


def test_a_silent_web_server_is_given_up_at_its_limit(site: Path) -> None:
    with serving(site) as web, before(web) as proxy:
        proxy.set(down=Fault(hush_after=100))
        short = timedelta(seconds=0.5)
        with (
            opened(f"{proxy.url}/alice.json", first_byte=short, idle_read=short) as source,
            pytest.raises(Silent),
        ):
            list(source.walk())


def test_what_a_manifest_can_hold_is_said_without_asking_anybody() -> None:
    found = registry.capabilities("manifest+https://nowhere.invalid/{user}.json", Settings())
    assert found.modes and not found.links
