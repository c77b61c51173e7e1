"""The control centre while store and broker are away, while it is killed, and under a watchdog."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.store.connect import connect
from ops import embedded
from ops.centre.users import FILE, Role, Users
from tests.factories import Ground
from tests.guest import Guest
from tests.kennel import Kennel, kennel
from tests.scenery import ground_of, moving
from tests.servers.centre import PASSWORD, Serving, centre
from tests.servers.mongo import QUICK, OwnMongo
from tests.servers.ports import free_port
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("centre")
READS = ("/migrations", "/consumers", "/hosts", "/audit")


def logged_in(serving: Serving, name: str = "ann") -> Guest:
    guest = Guest(serving.url)
    assert guest.log_in(name, PASSWORD).status == 204
    return guest


@pytest.mark.timeout(300)
def test_while_the_store_is_away_every_answer_says_so_and_afterwards_all_is_as_before(
    tmp_path: Path, own_mongo: OwnMongo, own_redis: embedded.Redis
) -> None:
    url = own_mongo.start().database("convoy", QUICK)
    store = connect(url)
    migration = moving(Ground(store), "away")
    store.close()
    with centre(
        tmp_path / "home", CONVOY_STATE_URL=url, CONVOY_BROKER_URL=own_redis.url
    ) as serving:
        guest, path = logged_in(serving), f"/migrations/{migration.id}"
        assert guest.get(path).status == 200
        own_mongo.kill()

        def away() -> bool:
            return guest.get("/migrations").status == 503

        eventually(away, within=60)
        for reply in [guest.get(read) for read in (*READS, path)] + [guest.post(f"{path}/pause")]:
            assert (reply.status, reply.code) == (503, "away")
            assert "MongoDB" in reply.json["error"]["advice"]
            assert reply.headers["retry-after"]
        health = eventually(lambda: guest.ask("GET", "/healthz").json["store"] != "ok")
        assert health and guest.ask("GET", "/healthz").json["ok"] is True
        assert guest.get("/session").status == 200  # nobody is thrown out for it
        own_mongo.start()
        eventually(lambda: guest.get("/migrations").status == 200, within=60)
        assert guest.post(f"{path}/pause").json["hold"] == "paused"


def test_a_broker_that_is_away_delays_an_act_and_loses_it_not(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    with ground_of(home) as ground:
        migration = moving(ground)
    nobody = f"redis://:hidden-word@127.0.0.1:{free_port()}/0"
    state = f"sqlite:///{home}/state.db"
    with centre(home, CONVOY_STATE_URL=state, CONVOY_BROKER_URL=nobody) as serving:
        guest = logged_in(serving)
        reply = guest.post(f"/migrations/{migration.id}/drain")
        assert (reply.status, reply.json["hold"]) == (200, "draining")
        assert b"hidden-word" not in reply.body + guest.get("/alarms").body
        alarms = {row["name"]: row["state"] for row in guest.get("/alarms").json["rows"]}
        assert alarms["BrokerAway"] in ("pending", "raised")
    assert "hidden-word" not in (home / "centre.log").read_text()


def test_many_at_once_are_all_answered_and_each_act_is_in_the_trail(tmp_path: Path) -> None:
    with ground_of(tmp_path) as ground:
        migration = moving(ground)
    with centre(tmp_path) as serving:
        guest = logged_in(serving)
        replies: list[int] = []

        def act(number: int) -> None:
            word = "pause" if number % 2 else "resume"
            replies.append(guest.post(f"/migrations/{migration.id}/{word}").status)
            replies.append(guest.get("/migrations").status)

        threads = [threading.Thread(target=act, args=(number,)) for number in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(replies) == {200}
        trail = guest.get("/audit", to=migration.id, limit=100).json["rows"]
        assert [line["outcome"] for line in trail] == ["done"] * 24


def test_a_centre_that_is_killed_leaves_nothing_half_done(tmp_path: Path) -> None:
    with ground_of(tmp_path) as ground:
        migration = moving(ground)
        with centre(tmp_path) as serving:
            guest = logged_in(serving)
            errors: list[BaseException] = []

            def flip() -> None:
                try:
                    while True:
                        for word in ("pause", "resume"):
                            guest.post(f"/migrations/{migration.id}/{word}")
                except Exception as gone:
                    errors.append(gone)

            thread = threading.Thread(target=flip)
            thread.start()
            eventually(lambda: len(list(_trail(ground))) >= 6)
            serving.child.kill()
            thread.join(30)
        assert errors
        with centre(tmp_path) as again:
            guest = logged_in(again)
            found = guest.get(f"/migrations/{migration.id}")
            trail = guest.get("/audit", to=migration.id, limit=500).json["rows"]
    assert found.status == 200
    lines = [line for line in ground_history(tmp_path, migration.id) if line["by"] == "ann@centre"]
    done = [line for line in trail if line["outcome"] == "done"]
    begun = [line for line in trail if line["outcome"] == "begun"]
    assert len(begun) <= 1
    assert len(done) <= len(lines) <= len(done) + len(begun)


def _trail(ground: Ground) -> Iterator[object]:
    return ground.store.collection("audit").find({})


def ground_history(home: Path, id: str) -> list[dict[str, object]]:
    with ground_of(home) as ground:
        return ground.migrations.history(id)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kennel]:
    home, listen = tmp_path_factory.mktemp("host"), f"127.0.0.1:{free_port()}"
    with kennel(home, centre_listen=listen, exporter_listen="127.0.0.1:0") as k:
        Users(k.home / FILE).add("ann", Role.OPERATOR, password=PASSWORD)
        yield k


@pytest.mark.timeout(300)
@pytest.mark.parametrize("role", ["centre", "exporter", "alarms"])
def test_a_host_keeps_these_roles_as_it_keeps_consumers(host: Kennel, role: str) -> None:
    host.convoy("host", "start", "--role", role)
    eventually(lambda: host.posts(role) and host.well(role), within=90)
    [before] = host.posts(role).values()
    assert before.who
    if role == "centre":
        listen = host.fleet.env["CONVOY_CENTRE_LISTEN"]
        eventually(
            lambda: Guest(f"http://{listen}").ask("GET", "/healthz").status == 200, within=60
        )
    with host.loop():
        os.kill(before.who.pid, 9)

        def another() -> bool:
            found = host.posts(role)
            return any(
                seen.who and before.who and seen.who.pid != before.who.pid
                for seen in found.values()
            ) and host.well(role)

        eventually(another, within=90)
    host.convoy("host", "stop", "--role", role, "--wait", "30s")
    assert host.posts(role) == {}
