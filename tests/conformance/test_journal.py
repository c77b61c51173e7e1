"""The journal, switches and pages keep their word on every store."""

from __future__ import annotations

import pytest

from common.errors import Conflict, IllegalTransition, Missing, Occupied
from common.lifecycle.buckets import Event, Phase
from common.store.base import Store
from common.store.gateways import Gateways
from common.store.journal import Journal
from common.store.pages import Line, Pages
from common.store.switches import Caller, Switches, Tenant

TENANT = Tenant("acme", "http://old", "http://new", "old", "new")


@pytest.fixture
def journal(document_store: Store) -> Journal:
    return Journal(document_store)


@pytest.fixture
def switches(document_store: Store) -> Switches:
    made = Switches(document_store)
    made.add_tenant(TENANT)
    return made


def test_a_tombstone_is_never_cleared(journal: Journal) -> None:
    journal.intend("b", "k", bury=True)
    assert journal.intend("b", "k").tomb
    assert journal.look("b", "k").tomb
    assert not journal.look("b", "other").tomb
    assert not journal.look("c", "k").tomb


def test_a_key_is_clean_only_when_no_change_is_open_and_all_are_replayed(journal: Journal) -> None:
    seen = journal.intend("b", "k")
    assert not journal.replayed("b", seen, shut=False)  # it is under way
    journal.settle("b", "k")
    seen = journal.look("b", "k")
    journal.intend("b", "k")
    assert not journal.replayed("b", seen, shut=False)  # it changed since
    assert journal.replayed("b", journal.look("b", "k"), shut=True)  # nothing can be under way
    assert journal.look("b", "k").clean


def test_settling_what_never_began_changes_nothing(journal: Journal) -> None:
    journal.settle("b", "k")
    journal.intend("b", "k")
    journal.settle("b", "k")
    journal.settle("b", "k")
    assert journal.look("b", "k").open == 0


def test_entries_are_found_by_range_in_the_order_of_bytes(journal: Journal) -> None:
    keys = ["a", "a/1", "b", "\u00e9", "\uffee", "\U0001f600"]
    for key in reversed(keys):
        journal.intend("b", key, bury=key == "b")
        journal.intend("c", key)
    assert [e.key for e in journal.between("b", "", None)] == keys
    assert [e.key for e in journal.between("b", "a", "b")] == ["a/1", "b"]
    assert [e.key for e in journal.buried("b")] == ["b"]


def test_a_switch_goes_along_its_table_and_raises_its_epoch(switches: Switches) -> None:
    seen = switches.add_bucket("b", "acme")
    moved = switches.advance(seen, Event.START, by="ann")
    assert (moved.phase, moved.epoch) == (Phase.TRACKING, seen.epoch + 1)
    with pytest.raises(Conflict):
        switches.advance(seen, Event.START, by="bob")
    with pytest.raises(IllegalTransition):
        switches.advance(moved, Event.SEALED, by="ann")
    assert switches.turn(moved, holding=True, by="ann").epoch == moved.epoch + 1
    assert len(switches.history("b")) == 2


def test_what_a_store_can_do_is_learnt_before_the_switch_only(switches: Switches) -> None:
    seen = switches.add_bucket("b", "acme")
    switches.learn("b", exclusive=True, matches=False)
    assert switches.get("b").exclusive
    with pytest.raises(Conflict):
        switches.advance(seen, Event.START, by="ann")
    switches.advance(switches.get("b"), Event.START, by="ann")
    switches.learn("b", exclusive=False, matches=False)
    assert switches.get("b").exclusive


def test_names_are_given_once(switches: Switches) -> None:
    switches.add_tenant(TENANT)
    with pytest.raises(Occupied):
        switches.add_tenant(Tenant("acme", "http://x", "http://new", "old", "new"))
    switches.add_caller(Caller("AK", "acme", "p", "o", "n"))
    with pytest.raises(Occupied):
        switches.add_caller(Caller("AK", "acme", "p", "o", "x"))
    switches.add_bucket("b", "acme")
    with pytest.raises(Occupied):
        switches.add_bucket("b", "other")
    with pytest.raises(Missing):
        switches.get("none")
    with pytest.raises(Missing):
        switches.tenant("none")


def test_a_page_is_kept_once_and_finished_once(document_store: Store) -> None:
    pages, lines = Pages(document_store), [Line("a", 1, "x"), Line("\u00e9", 2, "y")]
    pages.add("b", "", lines)
    pages.add("b", "", lines[:1])
    assert pages.cursor("b") == "\u00e9"
    [page] = pages.waiting("b", 10)
    assert page.lines == tuple(lines)
    pages.finish(page, moved=1, moved_bytes=1, failures=[("\u00e9", "why")])
    pages.finish(page, moved=2, moved_bytes=3, failures=[])
    progress = pages.progress("b")
    assert (progress.pages, progress.failed, progress.moved, progress.objects) == (1, 1, 1, 2)
    assert pages.failures("b") == [("\u00e9", "why")]
    assert pages.again("b") == 1
    assert pages.waiting("b", 10)[0].failures == ()
    pages.drop("b")
    assert pages.cursor("b") == ""


def test_a_gateway_beats_until_it_leaves(document_store: Store) -> None:
    gateways = Gateways(document_store)
    gateways.beat("g", {}, {}, {})
    gateways.beat("g", {"b.c": 3}, {"b.c": 1}, {"b.c": 9})
    [found] = gateways.all()
    assert (found.beat, found.seen, found.wrote) == (2, {"b.c": 3}, {"b.c": 9})
    gateways.leave("g")
    assert list(gateways.all()) == []
