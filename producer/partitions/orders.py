"""What people (and the automatics) may order: each becomes one compare-and-set, or is refused."""

from __future__ import annotations

from datetime import timedelta

from common.errors import Backpressure, Refused
from common.lifecycle.partitions.partition import PARTITION, Event, Restore, Status, Step, Type
from common.lifecycle.partitions.record import Record, advanced
from producer.partitions.judge import unlearned

_LATER = timedelta(seconds=5)


def mark(
    record: Record,
    source: str,
    *,
    disk: str = "",
    target: str = "",
    type: Type = Type.MANUAL,
    term: int = 0,
    weight: int = 0,
) -> Record:
    """Begin. Nobody else may be changing the partition's membership."""
    adds = type in (Type.AUTO_ADD, Type.MANUAL_ADD)
    if record.restore is not Restore.STOP:
        raise Backpressure(f"{record.id} is being changed: {record.restore}", retry_in=_LATER)
    if not adds and source not in record.hosts:
        raise Refused(f"{record.id} has no replica on {source}", hint="look at its hosts")
    if adds and len(record.hosts) >= record.replicas:
        raise Refused(f"{record.id} lacks no replica", hint="nothing is to be added")
    resumed = record.status is Status.PAUSED and record.source == source
    return advanced(
        record,
        Event.MARK,
        source=source,
        source_disk=disk,
        specified=target,
        target="",
        type=type,
        term=term,
        weight=weight,
        retries=0,
        rollbacks=0,
        excluded=record.excluded if resumed else (),
        step=Step.NONE,
        why="",
        restore=Restore.RUNNING if type is Type.AUTO_ADD else Restore.FORBIDDEN,
    )


def pause(record: Record) -> Record:
    """Stop for now; what was copied is put aside."""
    return _stopped(record, Event.PAUSE)


def cancel(record: Record) -> Record:
    """Stop for good: hosts are as before."""
    return _stopped(record, Event.CANCEL)


def reset(record: Record) -> Record:
    """Put one that failed again and again back to its beginnings."""
    return _stopped(record, Event.RESET)


def _stopped(record: Record, event: Event) -> Record:
    """Tokens and the right to change the membership are let go of behind this (`Judge.act`)."""
    if event not in PARTITION.events(record.status):
        raise Refused(f"{record.id} is {record.status}: {event} has no meaning now", hint="wait")
    if record.step in (Step.JOINED, Step.LEFT):
        raise Refused(
            f"{record.id}: the new replica is a host already",
            hint="it finishes by itself; decommission the new replica to go back",
        )
    return advanced(record, event, step=Step.NONE, **unlearned(record))
