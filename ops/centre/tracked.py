"""One migration as the centre knows it: its record, its row, and how its counters moved."""

from __future__ import annotations

from dataclasses import dataclass, field

from common.store.migrations import Brief
from ops.centre.rows import Counted, Row
from ops.watching import Window


@dataclass(slots=True)
class Tracked:
    """One migration, and how its counters moved."""

    brief: Brief
    row: Row
    counted: Counted | None = None
    window: Window = field(default_factory=Window)
    due: float = 0.0  # when it may be counted again

    @property
    def uncounted(self) -> bool:
        """Was nothing counted of the present generation yet?"""
        return self.counted is None or self.counted.generation != self.brief.generation
