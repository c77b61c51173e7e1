"""The exporter counts what store and broker really hold, at a bounded cost, and says no names."""

from __future__ import annotations

import http.client
import signal
import sys
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from common.errors import Denied, Refused
from common.lifecycle.users import Event
from common.model import Counts, Draft, Hold, Kind, Migration, Receipt, Unit
from common.queue.app import make_app
from common.queue.messages import Message, Outbox
from common.settings import Settings
from common.store.connect import connect
from ops.exporter.facts import Facts
from ops.exporter.look import OLD, Observer
from ops.exporter.metrics import FRESH, LATE, SHARE, Cache
from ops.exporter.server import exporting, parse
from ops.host import wanted
from ops.host.journal import ALARMED, CALMED, FLEET
from ops.host.roles import role
from ops.host.wanted import Wanted
from tests.factories import Ground, Turned, settings_for
from tests.servers.ports import free_port
from tests.servers.processes import server
from tests.waiting import eventually

Samples = dict[tuple[str, ...], float]
DRAFTS = [Draft("move", name) for name in ("ann", "bob", "cy", "dan", "eve")]


@pytest.fixture
def settings(tmp_path: Path, broker_url: str) -> Settings:
    return settings_for(
        tmp_path / "home", broker_url=broker_url, state_url=f"sqlite:///{tmp_path}/state.db"
    )


@pytest.fixture
def ground(settings: Settings) -> Iterator[Ground]:
    store = connect(settings.state())
    yield Ground(store)
    store.close()


def claimed(ground: Ground, migration: Migration, key: str, owner: str = "c01@h") -> Unit:
    unit = next(u for u in ground.units.due(migration, 10) if u.key == key)
    taken = ground.units.claim(migration, unit.id, unit.epoch, owner=owner)
    assert taken is not None
    return taken


def finish(ground: Ground, migration: Migration, key: str, moved: int, size: int) -> None:
    taken = claimed(ground, migration, key)
    counts = Counts(items=moved, moved=moved, bytes=size, bytes_moved=size)
    ground.units.finish(taken, Receipt(counts), seconds=1.0)


def scraped(address: str) -> Samples:
    """Every sample by its name and the values of its labels."""
    with urllib.request.urlopen(address, timeout=20) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        (s.name.removeprefix("convoy_"), *s.labels.values()): s.value
        for family in families
        for s in family.samples
    }


def test_a_scrape_says_what_store_and_broker_hold(ground: Ground, settings: Settings) -> None:
    migration = ground.moving(DRAFTS)
    ground.turned.turn(timedelta(seconds=30))
    finish(ground, migration, "ann", 7, 700)
    claimed(ground, migration, "bob")
    parked = claimed(ground, migration, "cy", "c02@h")
    ground.units.quarantine(parked, why="no room")
    for name in ("c01@h", "c02@h"):
        ground.consumers.beat(name)
    outbox = Outbox(make_app(settings))
    outbox.publish("users", [Message(migration.id, f"unit{n}", 1) for n in range(3)])
    with redis.Redis.from_url(settings.broker()) as client:
        client.hset("convoy:unacked", "tag", "message")
        client.zadd("convoy:unacked_index", {"tag": ground.turned.now - 40})
    with exporting(settings, ("127.0.0.1", 0), ground.clock) as address:
        found = scraped(address)
    assert found.pop(("look_seconds",)) == 0  # the clock stands
    assert found == {
        ("store_up",): 1,
        ("broker_up",): 1,
        ("units", "users", "queued"): 2,
        ("units", "users", "running"): 1,
        ("units", "users", "done"): 1,
        ("units", "users", "quarantined"): 1,
        ("open_units", "users"): 3,
        ("unit_due_age_seconds", "users"): 30,
        ("progress_age_seconds", "users"): 0,
        ("items_moved_total", "users"): 7,
        ("moved_bytes_total", "users"): 700,
        ("migrations", "users", "planning"): 0,
        ("migrations", "users", "moving"): 1,
        ("migrations", "users", "done"): 0,
        ("migrations", "users", "cancelled"): 0,
        ("consumers_wanted",): 2,
        ("consumers_alive",): 2,
        ("posts_alarmed",): 0,
        ("leases_lapsing",): 0,
        ("queue_messages", "users"): 3,
        ("unacknowledged_messages",): 1,
        ("unacknowledged_age_seconds",): 40,
    }


def test_what_a_watchdog_gave_up_on_is_counted_until_it_is_called_off_or_a_day_old(
    ground: Ground, settings: Settings
) -> None:
    def tell(what: str, post: str) -> None:
        ground.events.add(FLEET, what, by="watchdog", why="died", role="consumer", post=post)
        ground.turned.turn(timedelta(seconds=1))

    tell(ALARMED, "c01@h")
    ground.turned.turn(OLD)
    tell(ALARMED, "c02@h")
    tell(CALMED, "c02@h")
    tell(ALARMED, "c03@h")
    records = Observer(settings, ground.clock).look().records
    assert records is not None
    assert records.alarmed == {"consumer c03@h": "died"}


