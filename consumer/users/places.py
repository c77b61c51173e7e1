"""Opens a unit's two places and says how its items are to be judged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from common.endpoints.place import Source, Target
from common.endpoints.registry import open_source, open_target
from common.model import Check, Receipt, Unit
from consumer.mover import Reach
from consumer.users.passing import Policy


@dataclass(frozen=True, slots=True)
class Places:
    """Both ends of one user."""

    source: Source
    target: Target

    def told(self, receipt: Receipt) -> Receipt:
        """The receipt, with what the target has to say of what it was given."""
        return replace(receipt, remarks=self.target.remarks())


@contextmanager
def places(unit: Unit, reach: Reach) -> Iterator[Places]:
    """Both places, opened; what earlier epochs of the unit left unpublished is gone by then."""
    name = unit.id.rsplit(".", 1)[-1]
    deep = bool(reach.migration.options.get("deep"))
    source = open_source(reach.migration.source, unit.key, reach.settings, deep=deep)
    try:
        target = open_target(
            reach.migration.target,
            unit.key,
            reach.settings,
            token=f"{name}.{unit.fence}",
            deep=deep,
        )
        try:
            reach.lease.still_mine()
            target.sweep(name)
            yield Places(source, target)
        finally:
            target.close()
    finally:
        source.close()


def policy(reach: Reach) -> Policy:
    """The migration's options as the judge wants them."""
    options = reach.migration.options
    return Policy(
        check=Check(options.get("check", Check.MD5)),
        overwrite=bool(options.get("overwrite", False)),
        generation=reach.migration.generation,
    )
