"""The job `user`: one user of ordinary size, moved in one go; a huge one is cut into spans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from common.endpoints.place import Item
from common.model import Failure, Receipt, Unit
from common.settings import Settings
from consumer.mover import Reach
from consumer.users.manifest import Manifest, Piece
from consumer.users.passing import Pass
from consumer.users.places import Places, places, policy
from consumer.users.scan import cut
from consumer.users.sealing import Sealer
from consumer.users.stages import FIRST, Stage


def move(unit: Unit, reach: Reach, stage: Stage = FIRST) -> Receipt:
    """Make the target hold what the source holds of this user, or plan the spans that will."""
    with places(unit, reach) as both:
        items = gather(both.source.walk(), reach.settings)
        if items is None:
            return cut(unit, reach, both, stage)
        for _ in both.target.survey():  # from now on looking costs no request
            reach.lease.still_mine()
        return pass_over(unit, reach, both, items, Piece())


def pass_over(
    unit: Unit, reach: Reach, both: Places, items: Sequence[Item | Failure], piece: Piece
) -> Receipt:
    """One pass over these items, their directories sealed, the manifest piece kept."""
    manifest = Manifest(reach.memory, unit.key, piece)
    manifest.load({i.path for i in items if isinstance(i, Item)} if piece.tag else None)
    run = Pass(
        unit.key,
        both.source,
        both.target,
        manifest=manifest,
        lease=reach.lease,
        policy=policy(reach),
    )
    run.run(items)
    sealer = Sealer(
        both.source,
        both.target,
        reach.lease,
        run.tally,
        manifest=manifest,
        generation=reach.migration.generation,
    )
    sealer.seal(i for i in items if isinstance(i, Item))
    both.target.finish()
    manifest.keep()
    return both.told(run.tally.receipt())


def gather(items: Iterator[Item | Failure], settings: Settings) -> list[Item | Failure] | None:
    """All items in memory if they fit one unit; None as soon as they do not."""
    kept: list[Item | Failure] = []
    size = 0
    for item in items:
        kept.append(item)
        size += item.size if isinstance(item, Item) else 0
        if len(kept) > settings.unit_items or size > settings.unit_bytes:
            return None
    return kept
