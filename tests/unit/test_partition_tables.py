"""The tables of partition, disk and node, and what the record becomes."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest

from common.errors import Backpressure, ConvoyError, Refused, Stale
from common.lifecycle.partitions import disk, record
from common.lifecycle.partitions.disk import DISK
from common.lifecycle.partitions.node import NODE
from common.lifecycle.partitions.partition import (
    CODES,
    PARTITION,
    Event,
    Restore,
    Status,
    Step,
    Type,
)
from common.lifecycle.partitions.record import Record
from common.machine import Machine
from producer.partitions import orders

TABLES: list[Machine[Any, Any]] = [PARTITION, DISK, NODE]
every_table = pytest.mark.parametrize("table", TABLES, ids=lambda table: str(table.name))


def a_record(**fields: Any) -> Record:
    return Record("7", 3, ("a", "b", "c"), "a")._replace(**fields)


@every_table
def test_every_status_is_reachable_and_an_end_can_be_reached_from_each(
    table: Machine[Any, Any],
) -> None:
    kind: type[StrEnum] = type(table.start)
    statuses = set(kind)
    assert {table.start, *table.reachable(table.start)} == statuses
    assert all({s, *table.reachable(s)} & table.ends() for s in statuses)


@every_table
def test_every_event_happens_somewhere(table: Machine[Any, Any]) -> None:
    kind: type[StrEnum] = type(table.edges[0].event)
    assert {edge.event for edge in table.edges} == set(kind)


def test_every_status_has_the_number_that_the_fields_tools_expect() -> None:
    assert [CODES[status] for status in Status] == [0, 1, 2, 3, 4, 5, 6]
    assert [disk.CODES[status] for status in disk.Status] == [0, 1, 2, 4, 5, 6, 7]
    assert [CODES[restore] for restore in Restore] == [0, 1, 2]
    assert [CODES[type] for type in Type] == [1, 2, 4, 5]


def test_nothing_runs_that_was_not_prepared_and_nothing_is_done_that_did_not_run() -> None:
    assert PARTITION.sources(Event.START) == {Status.PREPARE}
    assert PARTITION.sources(Event.PREPARE) == {Status.MARKED}
    assert PARTITION.sources(Event.FORGET) == {Status.SUCCESS}


def test_a_host_is_dropped_only_by_the_primary_of_the_present_epoch_and_not_below_the_floor() -> (
    None
):
    fewer = record.dropped(a_record(), "c", 1)
    assert (fewer.hosts, fewer.epoch, fewer.version) == (("a", "b"), 2, 1)
    with pytest.raises(Refused, match="1 of 3 replicas"):
        record.dropped(fewer, "b", 2)
    with pytest.raises(Stale):
        record.dropped(fewer, "b", 1)
    with pytest.raises(Stale):
        record.dropped(a_record(), "a", 1)


def test_an_attestation_holds_until_the_learner_misses_something_or_hosts_change() -> None:
    learning = a_record(learners=("d",), generation=4)
    sure = record.attested(learning, 1, 4)
    assert sure.complete
    assert not record.missed(sure, 1).complete
    assert not record.dropped(sure, "c", 1).complete
    with pytest.raises(Stale):
        record.attested(record.missed(learning, 1), 1, 4)
    with pytest.raises(Stale):
        record.attested(a_record(), 1, 0)


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("order", [orders.pause, orders.cancel, orders.reset])
def test_an_order_is_an_edge_of_the_table_or_is_refused(
    status: Status, step: Step, order: Any
) -> None:
    learners = ("d",) if step is Step.COPY else ()
    before = a_record(status=status, step=step, learners=learners, restore=Restore.FORBIDDEN)
    event = Event(order.__name__)
    if step in (Step.JOINED, Step.LEFT) or event not in PARTITION.events(status):
        with pytest.raises(Refused):
            order(before)
        return
    after = order(before)
    assert after.status is PARTITION.after(status, event)
    assert (after.hosts, after.learners) == (before.hosts, ())
    assert (after.epoch > before.epoch) == bool(learners)


def test_only_one_may_change_the_hosts_of_a_partition_at_a_time() -> None:
    marked = orders.mark(a_record(), "a")
    assert marked.restore is Restore.FORBIDDEN
    for busy in (marked, a_record(restore=Restore.RUNNING)):
        with pytest.raises(Backpressure):
            orders.mark(busy, "b")
    adding = orders.mark(a_record(hosts=("a", "b")), "", type=Type.AUTO_ADD)
    assert adding.restore is Restore.RUNNING


@pytest.mark.parametrize(
    ("before", "source", "type"),
    [
        (a_record(), "z", Type.MANUAL),
        (a_record(), "", Type.AUTO_ADD),
        (a_record(), "", Type.MANUAL_ADD),
    ],
)
def test_what_makes_no_sense_is_refused(before: Record, source: str, type: Type) -> None:
    with pytest.raises(ConvoyError):
        orders.mark(before, source, type=type)
