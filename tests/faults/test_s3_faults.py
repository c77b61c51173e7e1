"""What a network does to S3 traffic, provoked by a proxy before real servers.

Where a limit is tested it is one second, so that what is slow but alive must be told from what is
dead; elsewhere limits are as long as anywhere, because tests share their machine.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from common.digest import md5
from common.endpoints.place import Item
from common.endpoints.s3.ledger import NOTES
from common.endpoints.wire import Origin, Silent, Timeouts, Wire
from common.errors import Changing, Corrupt, Occupied, Transient
from tests.servers.proxy import Fault, Proxy, before
from tests.servers.s3 import Store
from tests.servers.s3_places import Place, cut, file

SHORT = timedelta(seconds=1)
HASTY = Timeouts(connect=SHORT, first_byte=SHORT, idle_read=SHORT, idle_write=SHORT)
MEBI = 1 << 20
SMALL = bytes(range(256)) * 400  # 100 KiB
LARGE = bytes(range(256)) * (11 * MEBI // 256)
HUGE = b"".join(number.to_bytes(4, "big") for number in range(33 * MEBI // 4))
PARTS = {"layout:part": str(5 * MEBI)}


@contextmanager
def behind(store: Store, prefix: str) -> Iterator[tuple[Place, Place, Proxy]]:
    """A place as it is, the same place behind a proxy, and the proxy."""
    with before(store.endpoint) as proxy:
        yield Place(store, prefix), Place(store.through(proxy.url), prefix), proxy


@pytest.fixture
def careless(moto: Store, prefix: str) -> Iterator[tuple[Place, Place, Proxy]]:
    """Before a server that stores what it gets, whatever Content-MD5 says."""
    with behind(moto, prefix) as three:
        yield three


@pytest.fixture
def careful(rclone_store: Store, prefix: str) -> Iterator[tuple[Place, Place, Proxy]]:
    """Before a server that checks Content-MD5 and keeps its connections."""
    with behind(rclone_store, prefix) as three:
        yield three


Three = tuple[Place, Place, Proxy]


def hasty(place: Place) -> Place:
    """The same place for somebody who does not wait long."""
    return replace(place, limits=HASTY)


def known(place: Place, path: str) -> Item:
    return place.walk()[path]


# -- reading ------------------------------------------------------------------------------------


def test_an_object_that_drips_arrives_however_long_it_takes(careless: Three) -> None:
    near, far, proxy = careless
    near.raw("x", SMALL)
    item = known(near, "x")
    proxy.set(down=Fault(piece=1024, pause=0.03))  # 100 pieces: thrice any limit
    with hasty(far).source() as source, source.open(item) as content:
        assert content.whole() == SMALL


def test_a_store_that_says_nothing_is_given_up_at_its_limit_and_not_asked_again(
    careless: Three,
) -> None:
    near, far, proxy = careless
    near.raw("x", SMALL)
    item = known(near, "x")
    proxy.set(down=Fault(hush_after=0))
    with hasty(far).source() as source, pytest.raises(Silent):
        source.open(item)
    assert proxy.connections == 1


def test_a_store_that_stops_half_way_is_given_up_at_its_limit(careless: Three) -> None:
    near, far, proxy = careless
    near.raw("x", SMALL)
    item = known(near, "x")
    proxy.set(down=Fault(hush_after=50_000))
    with hasty(far).source() as source:
        with source.open(item) as content, pytest.raises(Silent):
            content.whole()
        with source.open(item) as content, pytest.raises(Silent):
            list(content.chunks())


@pytest.mark.parametrize("fault", [Fault(cut_after=50_000), Fault(end_after=50_000)])
def test_an_answer_that_is_cut_is_taken_up_again(careless: Three, fault: Fault) -> None:
    near, far, proxy = careless
    near.raw("x", SMALL)
    item = known(near, "x")
    with far.source() as source:
        proxy.set(down=fault, times=1)
        with source.open(item) as content:
            assert content.whole() == SMALL
        proxy.set(down=fault, times=1)
        with source.open(item) as content:
            assert b"".join(map(bytes, content.chunks())) == SMALL


def test_an_answer_that_is_cut_again_and_again_goes_on_as_long_as_it_gets_on(
    careless: Three,
) -> None:
    near, far, proxy = careless
    near.raw("large", LARGE)
    item = known(near, "large")
    proxy.set(down=Fault(end_after=2 * MEBI))
    with far.source() as source, source.open(item) as content:
        assert b"".join(map(bytes, content.chunks())) == LARGE
    assert proxy.connections >= 6


def test_a_huge_object_is_read_in_stretches_and_in_order_whatever_breaks(careless: Three) -> None:
    near, far, proxy = careless
    near.raw("huge", HUGE)
    item = known(near, "huge")
    proxy.set(down=Fault(end_after=3 * MEBI), after=1, times=3)
    with far.source() as source, source.open(item) as content:
        assert md5(b"".join(map(bytes, content.chunks()))).digest() == md5(HUGE).digest()
        inner = b"".join(map(bytes, content.chunks(5, len(HUGE) - 7)))
        assert inner == HUGE[5:-7]
    assert proxy.connections > 8


def test_a_huge_object_that_is_not_read_to_its_end_leaves_nothing_waiting(careless: Three) -> None:
    near, far, _ = careless
    near.raw("huge", HUGE)
    with far.source() as source:
        with source.open(known(near, "huge")) as content:
            chunks = content.chunks()
            assert bytes(next(chunks)) == HUGE[: 8 * MEBI]
            del chunks
        assert [item.path for item in source.walk() if isinstance(item, Item)] == ["", "huge"]


def test_a_huge_object_behind_a_silent_line_is_given_up_at_its_limit(careless: Three) -> None:
    near, far, proxy = careless
    near.raw("huge", HUGE)
    item = known(near, "huge")
    proxy.set(down=Fault(hush_after=2 * MEBI))
    with hasty(far).source() as source, source.open(item) as content, pytest.raises(Silent):
        list(content.chunks())


def test_an_answer_that_never_gets_on_is_an_error(careless: Three) -> None:
    near, far, proxy = careless
    near.raw("x", SMALL)
    item = known(near, "x")
    proxy.set(down=Fault(end_after=1000))
    with far.source() as source, source.open(item) as content, pytest.raises(Transient):
        list(content.chunks())


def test_what_was_taken_up_again_is_never_pieced_together_from_two_versions(
    careless: Three,
) -> None:
    near, far, proxy = careless
    near.raw("large", LARGE)
    item = known(near, "large")
    proxy.set(down=Fault(end_after=3 * MEBI))
    with far.source() as source, source.open(item) as content:
        chunks = content.chunks()
        next(chunks)
        near.raw("large", LARGE[::-1])
        with pytest.raises(Changing):
            list(chunks)


def test_a_byte_damaged_on_the_way_here_is_found_by_the_digest(careless: Three) -> None:
    near, far, proxy = careless
    near.raw("x", SMALL)
    item = known(near, "x")
    proxy.set(down=Fault(flip_at=60_000))
    with far.source() as source, source.open(item) as content:
        assert content.item.md5 == md5(SMALL).hexdigest() != md5(content.whole()).hexdigest()


def test_a_damaged_listing_is_never_a_shorter_one(careless: Three) -> None:
    near, far, proxy = careless
    for number in range(20):
        near.raw(f"f{number:02}", b"x")
    proxy.set(down=Fault(end_after=2000), times=1)
    assert sorted(far.walk()) == ["", *(f"f{number:02}" for number in range(20))]


# -- writing ------------------------------------------------------------------------------------


def test_a_link_that_is_slow_delays_a_file_and_fails_nothing(careless: Three) -> None:
    near, far, proxy = careless
    data = LARGE[: 6 * MEBI]
    hasty(far).put("first", b"x")
    proxy.set(up=Fault(piece=65536, pause=0.02, buffer=65536))  # two seconds and more
    hasty(far).put("x", data)
    assert near.seen("x")[0] == data


def test_a_byte_damaged_on_the_way_there_is_noticed_by_a_careful_store(careful: Three) -> None:
    near, far, proxy = careful
    far.put("first", b"x")
    proxy.set(up=Fault(flip_at=60_000))
    with pytest.raises(Corrupt, match="BadDigest"):
        hasty(far).put("x", SMALL)  # over a connection of its own
    assert near.listed() == ["first"]


def test_a_byte_damaged_on_the_way_there_is_noticed_although_the_store_did_not(
    careless: Three,
) -> None:
    near, far, proxy = careless
    proxy.set(up=Fault(flip_at=60_000), times=1)
    with pytest.raises(Corrupt, match="but the target holds"):
        far.put("x", SMALL)
    assert near.listed() == []


def test_a_byte_damaged_in_one_part_spoils_the_file_before_it_is_joined(careless: Three) -> None:
    near, far, proxy = careless
    with far.target() as target:
        proxy.set(up=Fault(flip_at=4 * MEBI))
        with pytest.raises(Corrupt, match=r"part \d"):
            target.stream(file("large", len(LARGE)), cut(LARGE), md5(), PARTS)
    assert near.listed() == [] and near.uploads() == []


def test_an_answer_lost_after_the_write_is_settled_by_looking(careless: Three) -> None:
    near, far, proxy = careless
    near.put("first", b"x")
    proxy.set(down=Fault(cut_after=1), times=1)
    held = far.put("x", SMALL)
    assert held.md5 == md5(SMALL).hexdigest()
    assert near.seen("x")[0] == SMALL


def test_an_answer_lost_is_no_excuse_to_write_over_others(careless: Three) -> None:
    near, far, proxy = careless
    near.raw("x", b"theirs")
    proxy.set(down=Fault(cut_after=1), times=1)
    with pytest.raises(Occupied):
        far.put("x", SMALL)
    assert near.seen("x")[0] == b"theirs"


def test_an_answer_lost_after_the_joining_is_settled_by_looking(careless: Three) -> None:
    near, far, proxy = careless
    with far.target() as target:
        staged = target.stream(file("large", len(LARGE)), cut(LARGE), md5(), PARTS)
        proxy.set(down=Fault(cut_after=1), after=1, times=1)  # the look before it is spared
        held = target.publish(staged, None)
    assert held.version == staged.held.version
    assert near.seen("large")[0] == LARGE and near.listed() == ["large"]


def test_a_store_that_takes_nothing_is_given_up_at_its_limit(careless: Three) -> None:
    _, far, proxy = careless
    proxy.set(up=Fault(stall_after=1000, buffer=4096))
    with pytest.raises(Silent):
        hasty(far).put("x", LARGE)


def test_parts_that_have_arrived_are_not_sent_again(careless: Three) -> None:
    near, far, proxy = careless
    item, part = file("huge", len(LARGE)), 5 * MEBI
    with far.target("one.1") as target:
        place = target.begin(item, "group", {}, part)
        target.write(item, place, 0, cut(LARGE[: 2 * part]), md5(), part)
    before_ = proxy.sent
    with far.target("one.2") as target:
        assert target.begin(item, "group", {}, part) == place
        target.write(item, place, 0, cut(LARGE), md5(), part)
        assert proxy.sent - before_ < 2 * MEBI  # the last part, of one mebibyte
        target.publish(target.join(item, place, part), None)
    assert near.seen("huge")[0] == LARGE


def test_a_part_that_changed_since_it_arrived_is_sent_again(careless: Three) -> None:
    near, far, _ = careless
    item, part = file("huge", len(LARGE)), 5 * MEBI
    with far.target("one.1") as target:
        place = target.begin(item, "group", {}, part)
        target.write(item, place, 0, cut(LARGE[::-1]), md5(), part)
        target.write(item, place, 0, cut(LARGE), md5(), part)
        target.publish(target.join(item, place, part), None)
    assert near.seen("huge")[0] == LARGE


def test_a_source_that_breaks_leaves_no_upload_behind(careless: Three) -> None:
    near, far, _ = careless

    def breaking() -> Iterator[memoryview]:
        yield from cut(LARGE[: 6 * MEBI])
        raise Transient("the source broke")

    with far.target() as target, pytest.raises(Transient, match="source"):
        target.stream(file("large", len(LARGE)), breaking(), md5(), PARTS)
    assert near.listed() == [] and near.uploads() == []


def test_a_consumer_that_dies_leaves_a_note_by_which_the_next_epoch_cleans_up(
    careless: Three,
) -> None:
    near, far, _ = careless
    with far.target("unit.1") as target:
        target.stream(file("large", len(LARGE)), cut(LARGE), md5(), PARTS)
    assert [key for key in near.listed() if key.startswith(NOTES)] and near.uploads() == ["large"]
    with far.target("unit.2") as target:
        assert list(target.survey()) == []
        target.sweep("unit")
    assert near.listed() == [] and near.uploads() == []


def test_a_server_that_does_not_accept_is_given_up_at_its_limit() -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = full.getsockname()
        for _ in range(3):  # more than the queue holds
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        wire = Wire(Origin("http", *address), HASTY)
        with pytest.raises(Silent, match="no connection"):
            wire.ask("GET", "/", {})
        wire.close()
