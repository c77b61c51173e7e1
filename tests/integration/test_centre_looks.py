"""What the control centre shows is what the store holds, whoever named it, however much it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.lifecycle.units import State
from tests.guest import Guest
from tests.scenery import (
    ACTIVE,
    MARK,
    SCRIPT,
    USERS,
    WRITTEN,
    Scenery,
    crowd,
    ground_of,
    scenery,
)
from tests.servers.centre import PASSWORD, centre
from tests.terminal import Terminal
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("centre")
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("centre")


@pytest.fixture(scope="module")
def there(home: Path) -> Scenery:
    with ground_of(home) as ground:
        return scenery(ground)


@pytest.fixture(scope="module")
def vera(home: Path, there: Scenery) -> Iterator[Guest]:
    with centre(home) as serving:
        guest = Guest(serving.url)
        assert guest.log_in("vera", PASSWORD).status == 204
        yield guest


@pytest.fixture(scope="module")
def person(home: Path) -> Terminal:
    return Terminal(home)


def rows(guest: Guest, path: str, **query: object) -> Rows:
    found: Rows = guest.get(path, **query).json["rows"]
    return found


def paged(guest: Guest, path: str, **query: object) -> Rows:
    """All rows of all pages."""
    found: Rows = []
    after = ""
    while True:
        page = guest.get(path, after=after, **query).json
        found += page["rows"]
        if not (after := page["next"]):
            return found


def counted(guest: Guest) -> Rows:
    """The list, once all units of its rows were counted."""

    def all_() -> Rows:
        found = rows(guest, "/migrations")
        assert all(row["units"] for row in found)
        return found

    return eventually(all_)


def test_the_list_says_what_the_command_line_says(vera: Guest, person: Terminal) -> None:
    ours = {row["id"]: row for row in counted(vera)}
    told = {row["id"]: row for row in person.told("list")}
    assert ours.keys() == told.keys()
    for id, row in told.items():
        assert {name: ours[id][name] for name in row} == row


def test_each_row_says_in_one_word_how_it_stands(vera: Guest, there: Scenery) -> None:
    said = {row["id"]: row["state"] for row in counted(vera)}
    assert {
        name: said[getattr(there, name).id] for name in ("moving", "stuck", "paused", "done")
    } == {
        "moving": "moving",
        "stuck": "stuck",
        "paused": "paused",
        "done": "done",
    }


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"state": "stuck"}, {"stuck"}),
        ({"state": "over"}, {"done"}),
        ({"state": "active"}, {"moving", "stuck", "paused", "hostile"}),
        ({"state": "done,paused"}, {"done", "paused"}),
        ({"text": "NEW-HOME"}, {"moving"}),
        ({"text": "acme", "state": "moving"}, {"stuck"}),
        ({"kind": "users", "text": "<i>odd"}, {"hostile"}),
        ({"kind": "disks"}, set()),
        ({"state": "unheard"}, set()),
    ],
)
def test_the_list_is_narrowed(
    vera: Guest, there: Scenery, query: dict[str, str], names: set[str]
) -> None:
    counted(vera)
    found = vera.get("/migrations", **query).json
    assert {row["id"] for row in found["rows"]} == {getattr(there, name).id for name in names}
    assert found["total"] == len(names)


@pytest.mark.parametrize(
    "order", ["created", "name", "state", "share", "rate", "eta", "quarantined"]
)
def test_pages_in_any_order_hold_every_row_once(vera: Guest, order: str) -> None:
    whole = [row["id"] for row in counted(vera)]
    up = [row["id"] for row in paged(vera, "/migrations", order=order, limit=2)]
    down = [row["id"] for row in paged(vera, "/migrations", order=f"-{order}", limit=3)]
    assert sorted(up) == sorted(down) == sorted(whole)


@pytest.mark.parametrize(
    "query",
    [
        {"order": "colour"},
        {"after": "x"},
        {"after": "W10"},
        {"after": "bnVsbA"},
        {"after": "////"},
        {"after": "W1tdLDEsMl0"},
        {"limit": 0},
        {"limit": 1001},
        {"limit": "many"},
        {"text": "x" * 201},
    ],
)
def test_queries_that_make_no_sense_are_refused(vera: Guest, query: dict[str, object]) -> None:
    assert vera.get("/migrations", **query).status in (400, 422)


def test_a_cursor_of_another_order_is_refused(vera: Guest) -> None:
    next_ = vera.get("/migrations", order="name", limit=1).json["next"]
    assert vera.get("/migrations", order="created", after=next_).status == 400


def test_the_whole_of_one_says_what_show_says(
    vera: Guest, person: Terminal, there: Scenery
) -> None:
    for migration in (there.moving, there.done, there.hostile):
        found = vera.get(f"/migrations/{migration.id}").json
        told = person.told("show", migration.id)
        for name in told.keys() - {"history", "events", "unit_list", "items"}:
            assert found[name] == told[name], name
        assert found["phases"]["present"] == migration.phase


def test_the_diagram_is_the_table(vera: Guest, there: Scenery) -> None:
    phases = vera.get(f"/migrations/{there.paused.id}").json["phases"]
    assert {node["id"] for node in phases["nodes"] if node["end"]} == {"done", "cancelled"}
    assert [node["id"] for node in phases["nodes"] if node["start"]] == ["planning"]
    assert {"from": "moving", "to": "done", "event": "moved"} in phases["edges"]


def test_units_come_in_pages_by_state_and_by_user(vera: Guest, there: Scenery) -> None:
    path = f"/migrations/{there.moving.id}/units"
    everything = paged(vera, path, limit=7)
    assert sorted(row["user"] for row in everything) == USERS
    done_ = paged(vera, path, state="done", limit=10)
    assert len(done_) == 25
    [one] = rows(vera, path, text="user007")
    assert one in everything
    assert rows(vera, path, text=one["id"]) == [one]
    assert vera.get(path, state="lost").status == 422


def test_the_heat_map_holds_every_unit_once_in_the_order_of_users(
    vera: Guest, there: Scenery
) -> None:
    found = vera.get(f"/migrations/{there.moving.id}/heat", cells=7).json
    cells = found["cells"]
    assert (len(cells), found["units"], found["sampled"]) == (7, 40, False)
    assert sum(cell["total"] for cell in cells) == 40
    states = {state: sum(cell[state] for cell in cells) for state in State}
    assert states == {"queued": 10, "running": 4, "done": 25, "quarantined": 1}
    assert sum(cell["failed"] for cell in cells) == 1
    ends = [name for cell in cells for name in (cell["from"], cell["to"])]
    assert ends == sorted(ends)


def test_throughput_adds_up_to_what_was_done(vera: Guest, there: Scenery) -> None:
    found = vera.get(f"/migrations/{there.moving.id}/rates").json
    step = found["step"]
    assert sum(point["units"] for point in found["points"]) * step == pytest.approx(25)
    assert sum(point["items"] for point in found["points"]) * step == pytest.approx(25 * 120)
    moments = [point["at"] for point in found["points"]]
    assert moments == [moments[0] + n * step for n in range(len(moments))]


def test_failures_are_grouped_by_why_with_advice(vera: Guest, there: Scenery) -> None:
    found = vera.get(f"/migrations/{there.stuck.id}/failures").json
    [group] = found["groups"]
    assert (group["count"], found["total"], found["more"]) == (6, 6, False)
    assert group["reason"] == "permission denied while reading …"
    assert "convoy requeue" in group["advice"]
    assert {each["item"] for each in group["examples"]} == {"cur/1:2,S", "cur/2:2,S"}


def test_the_history_is_the_records_and_the_events_newest_first(
    vera: Guest, person: Terminal, there: Scenery
) -> None:
    found = paged(vera, f"/migrations/{there.paused.id}/history", limit=1)
    told = person.told("show", there.paused.id)["history"]
    assert [(line["at"], line["what"]) for line in found] == [
        (line["at"], line["event"]) for line in reversed(told)
    ]
    assert (found[0]["who"], found[0]["what"]) == ("ann@h01", "paused")


def test_consumers_say_what_they_hold_and_hosts_what_they_run(vera: Guest, there: Scenery) -> None:
    found = {row["name"]: row for row in paged(vera, "/consumers", limit=2)}
    first = found["c01@h01"]
    assert (first["host"], first["migration"], first["version"]) == (
        "h01", there.moving.id, "0.1.0",
    )  # fmt: skip
    assert first["user"] in USERS
    assert first["since"] is not None
    assert [row["name"] for row in rows(vera, "/consumers", text="c02")] == ["c02@h02"]
    hosts = {row["host"]: row for row in rows(vera, "/hosts")}
    assert hosts["h01"]["consumers"] == 1
    assert sum(row["consumers"] for row in hosts.values()) == len(found)


def test_every_alarm_is_listed_and_what_stands_says_so(vera: Guest) -> None:
    found = {row["name"]: row for row in rows(vera, "/alarms")}
    assert found["Quarantine"]["state"] == "raised"
    assert "in quarantine: " in found["Quarantine"]["said"]
    assert found["StoreAway"]["state"] == "calm"
    assert all(row["runbook"].startswith("docs/runbooks/") for row in found.values())


def test_names_that_would_like_to_be_something_else_come_back_as_they_are(
    vera: Guest, there: Scenery
) -> None:
    id = there.hostile.id
    units = {row["user"] for row in rows(vera, f"/migrations/{id}/units")}
    assert units == {ACTIVE.format("user"), SCRIPT, MARK, WRITTEN}
    listed = next(row for row in rows(vera, "/migrations") if row["id"] == id)
    assert listed["tenant"] == ACTIVE.format("tenant")
    names = {row["name"] for row in rows(vera, "/consumers")}
    assert ACTIVE.format("owner") in names
    reply = vera.get(f"/migrations/{id}/failures")
    examples = [each for group in reply.json["groups"] for each in group["examples"]]
    assert {each["item"] for each in examples} == {ACTIVE.format("item"), SCRIPT}
    assert reply.headers["content-type"] == "application/json"
    assert reply.body.isascii()
    assert rows(vera, f"/migrations/{id}/units", text=MARK)[0]["user"] == MARK


def test_ten_thousand_migrations_are_one_page_at_a_time(tmp_path: Path) -> None:
    with ground_of(tmp_path) as ground:
        crowd(ground, 10_000, 1_000)
    with centre(tmp_path) as serving:
        guest = Guest(serving.url)
        guest.log_in("vera", PASSWORD)
        found = guest.get("/migrations", limit=50).json
        assert (len(found["rows"]), found["total"]) == (50, 10_001)
        assert len(guest.get("/migrations", limit=50).body) < 100_000
        fleet = guest.get("/consumers", limit=50).json
        assert (len(fleet["rows"]), fleet["total"]) == (50, 1_000)
        over = guest.get("/migrations", state="over", limit=1).json
        assert over["total"] == 7_500
