"""Directories that only the names below them show: named, and given nothing they do not have."""

from __future__ import annotations

from collections.abc import Iterator

from common.endpoints.place import Item, Type


def implied(item: Item) -> bool:
    """Is this a directory that only what is below it shows?"""
    known = item.mode >= 0 or item.mtime_ns != -1 or item.version
    return item.type is Type.DIRECTORY and not known


class Parents:
    """Shows, in a sorted walk, the directories above an item that nothing else shows."""

    def __init__(self) -> None:
        self._shown: list[str] = []  # the names of the directory we are in

    def above(self, item: Item) -> Iterator[Item]:
        """What has to be shown before the item."""
        names = item.path.split("/")
        above = names[:-1]
        if above != self._shown[: len(above)]:
            yield from self._missing(above)
        self._shown = names if item.type is Type.DIRECTORY and item.path else above

    def _missing(self, above: list[str]) -> Iterator[Item]:
        depth = 0
        while depth < len(above) and self._shown[depth : depth + 1] == above[depth : depth + 1]:
            depth += 1
        for end in range(depth + 1, len(above) + 1):
            if all(above[:end]):  # "a//b" is a key, but no directory has an empty name
                yield Item("/".join(above[:end]), Type.DIRECTORY)
