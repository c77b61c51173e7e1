"""Whatever is done at the control centre is done as on the command line, and is in the trail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.lifecycle.units import State
from common.model import Hold
from tests.factories import Ground
from tests.guest import Guest, Reply
from tests.scenery import ground_of, moving, stuck
from tests.servers.centre import PASSWORD, Serving, centre
from tests.terminal import Terminal

pytestmark = pytest.mark.xdist_group("centre")
ODD = "it's <b>\"odd\"</b>\r\n\u202e\0'; DROP TABLE units; --"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("centre")


@pytest.fixture(scope="module")
def serving(home: Path) -> Iterator[Serving]:
    with centre(home) as found:
        yield found


@pytest.fixture
def ground(home: Path) -> Iterator[Ground]:
    with ground_of(home) as found:
        yield found


@pytest.fixture(scope="module")
def ann(serving: Serving) -> Guest:
    guest = Guest(serving.url)
    assert guest.log_in("ann", PASSWORD).status == 204
    return guest


@pytest.fixture(scope="module")
def person(home: Path) -> Terminal:
    """Somebody at a terminal of the same deployment."""
    return Terminal(home)


def trail(guest: Guest, id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = guest.get("/audit", to=id, limit=500).json["rows"]
    return found


def refused(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.code


@pytest.mark.parametrize(
    ("word", "hold"), [("pause", Hold.PAUSED), ("drain", Hold.DRAINING), ("resume", None)]
)
def test_a_hold_ends_in_the_record_in_its_history_and_in_the_trail(
    ann: Guest, ground: Ground, word: str, hold: Hold | None
) -> None:
    migration = moving(ground, f"hold-{word}")
    if hold is None:
        ann.post(f"/migrations/{migration.id}/pause")
    reply = ann.post(f"/migrations/{migration.id}/{word}", {"why": "the night shift"})
    assert (reply.status, reply.json["hold"], reply.json["changed"]) == (200, hold, True)
    assert ground.migrations.get(migration.id).hold is hold
    newest = ann.get(f"/migrations/{migration.id}/history").json["rows"][0]
    assert (newest["who"], newest["why"]) == ("ann@centre", "the night shift")
    line = trail(ann, migration.id)[0]
    assert (line["what"], line["by"], line["why"], line["outcome"]) == (
        word, "ann@centre", "the night shift", "done",
    )  # fmt: skip


def test_wishing_twice_is_wishing_once_and_both_are_in_the_trail(
    ann: Guest, ground: Ground
) -> None:
    migration = moving(ground, "twice")
    replies = [ann.post(f"/migrations/{migration.id}/pause").json for _ in range(2)]
    assert [reply["changed"] for reply in replies] == [True, False]
    assert [line["what"] for line in trail(ann, migration.id)] == ["pause", "pause"]


def test_what_cannot_be_taken_back_wants_the_name_of_the_migration(
    ann: Guest, ground: Ground
) -> None:
    migration = moving(ground, "confirm")
    for word in ("cancel", "rollback", "release", "requeue"):
        for confirm in ("", "yes", migration.id[:-1], migration.id + " ", "é"):
            reply = ann.post(f"/migrations/{migration.id}/{word}", {"confirm": confirm})
            assert refused(reply) == (409, "unconfirmed"), (word, confirm)
    assert ground.migrations.get(migration.id).phase == "moving"
    assert {line["outcome"] for line in trail(ann, migration.id)} == {"failed"}
    reply = ann.post(f"/migrations/{migration.id}/cancel", {"confirm": migration.id, "why": "no"})
    assert (reply.status, reply.json["phase"]) == (200, "cancelled")
    assert ground.migrations.get(migration.id).phase == "cancelled"
    assert trail(ann, migration.id)[0]["outcome"] == "done"


def test_what_no_kind_can_do_yet_is_closed(ann: Guest, ground: Ground) -> None:
    migration = moving(ground, "closed")
    reply = ann.post(f"/migrations/{migration.id}/rollback", {"confirm": migration.id})
    assert refused(reply) == (409, "no_rollback")
    assert ground.migrations.get(migration.id).version == migration.version


def test_one_unit_by_its_user_or_all_of_them_leave_quarantine(ann: Guest, ground: Ground) -> None:
    migration = stuck(ground, "parked")
    parked = [doc for doc in ground.units.of(migration, State.QUARANTINED)]
    path = f"/migrations/{migration.id}/requeue"
    assert ann.post(path, {"unit": parked[0]["key"]}).json["released"] == 1
    assert ann.post(path, {"unit": parked[1]["id"]}).json["released"] == 1
    assert refused(ann.post(path, {"unit": parked[0]["key"]})) == (404, "missing")
    assert refused(ann.post(path, {"unit": "nobody"})) == (404, "missing")
    path = f"/migrations/{migration.id}/release"
    assert ann.post(path, {"confirm": migration.id}).json["released"] == 1
    assert ground.units.sums(migration).quarantined == 0
    outcomes = [(line["what"], line["outcome"]) for line in trail(ann, migration.id)]
    assert outcomes[0] == ("requeue", "done")
    assert ("requeue", "failed") in outcomes


def test_limits_are_changed_one_by_one_and_nonsense_changes_none(
    ann: Guest, ground: Ground
) -> None:
    migration = moving(ground, "limits")
    path = f"/migrations/{migration.id}/limits"
    reply = ann.post(path, {"limits": {"requests": "500/s"}})
    assert reply.json["limits"] == {"bandwidth": "200MiB/s", "requests": "500/s"}
    assert ann.post(path, {"limits": {"bandwidth": "off"}}).json["limits"] == {"requests": "500/s"}
    for nonsense in ({}, {"speed": "1"}, {"requests": "many"}, {"requests": "25:00-x=1/s"}):
        assert refused(ann.post(path, {"limits": nonsense})) == (400, "refused"), nonsense
    assert dict(ground.migrations.get(migration.id).limits) == {"requests": "500/s"}
    outcomes = [line["outcome"] for line in trail(ann, migration.id)]
    assert outcomes == ["failed"] * 4 + ["done"] * 2


def test_what_is_over_cannot_be_acted_on(ann: Guest, ground: Ground) -> None:
    migration = moving(ground, "over")
    ann.post(f"/migrations/{migration.id}/cancel", {"confirm": migration.id})
    for word, body in (
        ("pause", {}),
        ("resume", {}),
        ("drain", {}),
        ("cancel", {"confirm": migration.id}),
        ("requeue", {"unit": "x"}),
        ("limits", {"limits": {"requests": "1/s"}}),
    ):
        reply = ann.post(f"/migrations/{migration.id}/{word}", body)
        assert refused(reply) == (409, "over"), word
    assert "convoy migrate" in reply.json["error"]["advice"]
    assert {line["outcome"] for line in trail(ann, migration.id)} == {"done", "denied"}


def test_odd_reasons_and_names_are_kept_as_data(ann: Guest, ground: Ground) -> None:
    migration = moving(ground, "odd")
    reply = ann.post(f"/migrations/{migration.id}/pause", {"why": ODD})
    assert reply.status == 200
    line = trail(ann, migration.id)[0]
    assert line["why"] == ODD.replace("\0", "\\x00")
    newest = ann.get(f"/migrations/{migration.id}/history").json["rows"][0]
    assert newest["why"] == line["why"]
    assert refused(ann.post(f"/migrations/{migration.id}/requeue", {"unit": ODD})) == (
        404,
        "missing",
    )


@pytest.mark.parametrize("id", ["users-0000000000", "users-0", "..", "%00", "x" * 300, "%ED%A0%80"])
def test_what_is_not_there_is_not_there(ann: Guest, id: str) -> None:
    for method, path in (("GET", f"/migrations/{id}"), ("POST", f"/migrations/{id}/pause")):
        reply = ann.get(path) if method == "GET" else ann.post(path)
        assert reply.status in (404, 422), path


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"why": 5}',
        b'{"whyy": ""}',
        b'{"why": NaN}',
        b'{"why": "\\ud800"}',
        b"\xff",
        b"[" * 9999,
    ],
)
def test_what_is_not_as_described_is_refused_without_repeating_it(
    ann: Guest, ground: Ground, body: bytes
) -> None:
    migration = moving(ground, f"described-{body[:9].hex()}")
    reply = ann.ask("POST", f"/api/v1/migrations/{migration.id}/pause", body)
    assert refused(reply) in ((422, "invalid"), (400, "refused"))
    assert ground.migrations.get(migration.id).hold is None


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    old, new = tmp_path / "old", tmp_path / "new"
    for user in ("ann", "bob", "cy"):
        (old / user).mkdir(parents=True)
        (old / user / "file").write_text(user)
    return old, new


def order(trees: tuple[Path, Path], **more: object) -> dict[str, object]:
    return {"source": f"{trees[0]}", "target": f"{trees[1]}", **more}


def test_a_preview_says_what_the_dry_run_of_the_command_says_and_changes_nothing(
    ann: Guest, person: Terminal, trees: tuple[Path, Path]
) -> None:
    words = ("--source", trees[0], "--target", trees[1], "--dry-run", "--bandwidth", "1MiB/s")
    told = person.told("migrate", "users", *words)
    found = ann.post("/migrations", order(trees, bandwidth="1MiB/s")).json
    assert found == told
    assert (found["dry_run"], found["users"]) == (True, 3)
    assert not trees[1].exists()
    assert ann.get(f"/migrations/{found['id']}").status == 404


def test_an_order_does_what_the_detached_command_does(
    ann: Guest, ground: Ground, trees: tuple[Path, Path]
) -> None:
    preview = ann.post("/migrations", order(trees)).json
    reply = ann.post("/migrations", order(trees, dry_run=False, users=["ann", "bob", "../x"]))
    assert reply.status == 200, reply
    made = reply.json
    assert (made["id"], made["planned"], made["refused"]) == (preview["id"], 2, 1)
    assert made["refusals"] == [[3, "../x", "it contains a slash or a NUL"]]
    assert "convoy up" in made["notices"][-1]
    migration = ground.migrations.get(made["id"])
    assert sorted(doc["key"] for doc in ground.units.of(migration)) == ["ann", "bob"]
    assert {line["by"] for line in ground.migrations.history(migration.id)} == {"ann@centre"}
    line = trail(ann, made["id"])[0]
    assert (line["what"], line["outcome"], line["facts"]["planned"]) == ("migrate", "done", 2)


def test_the_same_order_again_is_the_same_migration(
    ann: Guest, person: Terminal, trees: tuple[Path, Path]
) -> None:
    first = ann.post("/migrations", order(trees, dry_run=False)).json
    words = ("--source", trees[0], "--target", trees[1], "--detach")
    again = person.told("migrate", "users", *words)
    assert (again["id"], again["generation"]) == (first["id"], 1)


def test_an_order_that_cannot_be_is_refused_with_the_words_of_the_command(
    ann: Guest, tmp_path: Path
) -> None:
    gone = {"source": str(tmp_path / "gone"), "target": str(tmp_path / "new")}
    previewed = ann.post("/migrations", gone)
    assert previewed.status in (400, 404, 409) or previewed.json.get("errors"), previewed
    reply = ann.post("/migrations", {**gone, "dry_run": False})
    assert reply.status in (400, 404, 409)
    assert not (tmp_path / "new").exists()
    newest = ann.get("/audit", limit=1).json["rows"][0]
    assert (newest["what"], newest["outcome"], newest["by"]) == ("migrate", "failed", "ann@centre")


@pytest.mark.parametrize(
    "body",
    [
        {"source": "old", "target": "/x"},
        {"source": "s3://key:topsecret@bucket/x", "target": "/x"},
        {"source": "manifest+https://me:topsecret@host/x.json", "target": "/x"},
        {"source": "/x", "target": "gopher://me:topsecret@host/"},
        {"source": "/a\0b", "target": "/x"},
        {"source": "/x", "target": "/x"},
    ],
)
def test_addresses_that_are_unsafe_are_refused_and_their_secrets_are_nowhere(
    ann: Guest, home: Path, body: dict[str, object]
) -> None:
    for dry_run in (True, False):
        reply = ann.post("/migrations", {**body, "dry_run": dry_run})
        assert reply.status in (400, 404, 409) or reply.json.get("errors"), reply
    assert "topsecret" not in json.dumps(ann.get("/audit", limit=500).json)
    assert b"topsecret" not in (home / "centre.log").read_bytes()
    stores = b"".join(path.read_bytes() for path in home.glob("state.db*"))
    assert b"topsecret" not in stores


def test_commands_for_consumers_are_not_taken_from_the_page(
    ann: Guest, trees: tuple[Path, Path]
) -> None:
    for name in ("hook_freeze", "hook_switch", "options"):
        reply = ann.post("/migrations", order(trees, **{name: "rm -rf /"}))
        assert refused(reply) == (422, "invalid")


def test_what_is_done_at_a_terminal_is_in_the_same_trail(
    ann: Guest, person: Terminal, ground: Ground
) -> None:
    migration = moving(ground, "terminal")
    person.told("pause", migration.id)
    person.told("cancel", migration.id, "--why", "enough")
    by_page = trail(ann, migration.id)
    assert [(line["what"], line["why"]) for line in by_page] == [
        ("cancel", "enough"),
        ("pause", ""),
    ]
    assert all("@" in line["by"] and not line["by"].endswith("@centre") for line in by_page)
    assert person.told("audit", "--to", migration.id) == by_page
    shown = person.called("audit", "--to", migration.id)
    assert "cancel" in shown.out and "enough" in shown.out


def test_the_trail_is_read_page_by_page(ann: Guest, ground: Ground) -> None:
    migration = moving(ground, "paged")
    for _ in range(4):
        ann.post(f"/migrations/{migration.id}/pause")
        ann.post(f"/migrations/{migration.id}/resume")
    seen: list[str] = []
    after = ""
    while True:
        found = ann.get("/audit", to=migration.id, limit=3, after=after).json
        seen += [line["id"] for line in found["rows"]]
        if not (after := found["next"]):
            break
    assert seen == [line["id"] for line in trail(ann, migration.id)]
    assert len(seen) == 8
