"""The last pass between an operator's hooks: freeze, pass, proof, switch, for users of any size."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from common import failpoints
from common.errors import Transient
from common.lifecycle.users import Event
from common.model import Migration
from common.queue.broker import Broker
from ops.report import report
from ops.watching import Watcher
from tests.trees import differences, plant
from tests.waiting import eventually
from tests.world import World

LAST = ("final-span", "final-range", "final-join", "final-close")
PROOF = ("proof-check", "proof-range", "proof-join", "proof-close")


@pytest.fixture
def world(tmp_path: Path, broker: Broker) -> Iterator[World]:
    """Users of more than 40 items or 8 MiB are huge."""
    world = World(tmp_path, broker, unit_items=40, unit_bytes=8 << 20, range_bytes=16 << 20)
    yield world
    failpoints.disarm()
    world.store.close()


def crowd(user: Path, files: int = 90, *, film: int = 17) -> None:
    """A user in many pieces, hard links and a huge file among them."""
    plant(user)
    for number in range(files):
        (user / f"f{number}").write_bytes(b"%d" % number * 50)
    os.link(user / "f1", user / "f1-again")
    (user / "film").write_bytes(os.urandom(film << 20))


def hooks(world: World, freeze: str = "true") -> dict[str, object]:
    """Two hooks that note in a log that they were called; `freeze` does something besides."""
    for name, does in (("freeze", freeze), ("switch", "true")):
        script = world.root / f"{name}.sh"
        script.write_text(f'#!/bin/sh\n{does}\necho "{name} $1 $CONVOY_USER" >> {log(world)}\n')
        script.chmod(0o755)
    return {f"hook_{name}": f"{world.root}/{name}.sh {{user}}" for name in ("freeze", "switch")}


def log(world: World) -> Path:
    return world.root / "log"


def lines(world: World) -> list[str]:
    return log(world).read_text().splitlines() if log(world).exists() else []


def again(world: World, migration: Migration) -> None:
    """A person has mended the cause."""
    world.ground.units.release(migration, by="test")
    world.work(migration)


def test_a_huge_user_is_frozen_passed_proven_and_switched_each_once(world: World) -> None:
    crowd(world.old / "ann")
    plant(world.old / "bob")
    late = f"test -e {world.old}/$1/late || echo late > {world.old}/$1/late"
    migration = world.migrate("ann", "bob", **hooks(world, freeze=late))
    assert world.states(migration) == {"done"}, world.failures(migration)
    for user in ("ann", "bob"):
        assert [line for line in lines(world) if user in line] == [
            f"freeze {user} {user}",
            f"switch {user} {user}",
        ]
        assert differences(world.old / user, world.new / user) == []
    assert {"final", "prove", "switch", *LAST, *PROOF} <= set(world.jobs(migration))
    assert not list(world.new.rglob(".convoy*"))


def test_the_report_counts_each_item_of_a_huge_user_once_whatever_the_rounds(world: World) -> None:
    crowd(world.old / "ann")
    plain = world.migrate("ann")
    bare = report(world.desk(), world.ground.migrations.get(plain.id))
    migration = world.migrate("ann", **hooks(world))
    over = world.ground.migrations.advance(migration, Event.MOVED, by="test")
    found = report(world.desk(), over)
    assert found["complete"] is True
    assert found["items"] == bare["items"] | {"moved": 0, "skipped": bare["items"]["total"]}
    assert (found["bytes"]["total"], found["digest"]) == (bare["bytes"]["total"], bare["digest"])
    assert found["digest"] != ""
    seen = Watcher(world.desk(), migration.id).look()
    assert (seen.users, seen.users_total) == (1, 1)


def test_a_huge_user_that_was_damaged_before_the_proof_is_not_switched_until_it_is_mended(
    world: World,
) -> None:
    crowd(world.old / "ann")
    victim = world.new / "ann" / "f7"
    struck: list[bytes] = []

    def strike() -> None:
        jobs = {d["job"]: d["state"] for d in world.ground.units.of(migrations())}
        if jobs.get("final-close") == "done" and not struck:
            struck.append(victim.read_bytes())
            victim.write_bytes(b"other")

    def migrations() -> Migration:
        [migration] = world.ground.migrations.all()
        return migration

    failpoints.arm("runner.claimed", strike)
    migration = world.migrate("ann", **hooks(world))
    assert struck and "f7" in world.failures(migration)
    assert lines(world) == ["freeze ann ann"]
    seen = Watcher(world.desk(), migration.id).look()
    assert (seen.users, seen.users_total) == (0, 1)
    victim.write_bytes(struck[0])
    again(world, migration)
    assert world.states(migration) == {"done"}
    assert lines(world) == ["freeze ann ann", "switch ann ann"]


def test_units_of_the_first_pass_that_were_tried_often_fence_off_none_of_the_last(
    world: World,
) -> None:
    crowd(world.old / "ann", 50)
    left = {"times": 6}

    def stumble() -> None:
        if left["times"]:
            left["times"] -= 1
            raise Transient("a passing trouble")

    failpoints.arm("users.intended", stumble)
    failpoints.arm("users.joining", stumble)
    migration = world.migrate("ann", **hooks(world))
    while "quarantined" in world.states(migration):
        again(world, migration)
    epochs = {d["job"]: d["epoch"] for d in world.ground.units.of(migration) if d["epoch"] > 1}
    assert epochs and world.states(migration) == {"done"}
    assert lines(world)[-1] == "switch ann ann"
    assert differences(world.old / "ann", world.new / "ann") == []


def test_a_user_that_shrank_by_the_proof_is_proven_in_one_piece(world: World) -> None:
    """Whatever a freeze leaves: what is there is compared, and the switch waits for that alone."""
    crowd(world.old / "ann", 60)

    def shrink() -> None:
        [migration] = world.ground.migrations.all()
        jobs = {d["job"]: d["state"] for d in world.ground.units.of(migration)}
        if jobs.get("final-close") == "done":
            failpoints.disarm()
            for path in [*(world.old / "ann").glob("f*"), *(world.old / "ann").glob("d*/**/b*")]:
                path.unlink()

    failpoints.arm("runner.claimed", shrink)
    migration = world.migrate("ann", **hooks(world))
    assert world.states(migration) == {"done"}, world.failures(migration)
    assert "proof-check" not in world.jobs(migration)
    assert lines(world) == ["freeze ann ann", "switch ann ann"]


def test_a_hook_that_cannot_be_started_parks_the_user_with_its_name(world: World) -> None:
    plant(world.old / "ann")
    migration = world.migrate("ann", hook_freeze="/no/such/program {user}")
    [unit] = [doc for doc in world.ground.units.of(migration) if doc["job"] == "final"]
    assert unit["state"] == "quarantined"
    assert "'/no/such/program' cannot be started" in unit["reason"]
    assert unit["attempts"] == 1  # trying again cannot help


def test_a_user_whose_sides_differ_behind_a_careless_check_is_not_switched(world: World) -> None:
    """The pass trusts the length, as it was told; the proof before the switch reads."""
    plant(world.old / "ann")
    damage = f"printf other > {world.new}/$1/nothing; printf right > {world.old}/$1/nothing"
    migration = world.migrate("ann", check="size", **hooks(world, freeze=damage))
    assert "nothing" in world.failures(migration)
    assert lines(world) == ["freeze ann ann"]
    [unit] = [doc for doc in world.ground.units.of(migration) if doc["job"] == "final"]
    assert unit["state"] == "quarantined"


def test_a_user_of_whom_something_fails_in_the_last_pass_is_not_switched(world: World) -> None:
    plant(world.old / "ann")
    late = f"echo late > {world.old}/$1/late; echo theirs, longer > {world.new}/$1/late"
    migration = world.migrate("ann", **hooks(world, freeze=late))
    assert "late" in world.failures(migration)
    assert lines(world) == ["freeze ann ann"]


def test_a_hook_whose_unit_is_taken_away_ends_with_all_that_it_started(world: World) -> None:
    plant(world.old / "ann")
    pids = world.root / "pids"
    script = world.root / "hangs.sh"
    script.write_text(
        f"#!/bin/sh\nsleep 300 &\necho $! $$ > {pids}.new\nmv {pids}.new {pids}\nwait\n"
    )
    script.chmod(0o755)

    def take_away() -> None:
        eventually(pids.exists)
        world.ground.turned.ticks += world.settings.lease.total_seconds()

    taker = threading.Thread(target=take_away)
    taker.start()
    migration = world.migrate("ann", hook_freeze=str(script))
    taker.join()
    [unit] = [doc for doc in world.ground.units.of(migration) if doc["job"] == "final"]
    assert (unit["state"], unit["attempts"]) == ("running", 1)  # the leader's to judge
    running = [int(pid) for pid in pids.read_text().split()]
    assert eventually(lambda: not any(map(alive, running)))


def alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_hook_may_leave_something_running_behind_that_nobody_waits_for(world: World) -> None:
    plant(world.old / "ann")
    pid = world.root / "pid"
    stays = f"sleep 300 & echo $! > {pid}"
    try:
        migration = world.migrate("ann", **hooks(world, freeze=stays))
        assert world.states(migration) == {"done"}
        assert lines(world) == ["freeze ann ann", "switch ann ann"]
        assert alive(int(pid.read_text()))
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


def test_of_a_hook_that_says_much_the_end_is_told(world: World) -> None:
    plant(world.old / "ann")
    much = (
        "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; printf '\\377 why'; exit 3"
    )
    migration = world.migrate("ann", **hooks(world, freeze=much))
    [unit] = [doc for doc in world.ground.units.of(migration) if doc["job"] == "final"]
    assert "ended with 3: " in unit["reason"]
    assert unit["reason"].endswith(" why")
    assert "line 2999" in unit["reason"] and "line 1\n" not in unit["reason"]
    assert len(unit["reason"]) < 700


@pytest.mark.parametrize("only", ["freeze", "switch"])
def test_either_hook_may_be_left_out(world: World, only: str) -> None:
    plant(world.old / "ann")
    migration = world.migrate("ann", **{f"hook_{only}": hooks(world)[f"hook_{only}"]})
    assert world.states(migration) == {"done"}
    assert lines(world) == [f"{only} ann ann"]


PLACES = [
    *(f"users.{at}" for at in ("read", "staged", "settled", "intended", "publishing")),
    *(f"users.{at}" for at in ("published", "ranged", "joining")),
    *(f"runner.{at}" for at in ("claimed", "moved", "reporting", "finished")),
]


@pytest.mark.parametrize("seed", [1, 2])
def test_however_often_its_consumers_are_killed_a_huge_user_is_switched_at_last_and_whole(
    world: World, seed: int
) -> None:
    crowd(world.old / "ann", 50, film=9)
    chance, kills = random.Random(seed), 0
    world.settings = world.settings.model_copy(update={"attempts": 1000})
    late = f"test -e {world.old}/$1/late || echo late > {world.old}/$1/late"
    options = hooks(world, freeze=late)

    def consumer(place: str) -> None:
        failpoints.arm(place, "kill")
        known = list(world.ground.migrations.all())
        world.work(known[0]) if known else world.migrate("ann", **options)

    for _ in range(30):
        aim = (chance.choice(PLACES),)
        child = multiprocessing.get_context("fork").Process(target=consumer, args=aim)
        child.start()
        child.join()
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        kills += 1
        for unit in list(world.ground.units.running()):
            world.ground.units.lapse(unit, attempts=1000)
    [migration] = world.ground.migrations.all()
    world.work(migration)
    assert kills > 2 and world.states(migration) == {"done"}
    assert differences(world.old / "ann", world.new / "ann") == []
    assert not list(world.new.rglob(".convoy*"))
    switches = [at for at, line in enumerate(lines(world)) if line.startswith("switch")]
    assert switches and lines(world)[switches[0] :] == ["switch ann ann"] * len(switches)
    over = world.ground.migrations.advance(migration, Event.MOVED, by="test")
    found = report(world.desk(), over)
    assert found["complete"] is True
    assert found["items"]["moved"] == found["items"]["total"]
