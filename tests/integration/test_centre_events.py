"""What changes in the fleet is told as it changes, and nothing is lost by a cut line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from common.store.connect import connect
from ops.centre import news as told
from ops.centre.centre import STREAMS_OF_ONE
from ops.centre.news import News, stream
from tests.factories import Ground
from tests.guest import Guest
from tests.scenery import ground_of, moving
from tests.servers.centre import PASSWORD, Serving, centre
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("centre")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("centre")


@pytest.fixture(scope="module")
def serving(home: Path) -> Iterator[Serving]:
    with centre(home, CONVOY_ALARM_LOOK="500ms") as found:
        yield found


@pytest.fixture(scope="module")
def ann(serving: Serving) -> Guest:
    guest = Guest(serving.url)
    assert guest.log_in("ann", PASSWORD).status == 204
    return guest


@pytest.fixture
def ground(home: Path) -> Iterator[Ground]:
    store = connect(f"sqlite:///{home}/state.db")
    yield Ground(store)
    store.close()


def made(home: Path, name: str) -> str:
    """A migration that is just now being made."""
    with ground_of(home) as ground:
        ground.turned.now = time.time()
        return moving(ground, name).id


def test_a_change_arrives_without_being_asked_for(ann: Guest, home: Path) -> None:
    with ann.listening() as ear:
        id = made(home, "live")
        ear.until("migrations", id)
        ann.post(f"/migrations/{id}/pause")
        while (row := ear.until("migrations", id))["hold"] is None:
            pass
        assert (row["hold"], row["state"]) == ("paused", "paused")


def test_who_asks_for_one_migration_hears_of_that_one(ann: Guest, home: Path) -> None:
    one, other = made(home, "this"), made(home, "other")
    with ann.listening(migration=one) as ear:
        ann.post(f"/migrations/{other}/pause")
        ann.post(f"/migrations/{one}/drain")
        while True:
            event, data = ear.next()
            assert event not in ("", "migrations")
            if event == "migration":
                assert data["id"] == one
                if data["hold"] == "draining":
                    break


def test_what_happened_while_the_line_was_cut_is_told_afterwards(ann: Guest, home: Path) -> None:
    with ann.listening() as ear:
        id = made(home, "cut")
        ear.until("migrations", id)
        last = ear.last
    seen: list[str | None] = []
    with ann.listening() as other:  # the fleet is looked at meanwhile
        for word in ("pause", "resume", "drain"):
            ann.post(f"/migrations/{id}/{word}")
            hold = {"pause": "paused", "resume": None, "drain": "draining"}[word]
            while other.until("migrations", id)["hold"] != hold:
                pass
    with ann.listening(last) as ear:
        while not seen or seen[-1] != "draining":
            seen.append(ear.until("migrations", id)["hold"])
    assert [hold for n, hold in enumerate(seen) if n == 0 or seen[n - 1] != hold][-3:] == [
        "paused",
        None,
        "draining",
    ]


@pytest.mark.parametrize("last", ["x", "00000000-1", "-", "1" * 5000, "\x7f"])
def test_who_comes_back_from_somewhere_unknown_begins_again(ann: Guest, last: str) -> None:
    with ann.listening(last) as ear:
        assert ear.next() == ("reset", {})


def test_the_same_place_can_be_said_in_the_address(ann: Guest) -> None:
    with ann.listening(last="elsewhere-7") as ear:
        assert ear.next() == ("reset", {})


def test_consumers_that_come_and_go_are_told(ann: Guest, ground: Ground) -> None:
    with ann.listening() as ear:
        ground.consumers.beat("c77@h77", host="h77", unit="")
        while not [r for r in ear.until("consumers")["rows"] if r["name"] == "c77@h77"]:
            pass
        ground.consumers.leave("c77@h77")
        while {"name": "c77@h77", "gone": True} not in ear.until("consumers")["rows"]:
            pass


def test_an_alarm_that_rises_is_told_by_itself(ann: Guest, home: Path) -> None:
    with ann.listening() as ear:
        made(home, "alarming")  # has a unit in quarantine
        while True:
            found = {row["name"]: row["state"] for row in ear.until("alarms")["rows"]}
            if found.get("Quarantine") == "raised":
                break


def test_a_stream_ends_in_good_order_when_the_centre_does(tmp_path: Path) -> None:
    with centre(tmp_path) as serving:
        guest = Guest(serving.url)
        guest.log_in("vera", PASSWORD)
        with guest.listening() as ear:
            serving.child.tell(15)
            while ear.next() != ("", None):
                pass
    assert serving.child.code == 0


def collected(news: News, many: int, *, last: str = "", alive: int = 99) -> list[bytes]:
    """The first messages of a stream."""
    left = [alive]

    def living() -> bool:
        left[0] -= 1
        return left[0] >= 0

    async def read() -> list[bytes]:
        found: list[bytes] = []
        pieces: AsyncIterator[Any] = stream(
            news, last=last, migration="", alive=living, beat=0.02, poll=0.01
        )
        async for piece in pieces:
            found.append(piece)
            if len(found) == many:
                break
        return found

    return asyncio.run(read())


def test_who_falls_behind_is_told_to_begin_again() -> None:
    news = News()
    news.tell("migrations", [{"id": "first"}])
    place = news.id(news.last)
    for number in range(told.MOST + 1):
        news.tell("migrations", [{"id": str(number)}])
    found = collected(news, 2, last=place)
    assert b"event: reset" in found[1]


def test_nothing_between_two_places_is_missing() -> None:
    news = News()
    for number in range(10):
        news.tell("migrations", [{"id": str(number)}])
    found = collected(news, 8, last=news.id(3))
    assert [piece.split(b'"id":"')[1][:1] for piece in found[1:]] == [
        b"%d" % n for n in range(3, 10)
    ]


def test_many_rows_are_several_messages() -> None:
    news = News()
    news.tell("consumers", [{"name": str(number)} for number in range(told.ROWS * 2 + 1)])
    assert [len(item.rows) for item in news.since(0) or []] == [told.ROWS, told.ROWS, 1]


def test_a_silent_stream_says_now_and_then_that_it_is_there() -> None:
    found = collected(News(), 4)
    assert found[2:] == [b": still here\nevent: beat\ndata: {}\n\n"] * 2


def test_a_stream_ends_with_the_session() -> None:
    found = collected(News(), 99, alive=0)
    assert len(found) == 2


def test_text_cannot_break_out_of_its_message() -> None:
    news = News()
    news.tell("migrations", [{"id": "x\n\nevent: reset\ndata: {}\r\u2028"}])
    [item] = news.since(0) or []
    assert b"\n" not in item.data and b"\r" not in item.data


def test_news_that_are_too_heavy_are_forgotten_before_they_are_too_many() -> None:
    news = News()
    for number in range(40):
        news.tell("migrations", [{"id": str(number), "x": "x" * (told.WEIGHT // 10)}])
    kept = news.since(news.last - 5) or []
    assert len(kept) == 5
    assert news.since(news.last - 11) is None


def test_nobody_listens_more_often_than_a_few_times(ann: Guest) -> None:
    with ExitStack() as stack:
        for _ in range(STREAMS_OF_ONE):
            stack.enter_context(ann.listening())
        reply = ann.get("/events")
        assert (reply.status, reply.code) == (429, "too_many")

    def again() -> bool:
        with ann.listening() as ear:  # asserts that it is let in
            return ear.answer.status == 200

    assert eventually(again)
