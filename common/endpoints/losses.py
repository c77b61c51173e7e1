"""What a target could not keep, counted while many threads write. It keeps kinds, never names.

The kinds are few (an owner, a namespace of attributes), so that it stays small however much is
lost; whoever writes a kind that strangers can choose breaks that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from threading import Lock


class Losses:
    """Kinds of things, and of how many items each was lost."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    def add(self, *kinds: str) -> None:
        """One item lost these."""
        with self._lock:
            self._counts.update(kinds)

    def told(self, *, but: Collection[str] = ()) -> dict[str, int]:
        """All of them as a person reads them, in the order of their names."""
        with self._lock:
            kinds = sorted(self._counts.items())
        return {f"{kind}: not kept by the target": n for kind, n in kinds if kind not in but}