def test_every_living_consumer_is_told_by_its_own_counters(
    ground: Ground, settings: Settings
) -> None:
    counters = {"units/moved": 7, "microseconds/move": 2_500_000, "tomorrow/counts": 1}
    ground.consumers.beat("c01@h", unit="", counters=counters)
    ground.consumers.beat("c02@h", unit="")  # of an earlier version
    ground.consumers.beat('c03@"h"\n', unit="", counters={"failures/Denied": 2})
    with exporting(settings, ("127.0.0.1", 0), ground.clock) as address:
        seen = scraped(address)
        assert seen["consumer_units_total", "c01@h", "moved"] == 7
        assert seen["consumer_seconds_total", "c01@h", "move"] == 2.5
        assert seen["consumer_failures_total", 'c03@"h"\n', "Denied"] == 2
        assert not any("tomorrow" in word or "c02@h" in word for key in seen for word in key)
        ground.turned.turn(settings.lease + FRESH)
        ground.consumers.beat("c01@h", unit="", counters=counters)
        told = {key[1] for key in scraped(address) if key[0].startswith("consumer_")}
        assert told == {"c01@h"}  # the others are silent


def test_silence_is_seen_by_our_own_clock_and_a_beat_ends_it(
    ground: Ground, settings: Settings
) -> None:
    migration, observer = ground.moving(), Observer(settings, ground.clock)
    taken = claimed(ground, migration, "ann")
    for name in ("c01@h", "c02@h"):
        ground.consumers.beat(name)
    observer.look()
    ground.turned.turn(settings.lease)
    ground.consumers.beat("c01@h")
    records = observer.look().records
    assert records is not None
    assert (records.wanted, records.alive, records.lapsing) == (2, 1, 1)
    assert records.works[Kind.USERS].still == settings.lease.total_seconds()
    ground.units.beat(taken, live_items=1, live_bytes=5)
    records = observer.look().records
    assert records is not None
    assert (records.lapsing, records.works[Kind.USERS].still) == (0, 0)


def test_counters_never_fall_and_keep_what_ended_between_two_looks(
    ground: Ground, settings: Settings
) -> None:
    migration, observer = ground.moving(DRAFTS[:2]), Observer(settings, ground.clock)
    finish(ground, migration, "ann", 3, 300)
    observer.look()
    assert observer.moved.of(Kind.USERS) == (3, 300)
    finish(ground, migration, "bob", 2, 200)
    ended = ground.migrations.advance(migration, Event.MOVED, by="test")
    records = observer.look().records
    assert records is not None
    assert sum(records.works[Kind.USERS].units.values()) == 0  # it is at an end
    assert observer.moved.of(Kind.USERS) == (5, 500)
    ground.migrations.renew(ended, Event.AGAIN, by="test")
    observer.look()
    assert observer.moved.of(Kind.USERS) == (5, 500)


def test_a_unit_that_counts_less_at_its_next_try_lets_no_counter_fall_or_jump(
    ground: Ground, settings: Settings
) -> None:
    migration, observer = ground.moving(DRAFTS[:2]), Observer(settings, ground.clock)
    parked = Receipt(Counts(items=5, moved=5, bytes=50, bytes_moved=50))
    ground.units.quarantine(claimed(ground, migration, "ann"), why="x", receipt=parked)
    observer.look()
    assert observer.moved.of(Kind.USERS) == (5, 50)
    ground.units.release(migration, by="test")
    finish(ground, migration, "ann", 2, 20)
    observer.look()
    assert observer.moved.of(Kind.USERS) == (5, 50)
    finish(ground, migration, "bob", 4, 40)
    observer.look()
    assert observer.moved.of(Kind.USERS) == (6, 60)


def test_a_migration_that_is_held_has_no_open_and_no_due_units(
    ground: Ground, settings: Settings
) -> None:
    migration, observer = ground.moving(DRAFTS), Observer(settings, ground.clock)
    ground.migrations.amend(migration, by="test", what="paused", hold=Hold.PAUSED.value)
    ground.turned.turn(timedelta(minutes=5))
    observer.look()
    ground.turned.turn(timedelta(minutes=5))
    records = observer.look().records
    assert records is not None
    work = records.works[Kind.USERS]
    assert (sum(work.units.values()), work.open, work.due, work.still) == (5, 0, None, 0)


def test_wanted_is_what_was_said_or_what_the_host_wants_or_who_is_known(
    ground: Ground, settings: Settings
) -> None:
    def seen(known: Settings) -> int:
        records = Observer(known, ground.clock).look().records
        assert records is not None
        return records.wanted

    assert seen(settings) == 0
    ground.consumers.beat("c01@h")
    assert seen(settings) == 1
    wanted.write(settings.home, Wanted("consumer", 4, on=True))
    assert seen(settings) == 4
    wanted.write(settings.home, Wanted("consumer", 4, on=False))
    assert seen(settings) == 1
    assert seen(settings.model_copy(update={"wanted": 3350})) == 3350
    (settings.home / "wanted" / f"{role('consumer').name}.json").write_text("{")
    assert seen(settings) == 1


