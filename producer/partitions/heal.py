"""Self-heal: what is wrong with who holds a partition, judged by words of the present epoch alone.

No word, an old word, or the word of one copy against the record is never a reason to remove
anything. Copies that the record does not know of, and copies that do not know the record, are the
judge's matter (`Judge.tidied`, `Judge.told`), under the same rule.
"""

from __future__ import annotations

from common.lifecycle.partitions.partition import Restore, Status, Type
from common.lifecycle.partitions.record import Record, amended, membership
from producer.partitions.facts import View
from producer.partitions.orders import mark


def healed(record: Record, view: View) -> Record | None:
    """The record as self-heal would have it; None where nothing is to be done or it is unsure."""
    good = view.good(record)
    idle = record.status is Status.INITIAL and not record.claims
    if record.restore is not Restore.STOP or not idle or record.primary not in good:
        return None
    if len(record.hosts) < record.replicas:
        return mark(record, "", type=Type.AUTO_ADD)
    if len(record.hosts) > record.replicas:
        return _fewer(record, good)
    return None


def _fewer(record: Record, good: tuple[str, ...]) -> Record | None:
    """One too many: one that is not well, else the last; as many good ones as wanted stay."""
    others = [host for host in record.hosts if host != record.primary]
    host = next((h for h in others if h not in good), others[-1])
    if len([h for h in good if h != host]) < record.replicas:
        return None
    left = tuple(other for other in record.hosts if other != host)
    return amended(record, **membership(record, hosts=left))
