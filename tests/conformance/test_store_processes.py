"""Every store keeps its promises among processes that race, read, fork and are killed.

The workers are real processes (`tests/servers/store_worker.py`), killed with SIGKILL in the middle
of what they do; what they had been told is done must be there afterwards.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest

from common.errors import Transient
from common.store.base import Documents, Store, at_most
from tests.servers import store_worker
from tests.servers.mongo import OwnMongo
from tests.servers.places import open_store
from tests.servers.store_worker import BATCH, batch, line, lines, workers
from tests.servers.stores import Lab, ids
from tests.waiting import eventually

OWNERS = ("a", "b", "c", "d")


@pytest.fixture
def shared(shared_store_lab: Lab) -> Iterator[Store]:
    """The store that the workers share with this process."""
    store = shared_store_lab.open()
    yield store
    store.close()


@pytest.fixture
def common_things(shared: Store) -> Documents:
    return shared.collection("things")


def test_each_document_is_claimed_exactly_once(
    shared_store_lab: Lab, common_things: Documents
) -> None:
    common_things.insert_many([{"id": f"t{n}", "state": "queued", "rank": n} for n in range(2000)])
    with workers(store_worker.claim, shared_store_lab.url, owners=OWNERS) as racing:
        taken = {owner: line(worker) for owner, worker in zip(OWNERS, racing, strict=True)}
    assert sorted(chain(*taken.values())) == sorted(f"t{n}" for n in range(2000))
    kept = {owner: ids(common_things.find({"owner": owner})) for owner in OWNERS}
    assert {o: sorted(found) for o, found in kept.items()} == {
        o: sorted(found) for o, found in taken.items()
    }


def test_each_epoch_is_won_once_and_every_increment_counts(
    shared_store_lab: Lab, common_things: Documents
) -> None:
    common_things.insert_many([{"id": f"t{n}", "epoch": 1} for n in range(200)])
    common_things.insert({"id": "counter", "n": 0})
    with workers(store_worker.bump, shared_store_lab.url, "200", owners=OWNERS) as racing:
        assert sum(line(worker) for worker in racing) == 200
    assert common_things.count({"epoch": 2}) == 200
    assert common_things.get("counter") == {"id": "counter", "n": 800}


def test_a_unique_key_is_taken_once_among_processes(shared_store_lab: Lab, shared: Store) -> None:
    seats = shared.collection("seats")
    with workers(store_worker.sit, shared_store_lab.url, "100", owners=OWNERS) as racing:
        taken = Counter(number for worker in racing for number in line(worker))
    assert taken == Counter(range(100))
    assert sorted(doc["number"] for doc in seats.find({})) == list(range(100))


def test_an_upsert_makes_one_document_among_processes(
    shared_store_lab: Lab, common_things: Documents
) -> None:
    with workers(store_worker.greet, shared_store_lab.url, "50", owners=OWNERS) as racing:
        assert sum(line(worker) for worker in racing) == 200
    [guests] = common_things.find({})
    assert (guests["id"], guests["n"]) == ("guests", 200)


def test_threads_share_a_store(common_things: Documents) -> None:
    common_things.insert_many([{"id": f"t{n}", "state": "queued"} for n in range(200)])
    together = threading.Barrier(8)

    def work(owner: int) -> list[str]:
        together.wait()
        taken = []
        while doc := common_things.change({"state": "queued"}, set={"state": f"{owner}"}):
            taken.append(doc["id"])
        return taken

    with ThreadPoolExecutor(8) as pool:
        taken = [id_ for found in pool.map(work, range(8)) for id_ in found]
    assert sorted(taken) == sorted(f"t{n}" for n in range(200))


def test_what_a_killed_writer_was_told_is_there(
    shared_store_lab: Lab, common_things: Documents
) -> None:
    with workers(store_worker.pour, shared_store_lab.url) as [writer]:
        acknowledged = [line(writer) for _ in range(5)]
        writer.kill()
        acknowledged += lines(writer)
    poured = Counter(doc["batch"] for doc in common_things.find({}, fields=("batch",)))
    assert all(poured[n] == BATCH for n in acknowledged)
    assert sum(poured.values()) <= BATCH * (len(acknowledged) + 1)
    again = range(len(acknowledged) + 1)
    added = sum(common_things.insert_many(batch(n)) for n in again)
    assert added == BATCH * len(again) - sum(poured.values())
    assert common_things.count({}) == BATCH * len(again)


def test_a_batch_of_sqlite_is_there_whole_or_not_at_all(
    shared_store_lab: Lab, common_things: Documents
) -> None:
    if shared_store_lab.name != "sqlite":
        pytest.skip("promised by the driver for one machine only")
    with workers(store_worker.pour, shared_store_lab.url, owners=()) as [writer]:
        for _ in range(3):
            line(writer)
        writer.kill()
    poured = Counter(doc["batch"] for doc in common_things.find({}, fields=("batch",)))
    assert set(poured.values()) == {BATCH}


def test_a_killed_counter_counted_what_it_was_told_and_at_most_one_more(
    shared_store_lab: Lab, common_things: Documents
) -> None:
    common_things.insert({"id": "counter", "n": 0, "trail": []})
    told = 0
    for _ in range(3):
        with workers(store_worker.tick, shared_store_lab.url) as [counter]:
            told = [line(counter) for _ in range(20)][-1]
            counter.kill()
            told = max([told, *lines(counter)])
        found = common_things.get("counter")
        assert found
        assert told <= found["n"] <= told + 1
        assert found["trail"] == [1] * 5
    assert common_things.change({"id": "counter"}, inc={"n": 1})


def test_reading_in_pages_is_complete_while_others_write(
    shared_store_lab: Lab, common_things: Documents
) -> None:
    many = shared_store_lab.several
    common_things.insert_many([{"id": f"t{n}", "rank": n % 40, "noise": 0} for n in range(many)])
    with workers(store_worker.scribble, shared_store_lab.url) as [writer]:
        line(writer)
        for order in (("rank",), ("-rank",), ("noise",), ()):
            found = Counter(ids(common_things.find({}, order=order)))
            stable = {id_: times for id_, times in found.items() if id_.startswith("t")}
            assert set(stable) == {f"t{n}" for n in range(many)}
            if order != ("noise",):  # what is changed under way may be met again
                assert set(found.values()) == {1}
            line(writer)
        pages = _paged(common_things)
    assert set(pages.values()) == {1}
    assert {id_ for id_ in pages if id_.startswith("t")} == {f"t{n}" for n in range(many)}


def _paged(things: Documents) -> Counter[str]:
    found: Counter[str] = Counter()
    after = None
    while page := list(things.find({}, order=("rank", "id"), limit=50, after=after)):
        found.update(ids(page))
        after = (page[-1]["rank"], page[-1]["id"])
    return found


def test_many_documents_come_and_go_with_flat_memory(
    shared_store_lab: Lab, common_things: Documents
) -> None:
    many = shared_store_lab.bulk
    with workers(store_worker.stream, shared_store_lab.url, str(many)) as [worker]:
        seen, early, late = line(worker)
    assert seen == many
    assert common_things.count({"rank": at_most(999)}) == many
    assert late <= early * 1.1 + 4096, f"from {early} to {late} KiB"


def test_a_store_is_used_on_both_sides_of_a_fork(
    shared_store_lab: Lab, common_things: Documents
) -> None:
    many = shared_store_lab.several
    common_things.insert_many([{"id": f"t{n}", "rank": n} for n in range(many - 1)])
    common_things.insert({"id": "counter", "n": 0})
    with workers(store_worker.fork, shared_store_lab.url) as [worker]:
        assert line(worker) == [0, 100, many]


def test_a_store_is_opened_by_many_at_once_where_there_was_none(shared_store_lab: Lab) -> None:
    owners = [f"{n}" for n in range(6)]
    with workers(store_worker.greet, shared_store_lab.url, "5", owners=owners) as racing:
        assert [line(worker) for worker in racing] == [5] * 6
    store = shared_store_lab.open()
    [guests] = store.collection("things").find({})
    assert guests["n"] == 30
    store.close()


def test_a_mongo_that_dies_is_a_passing_trouble(own_mongo: OwnMongo) -> None:
    server = own_mongo.start()
    store = open_store(server.database("convoy", "serverSelectionTimeoutMS=300"))
    things = store.collection("things")
    things.insert({"id": "counter", "n": 0})
    told = 0
    for deaths in (1, 2):
        for _ in range(20):
            told = _tick(things) or told
        own_mongo.kill()
        with pytest.raises(Transient, match="convoy"):
            things.change({"id": "counter"}, inc={"n": 1})
        with pytest.raises(Transient):
            things.insert_many([{"id": "x"}])
        with pytest.raises(Transient):
            list(things.find({}))
        own_mongo.start()
        found = eventually(lambda: _read(things))
        assert told <= found <= told + deaths
    assert things.insert_many([{"id": "x"}, {"id": "y"}]) == 2
    store.close()


def _tick(things: Documents) -> int:
    doc = things.change({"id": "counter"}, inc={"n": 1})
    return int(doc["n"]) if doc else 0


def _read(things: Documents) -> int:
    try:
        doc = things.get("counter")
    except Transient:
        return 0
    return int(doc["n"]) if doc else 0
