"""Removes background copies of what users have deleted since. Only while writes are held.

It looks before it removes, and no store can be trusted to do both at once: a write in between
would be lost (the model shows it). So whoever calls this holds the writes of the bucket.
"""

from __future__ import annotations

from consumer.buckets.sides import Sides
from consumer.trans.buckets.routing import leftover


def sweep(sides: Sides) -> int:
    """How many there were."""
    removed = 0
    for entry in sides.journal.buried(sides.bucket):
        if leftover(sides.found(entry.key), buried=entry.tomb):
            sides.new.delete(entry.key)
            removed += 1
    return removed
