"""The commands as a person uses them, on real files with a real fleet of this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops import embedded
from tests.terminal import Terminal, users
from tests.trees import differences, plant
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(240)

USERS = ("ann", "bob", "#x", "müller")


@pytest.fixture
def me(tmp_path: Path) -> Iterator[Terminal]:
    """A person at a home of their own; nothing of it may be left running."""
    terminal = Terminal(tmp_path / "home")
    yield terminal
    assert eventually(lambda: not terminal.processes())


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Four users at the source."""
    for user in USERS:
        (tmp_path / "old" / user).mkdir(parents=True)
        plant(tmp_path / "old" / user)
    return tmp_path / "old"


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "new"


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Users enough to be interrupted in the middle, at a bandwidth that makes it last."""
    for number in range(24):
        home = tmp_path / "many" / f"user{number:02}"
        home.mkdir(parents=True)
        for name in range(4):
            (home / f"file{name}").write_bytes(os.urandom(40_000))
    return tmp_path / "many"


def apart(old: Path, new: Path) -> list[str]:
    """What differs between users at the source and on the target."""
    return [d for user in old.iterdir() for d in differences(user, new / user.name)]


SLOW = ("--bandwidth", "100kB/s")


def id_of(me: Terminal) -> str:
    [migration] = me.told("list")
    return str(migration["id"])


def test_one_command_moves_everything_and_a_second_run_moves_nothing(
    me: Terminal, old: Path, new: Path, tmp_path: Path
) -> None:
    rehearsed = me.migrate(old, new, "--dry-run")
    assert (rehearsed["users"], rehearsed["notices"]) == (4, [f"{new} would be made"])
    assert not new.exists()
    assert not me.home.exists()
    first = me.migrate(old, new)
    assert (first["id"], first["generation"], first["complete"]) == (rehearsed["id"], 1, True)
    assert first["items"] == first["items"] | {"moved": first["items"]["total"], "skipped": 0}
    assert first["units"] == {"total": 4, "queued": 0, "running": 0, "done": 4, "quarantined": 0}
    assert apart(old, new) == []
    again = me.migrate(old, new, "--consumers", "1")
    assert (again["generation"], again["complete"], again["items"]["moved"]) == (2, True, 0)
    assert again["digest"] == first["digest"] != ""
    assert embedded.running(me.home / "redis") is None
    verified = me.told("verify", first["id"], "--deep")
    assert verified["verified"] == {"agree": first["items"]["total"], "differ": 0}
    text = me.called("report", first["id"][:10])
    assert (text.code, "Both sides agree" in text.out) == (0, True)


def test_what_cannot_arrive_is_named_and_the_exit_code_says_so(
    me: Terminal, old: Path, new: Path, tmp_path: Path
) -> None:
    (new / "ann").mkdir(parents=True)
    (new / "ann/notes.txt").write_text("somebody else's")
    listed = tmp_path / "ids.csv"
    listed.write_bytes("name,id\r\nAnn,ann\r\n,../etc\r\n\r\nGhost,ghost\r\nM,müller\r\n".encode())
    found = me.migrate(old, new, "--users", listed, "--column", "id", code=1)
    assert (found["complete"], found["refused"]) == (False, 2)
    lines = [row["item"] for row in found["failures"] if not row["unit"]]
    assert lines == ["line 3: ../etc", "line 4: "]
    named = {(row["user"], row["item"]) for row in found["failures"] if row["unit"]}
    assert {("ann", "notes.txt"), ("ghost", "ghost")} <= named
    assert all(row["reason"] and row["advice"] for row in found["failures"])
    assert (new / "ann/notes.txt").read_text() == "somebody else's"
    assert differences(old / "müller", new / "müller") == []
    assert me.told("failures", found["id"]) == found["failures"]
    assert me.told("report", found["id"], code=1)["failures"] == found["failures"]
    parked = me.told("show", found["id"], "--state", "quarantined")["unit_list"]
    assert {unit["user"] for unit in parked} == {"ann", "ghost"}
    assert me.told("requeue", found["id"], "ghost") == {
        "id": found["id"],
        "released": 1,
        "dry_run": False,
    }
    (old / "ghost").mkdir()
    mended = me.migrate(old, new, "--users", listed, "--column", "id", code=1)
    assert (mended["generation"], mended["units"]["quarantined"]) == (1, 1)


def test_a_list_may_come_by_a_pipe_and_conflicts_can_be_overruled(
    me: Terminal, old: Path, new: Path
) -> None:
    (new / "ann").mkdir(parents=True)
    (new / "ann/notes.txt").write_text("somebody else's")
    piped = users(old, new)
    refused = me.run(*piped, "--users", "-", given=b"ann\nbob")
    assert (refused.code, "notes.txt" in refused.out) == (1, True)
    (old.parent / "ids").write_text("ann\nbob\n")
    won = me.told(*piped, "--users", old.parent / "ids", "--overwrite")
    assert (won["complete"], won["generation"]) == (True, 2)
    assert differences(old / "ann", new / "ann") == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_the_command_nothing_is_left_running_and_the_same_command_goes_on(
    me: Terminal, many: Path, new: Path, signum: signal.Signals
) -> None:
    with me.started(*users(many, new), *SLOW) as running:
        eventually(lambda: any(new.glob("user*/file*")), within=60)
        running.send_signal(signum)
        said = running.communicate(timeout=60)[1]
    assert running.returncode == (130 if signum == signal.SIGINT else -signum)
    assert ("the same command goes on" in said) == (signum is signal.SIGINT)
    assert eventually(lambda: not me.processes())
    found = me.migrate(many, new, "--bandwidth", "off")
    assert (found["generation"], found["complete"], found["items"]["moved"]) == (1, True, 24 * 4)
    assert apart(many, new) == []


def test_a_command_interrupted_before_it_began_anything_says_so_too(
    me: Terminal, new: Path
) -> None:
    """In the middle of the preflight: the source has taken the question and does not answer."""
    me.extra |= {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing"}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"s3://bucket/old?endpoint=http://127.0.0.1:{silent.getsockname()[1]}"
        silent.settimeout(60)
        started = me.started("migrate", "users", "--source", place, "--target", new)
        with started as running, silent.accept()[0]:
            running.send_signal(signal.SIGINT)
            said = running.communicate(timeout=60)[1]
    assert (running.returncode, said) == (130, "interrupted; the same command goes on\n")


@pytest.fixture
def fleet(me: Terminal) -> Iterator[subprocess.Popen[str]]:
    """`convoy up` in this home."""
    with me.started("up", "--consumers", "1", "--json") as running:
        assert running.stdout is not None
        said = ""
        while not said.endswith("\n}\n"):
            said += running.stdout.readline()
        assert json.loads(said)["home"] == str(me.home)
        yield running
        running.send_signal(signal.SIGINT)
        assert running.wait(60) in (130, -signal.SIGKILL)


def test_a_running_fleet_obeys_from_any_terminal(
    me: Terminal, fleet: subprocess.Popen[str], many: Path, new: Path
) -> None:
    submitted = me.told(*users(many, new), *SLOW, "--detach")
    name = submitted["id"]
    assert (submitted["planned"], submitted["refused"]) == (24, 0)
    eventually(lambda: any(new.glob("user*/file*")), within=60)
    assert me.told("pause", name)["hold"] == "paused"
    eventually(lambda: me.told("show", name)["units"]["running"] == 0)
    seen = me.told("show", name)
    assert seen["units"]["queued"] > 0
    assert seen["hold"] == "paused"
    refused = me.called(*users(many, new))
    assert (refused.code, "is paused" in refused.err) == (2, True)
    assert me.told("limits", name, "--bandwidth", "off", "--requests", "5000/s")["limits"] == {
        "requests": "5000/s"
    }
    assert me.told("resume", name)["hold"] is None
    found = me.told("watch", name)
    assert (found["complete"], found["items"]["moved"]) == (True, 24 * 4)
    assert [event["what"] for event in me.told("show", name)["events"]] == [
        "migration.planned",
        "migration.paused",
        "migration.limited",
        "migration.resumed",
        "migration.advanced",
    ]
    health = me.told("doctor")
    assert health["ok"] is True
    assert "consumers" in {finding["what"] for finding in health["findings"]}


def test_a_drain_finishes_what_is_in_hand_and_a_cancel_ends_the_rest(
    me: Terminal, fleet: subprocess.Popen[str], many: Path, new: Path
) -> None:
    with me.started(*users(many, new), *SLOW, "--json") as following:
        eventually(lambda: any(new.glob("user*/file*")), within=60)
        name = id_of(me)
        assert me.told("drain", name, "--dry-run")["changed"] is False
        assert me.told("drain", name)["hold"] == "draining"
        report = json.loads(following.communicate(timeout=60)[0])
        assert following.returncode == 1
    assert (report["units"]["running"], report["hold"]) == (0, "draining")
    assert report["units"]["queued"] > 0
    assert me.told("cancel", name, "--why", "enough")["phase"] == "cancelled"
    again = me.called("cancel", name)
    assert (again.code, "is cancelled" in again.err) == (2, True)
    assert me.told("watch", name, code=1)["phase"] == "cancelled"
    assert me.migrate(many, new, "--bandwidth", "off")["complete"] is True


def test_a_command_whose_shared_fleet_dies_goes_on_with_one_of_its_own(
    me: Terminal, fleet: subprocess.Popen[str], many: Path, new: Path
) -> None:
    with me.started(*users(many, new), *SLOW, "--json") as following:
        eventually(lambda: any(new.glob("user*/file*")), within=60)
        fleet.kill()
        fleet.wait(30)
        assert me.told("limits", id_of(me), "--bandwidth", "off")["limits"] == {}
        report = json.loads(following.communicate(timeout=90)[0])
    assert (following.returncode, report["complete"]) == (0, True)
    assert apart(many, new) == []


def test_with_addresses_the_same_command_hands_the_work_to_that_fleet(
    me: Terminal, fleet: subprocess.Popen[str], old: Path, new: Path, tmp_path: Path
) -> None:
    broker = embedded.running(me.home / "redis")
    assert broker is not None
    state = f"sqlite:///{me.home}/state.db"
    elsewhere = Terminal(
        tmp_path / "elsewhere", {"CONVOY_BROKER_URL": broker, "CONVOY_STATE_URL": state}
    )
    found = elsewhere.migrate(old, new)
    assert found["complete"] is True
    assert not elsewhere.home.exists()
    health = elsewhere.called("doctor")
    assert health.code == 0, health
    assert "***@127.0.0.1" in health.out
    assert broker not in health.out + health.err


def test_nothing_moves_before_there_is_a_fleet_and_the_commands_say_so(
    me: Terminal, old: Path, new: Path
) -> None:
    submitted = me.called(*users(old, new), "--detach")
    assert (submitted.code, "nothing moves until `convoy up`" in submitted.err) == (0, True)
    name = id_of(me)
    watched = me.called("watch", name)
    assert (watched.code, "nothing runs here" in watched.err) == (1, True)
    assert me.migrate(old, new)["generation"] == 1
    for role in ("producer", "consumer"):
        alone = me.called(role)
        assert (alone.code, "run `convoy up`" in alone.err) == (2, True)