def test_what_is_away_is_absent_and_the_other_is_told_all_the_same(
    ground: Ground, settings: Settings, tmp_path: Path
) -> None:
    ground.moving()
    deaf = settings_for(
        settings.home, broker_url="redis://127.0.0.1:1/0", state_url=settings.state()
    )
    with exporting(deaf, ("127.0.0.1", 0)) as address:
        found = scraped(address)
    assert (found["store_up",], found["broker_up",]) == (1, 0)
    assert found["units", "users", "queued"] == 1
    assert ("queue_messages", "users") not in found
    (tmp_path / "file").touch()
    lost = settings_for(
        settings.home, broker_url=settings.broker(), state_url=f"sqlite:///{tmp_path}/file/x.db"
    )
    with exporting(lost, ("127.0.0.1", 0)) as address:
        found = scraped(address)
    assert (found["store_up",], found["broker_up",]) == (0, 1)
    assert found["queue_messages", "users"] == 0
    assert ("units", "users", "queued") not in found


def test_on_a_machine_where_nothing_runs_the_broker_is_not_spoken_of(tmp_path: Path) -> None:
    with exporting(settings_for(tmp_path / "home"), ("127.0.0.1", 0)) as address:
        found = scraped(address)
    assert found["store_up",] == 1
    assert ("broker_up",) not in found


@dataclass(slots=True)
class Slow(Observer):
    """Each look takes three seconds of its clock, and as long as `free` is not set."""

    free: threading.Event = field(default_factory=threading.Event)

    def look(self) -> Facts:
        assert self.free.wait(60)
        self.clock.sleep(3.0)
        return replace(Observer.look(self), spent=3.0)


def test_however_many_scrape_a_look_is_taken_every_five_seconds_at_most(
    ground: Ground, settings: Settings
) -> None:
    turned = Turned()
    cache = Cache(Observer(settings, turned.clock()))
    first = cache.facts()
    turned.turn(FRESH - timedelta(seconds=0.1))
    assert cache.facts() is first
    turned.turn(timedelta(seconds=0.1))
    assert cache.facts() is not first


def test_looks_that_are_slow_take_a_tenth_of_the_time_and_hold_up_no_scrape(
    ground: Ground, settings: Settings
) -> None:
    turned = Turned()
    slow = Slow(settings, turned.clock())
    cache = Cache(slow)
    slow.free.set()
    first = cache.facts()
    slow.free.clear()
    turned.turn(timedelta(seconds=3.0 * SHARE - 0.1))
    assert cache.facts() is first
    turned.turn(timedelta(seconds=0.1))
    assert cache.facts() is first  # while another look is taken
    slow.free.set()
    assert eventually(lambda: cache.facts() is not first)


def test_a_look_that_hangs_is_not_hidden_behind_an_old_one(
    ground: Ground, settings: Settings
) -> None:
    turned = Turned()
    slow = Slow(settings, turned.clock())
    cache = Cache(slow)
    slow.free.set()
    first = cache.facts()
    slow.free.clear()
    turned.turn(timedelta(seconds=3.0 * SHARE) + LATE)
    with ThreadPoolExecutor(1) as pool:
        scrape = pool.submit(cache.facts)
        assert not wait([scrape], 0.3).done
        slow.free.set()
        assert scrape.result(60) is not first


@pytest.mark.parametrize("text", ["9464", ":9464", "host:", "host:x", "host:70000", "h:-1"])
def test_a_place_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="no place to listen"):
        parse(text)


def test_a_place_is_a_host_and_a_port() -> None:
    assert parse("127.0.0.1:9464") == ("127.0.0.1", 9464)
    assert parse("[::1]:0") == ("::1", 0)


def test_a_place_that_is_taken_is_denied_by_name(settings: Settings) -> None:
    with exporting(settings, ("127.0.0.1", 0)) as address:
        port = int(address.split(":")[2].split("/")[0])
        with (
            pytest.raises(Denied, match=f"127.0.0.1:{port}"),
            exporting(settings, ("127.0.0.1", port)),
        ):
            pass


def test_the_command_serves_until_it_is_told_to_end(settings: Settings, tmp_path: Path) -> None:
    port = free_port()
    argv = [sys.executable, "-m", "ops.cli", "exporter", "--listen", f"127.0.0.1:{port}"]
    env = {
        "CONVOY_HOME": str(settings.home),
        "CONVOY_BROKER_URL": settings.broker(),
        "CONVOY_STATE_URL": settings.state(),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }

    def ready() -> None:
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        line.request("GET", "/metrics")
        assert b"convoy_store_up 1.0" in line.getresponse().read()
        line.close()

    with server("exporter", argv, ready=ready, home=tmp_path, env=env) as child:
        child.tell(signal.SIGTERM)
        eventually(lambda: not child.alive)
        assert child.code == 0
