"""The tally of a pass: every item counted once, by many lanes at once, and told as a receipt."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from common.digest import EMPTY, md5
from common.endpoints.place import Item, Type
from common.errors import Changing, Occupied
from common.model import Counts, Failure
from consumer.users.tally import Tally

ONE = md5(b"one").hexdigest()
FILE = Item("a", Type.FILE, 10)
OTHER = Item("b", Type.FILE, 7)
LINK = Item("l", Type.LINK, link="a")


@pytest.fixture
def tally() -> Tally:
    return Tally("ann")


def done(tally: Tally, item: Item, digest: str = ONE, *, moved: bool = True) -> None:
    tally.seen(item)
    tally.done(item, digest, moved=moved, mended=False, content=moved)


def test_nothing_seen_is_an_empty_receipt_with_the_digest_of_nothing(tally: Tally) -> None:
    receipt = tally.receipt()
    assert (receipt.counts, receipt.digest) == (Counts(), "0" * 32)
    assert (receipt.failures, receipt.notices, receipt.drafts, receipt.again) == ((), (), (), "")


def test_an_item_is_moved_mended_or_skipped(tally: Tally) -> None:
    for item, moved, mended, content in [
        (FILE, True, False, True),
        (FILE, True, True, True),
        (FILE, False, True, True),
        (OTHER, True, False, False),  # a further name: nothing of it was copied
        (OTHER, False, False, False),
    ]:
        tally.seen(item)
        tally.done(item, ONE, moved=moved, mended=mended, content=content)
    assert tally.receipt().counts == Counts(
        items=5, moved=2, mended=2, skipped=1, bytes=44, bytes_moved=30
    )


def test_an_item_that_is_gone_was_never_there_but_is_told(tally: Tally) -> None:
    done(tally, OTHER)
    tally.seen(FILE)
    tally.gone(FILE)
    tally.gone(Item("d", Type.DIRECTORY))  # directories were not counted
    receipt = tally.receipt()
    assert (receipt.counts.items, receipt.counts.bytes) == (1, 7)
    assert [notice.partition(":")[0] for notice in receipt.notices] == ["a", "d"]
    assert receipt.counts.failed == 0


def test_what_failed_is_told_by_name_with_reason_and_advice(tally: Tally) -> None:
    tally.seen(FILE)
    tally.fail("a", Occupied("a: something else"))
    tally.fail("b", ValueError("odd"))
    tally.refuse(Failure("c", "a reserved name", "rename it"))
    receipt = tally.receipt()
    assert receipt.failures == (
        Failure("a", "a: something else", Occupied.hint),
        Failure("b", "odd", ""),
        Failure("c", "a reserved name", "rename it"),
    )
    assert (receipt.counts.failed, receipt.again) == (3, "")


def test_of_two_reasons_the_first_is_told(tally: Tally) -> None:
    tally.refuse(Failure("a", "a reserved name"))
    tally.fail("a", ValueError("not there"))
    assert [failure.reason for failure in tally.receipt().failures] == ["a reserved name"]


def test_what_failed_for_a_passing_reason_wants_the_unit_tried_again(tally: Tally) -> None:
    assert tally.retry("a", Changing("it moves")) == 1
    assert tally.retry("b", Changing("it moves too")) == 2
    receipt = tally.receipt()
    assert receipt.again == "2 items want another try: a: it moves"
    assert [failure.item for failure in receipt.failures] == ["a", "b"]
    assert receipt.counts.failed == 2


@pytest.mark.parametrize("spoil", ["fail", "retry"])
def test_with_a_failure_there_is_no_digest_of_the_whole(tally: Tally, spoil: str) -> None:
    done(tally, FILE)
    getattr(tally, spoil)("b", Changing("no"))
    assert tally.receipt().digest == ""


def test_a_file_whose_contents_nobody_read_leaves_no_digest_of_the_whole(tally: Tally) -> None:
    done(tally, FILE)
    done(tally, OTHER, digest="", moved=False)
    assert tally.receipt().digest == ""
    assert tally.receipt().counts.skipped == 1


def test_a_link_is_proven_by_where_it_points(tally: Tally) -> None:
    done(tally, LINK, digest="")
    elsewhere = Tally("ann")
    done(elsewhere, LINK._replace(link="b"), digest="")
    assert tally.receipt().digest not in ("", elsewhere.receipt().digest)


def test_the_digest_tells_users_places_lengths_and_contents_apart() -> None:
    digests = set()
    for user, item, digest in [
        ("ann", FILE, ONE),
        ("bob", FILE, ONE),
        ("ann", FILE._replace(path="b"), ONE),
        ("ann", FILE._replace(size=11), ONE),
        ("ann", FILE, EMPTY),
    ]:
        tally = Tally(user)
        done(tally, item, digest)
        digests.add(tally.receipt().digest)
    assert len(digests) == 5


def test_the_digest_is_the_same_whether_items_were_moved_or_skipped_in_any_order() -> None:
    one, two = Tally("ann"), Tally("ann")
    done(one, FILE)
    done(one, LINK, digest="")
    done(two, LINK, digest="", moved=False)
    done(two, FILE, moved=False)
    assert one.receipt().digest == two.receipt().digest


def test_many_lanes_count_every_item_once(tally: Tally) -> None:
    items = [Item(str(number), Type.FILE, number) for number in range(400)]
    with ThreadPoolExecutor(8) as lanes:
        list(lanes.map(lambda item: done(tally, item), items))
        list(lanes.map(lambda item: tally.notice(f"{item.path}: odd"), items))
    receipt, alone = tally.receipt(), Tally("ann")
    for item in items:
        done(alone, item)
    total = sum(range(400))
    expected = Counts(items=400, moved=400, bytes=total, bytes_moved=total)
    assert receipt.counts == expected
    assert receipt.digest == alone.receipt().digest
    assert len(receipt.notices) == 201
    assert receipt.notices[-1] == "200 more notices like these"
