"""Many lanes read one place at once, and each gets what it asked for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common.endpoints.place import Item, Type
from common.endpoints.posix import PosixSource
from common.endpoints.template import Template


def test_lanes_that_open_more_directories_than_are_kept_never_mix_them_up(tmp_path: Path) -> None:
    for number in range(400):
        folder = tmp_path / "ann" / f"d{number}"
        folder.mkdir(parents=True)
        folder.joinpath("same-name").write_text(f"{number:04}")
    source = PosixSource(Template.parse(f"file://{tmp_path}"), "ann")
    items = [i for i in source.walk() if isinstance(i, Item) and i.type is Type.FILE]

    def read(item: Item) -> tuple[str, str]:
        with source.open(item) as content:
            return item.path, content.whole().decode()

    with ThreadPoolExecutor(8) as lanes:
        found = dict(lanes.map(read, items * 20))
    source.close()
    assert found == {f"d{number}/same-name": f"{number:04}" for number in range(400)}
