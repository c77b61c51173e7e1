"""Data nodes at rest: what each says of its disks and copies, and a counter that shows it lives.

Judged alive by the stillness of `beat` on the reader's own clock, never by a time that it wrote.
"""

from __future__ import annotations

from typing import Any

from common.store.base import Doc, Store


class Nodes:
    """The repository of data nodes."""

    def __init__(self, store: Store) -> None:
        self._documents = store.collection("nodes")

    def beat(self, name: str, **facts: Any) -> None:
        """Give a sign of life; `facts` replace the earlier ones."""
        self._documents.change({"id": name}, set=facts, inc={"beat": 1}, upsert=True)

    def get(self, name: str) -> Doc | None:
        return self._documents.get(name)

    def all(self) -> list[Doc]:
        """Every node that ever gave a sign."""
        return list(self._documents.find({}, order=("id",)))
