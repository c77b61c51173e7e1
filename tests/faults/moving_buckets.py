"""Buckets moved while users work and whatever can die dies. A program of its own:

    python -m tests.faults.moving_buckets --moves 5 --kills 10

Two gateways and the driver run as processes, as an operator runs them. Users put, delete, copy,
read and list keys of their own and write down what each key may hold; an answer that no history
explains is an error, and so is a difference on the new store at the end. Gateways and driver are
killed, and gateways frozen beyond their lease, at random moments. It takes minutes.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from common.lifecycle.buckets import Phase
from common.store.sqlite import SqliteStore
from common.store.switches import Caller, Switches, Tenant
from ops.processes import Child, spawn
from tests.servers import fences, s3, swift
from tests.servers.gateways import ACCESS, PROFILE, SECRET, client
from tests.servers.ports import free_port

LEASE = 2.0
KEYS = 6  # of each user
View = set[bytes | None]


@dataclass
class User:
    """One user, and all that each of his keys may hold."""

    name: str
    bucket: str
    endpoints: list[str]
    seed: int
    views: dict[str, View] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    acts: int = 0
    unknown: int = 0

    def run(self, over: threading.Event) -> None:
        chance = random.Random(self.seed)
        clients = [client(url, ACCESS, SECRET, read_timeout=30) for url in self.endpoints]
        self.views = {f"{self.name}/{n}": {f"old {n}".encode()} for n in range(KEYS)}
        while not over.is_set():
            self.act(chance, chance.choice(clients), chance.choice(list(self.views)))
            self.acts += 1

    def act(self, chance: random.Random, s3: Any, key: str) -> None:
        word = chance.choice("PPDDCMRRRRL")
        if word == "P":
            data = chance.randbytes(chance.choice((10, 10_000, 300_000)))
            self.write(key, {data}, lambda: s3.put_object(Bucket=self.bucket, Key=key, Body=data))
        elif word == "D":
            self.write(key, {None}, lambda: s3.delete_object(Bucket=self.bucket, Key=key))
        elif word == "C":
            source = chance.choice([k for k in self.views if k != key])
            place = {"Bucket": self.bucket, "Key": source}
            there: View = {value for value in self.views[source] if value is not None}
            act = lambda: s3.copy_object(Bucket=self.bucket, Key=key, CopySource=place)  # noqa: E731
            self.write(key, there, act, absent=None in self.views[source])
        elif word == "M":
            data = chance.randbytes(1000)
            self.write(key, {data}, lambda: self.in_parts(s3, key, data))
        elif word == "R":
            self.read(s3, key)
        else:
            self.list(s3)

    def in_parts(self, s3: Any, key: str, data: bytes) -> None:
        """Put it as an upload of one part. Ended by the switch, it is begun again."""
        place = {"Bucket": self.bucket, "Key": key}
        for last in (False, True):
            upload = {**place, "UploadId": s3.create_multipart_upload(**place)["UploadId"]}
            try:
                part = s3.upload_part(**upload, PartNumber=1, Body=data)
                parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
                s3.complete_multipart_upload(**upload, MultipartUpload=parts)
            except ClientError as error:
                if last or error.response["Error"]["Code"] != "NoSuchUpload":
                    raise
            else:
                return

    def write(
        self, key: str, after: View, act: Callable[[], object], *, absent: bool = False
    ) -> None:
        """It happened, or may have, or did not."""
        try:
            act()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "NoSuchKey" and absent:
                return
            self.views[key] |= after
            self.unknown += 1
            if code not in ("SlowDown", "503"):
                self.wrong.append(f"a write: {code}")
        except BotoCoreError:  # the gateway has died
            self.views[key] |= after
            self.unknown += 1
        else:
            self.views[key] = set(after)

    def read(self, s3: Any, key: str) -> None:
        found: bytes | None
        try:
            found = s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in ("SlowDown", "503"):
                return
            found = None
            if code != "NoSuchKey":
                self.wrong.append(f"read of {key}: {code}")
        except (BotoCoreError, OSError):
            return
        if found not in self.views[key]:
            self.wrong.append(f"{key}: {_short(found)}, not of {[*map(_short, self.views[key])]}")

    def list(self, s3: Any) -> None:
        try:
            pages = s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=f"{self.name}/", PaginationConfig={"PageSize": 2}
            )
            there = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        except (ClientError, BotoCoreError):
            return
        for key, view in self.views.items():
            if (key in there and view == {None}) or (key not in there and None not in view):
                self.wrong.append(f"a listing: {key} {'is' if key in there else 'is not'} in it")
        if there != sorted(set(there)):
            self.wrong.append(f"a listing out of order: {there}")


def _short(data: bytes | None) -> str:
    return "nothing" if data is None else f"{data[:8]!r}+{len(data)}"


@dataclass
class Fleet:
    """Two gateways and a driver, as processes that are started again."""

    home: Path
    place: str
    ports: list[int]
    children: dict[str, Child] = field(default_factory=dict)
    killed: dict[str, int] = field(default_factory=dict)

    def start(self, name: str) -> None:
        argv = [sys.executable, "-W", "ignore", "-m", "ops.cli"]
        if name == "driver":
            argv += ["migrate", "bucket", self.place]
        else:
            argv += ["gateway", "--name", name, "--listen", f"127.0.0.1:{self.port(name)}"]
        log = self.home / f"{name}.log"
        self.children[name] = spawn(name, argv, env=self.env(), log=log, cwd=Path.cwd())

    def port(self, name: str) -> int:
        return self.ports[int(name[1:])]

    def env(self) -> dict[str, str]:
        home = {"CONVOY_HOME": str(self.home), "CONVOY_LEASE": f"{LEASE:g}s"}
        spans = {"CONVOY_BUCKET_QUIET": "1s", "CONVOY_BUCKET_TRACKING": "3s"}
        spans |= {"CONVOY_BUCKET_SETTLE": "3s", "CONVOY_BUCKET_HOLD": "20s"}
        return {**os.environ, **home, **spans}

    def tend(self) -> None:
        """Start again what ended."""
        for name, child in list(self.children.items()):
            if not child.alive and not (name == "driver" and child.code == 0):
                self.start(name)

    def hurt(self, chance: random.Random) -> None:
        """Kill one, or freeze a gateway for longer than its lease."""
        name = chance.choice(["g0", "g1", "driver", "freeze"])
        child = self.children["g0" if name == "freeze" else name]
        self.killed[name] = self.killed.get(name, 0) + 1
        if name != "freeze":
            os.kill(child.pid, signal.SIGKILL)
            return
        os.kill(child.pid, signal.SIGSTOP)
        threading.Event().wait(LEASE * 1.5)
        os.kill(child.pid, signal.SIGCONT)

    def stop(self) -> None:
        for child in self.children.values():
            child.stop()


def move(home: Path, old: s3.Store, new: s3.Store, number: int, kills: int) -> list[str]:
    """One move under fire; what went wrong."""
    bucket, chance = f"moved-{number}", random.Random(number)
    _prepare(home, old, new, bucket, number)
    fleet = Fleet(home, f"acme/{bucket}", [free_port(), free_port()])
    endpoints = [f"http://127.0.0.1:{port}" for port in fleet.ports]
    users = [User(f"u{n}", bucket, endpoints, 100 * number + n) for n in range(6)]
    over = threading.Event()
    threads = [threading.Thread(target=user.run, args=(over,)) for user in users]
    store = Switches(SqliteStore(str(home / "state.db")))
    try:
        for name in ("g0", "g1"):
            fleet.start(name)
        for thread in threads:
            thread.start()
        fleet.start("driver")
        _endure(fleet, store, bucket, chance, kills)
    finally:
        over.set()
        for thread in threads:
            thread.join(120)
        fleet.stop()
    print(  # noqa: T201
        f"move {number}: {store.get(bucket).phase}, {sum(u.acts for u in users)} acts, "
        f"{sum(u.unknown for u in users)} of unknown outcome, killed {fleet.killed}"
    )
    return [line for user in users for line in user.wrong] + _differs(new, bucket, users)


def _endure(fleet: Fleet, store: Switches, bucket: str, chance: random.Random, kills: int) -> None:
    deadline, done = time.monotonic() + 400, 0
    while store.get(bucket).phase is not Phase.DONE or store.get(bucket).holding:
        threading.Event().wait(chance.uniform(0.2, 2.5))
        if done < kills:
            fleet.hurt(chance)
            done += 1
        fleet.tend()
        if time.monotonic() > deadline:
            said = fleet.children["driver"].said()
            raise TimeoutError(f"{bucket} is still {store.get(bucket)}; the driver said {said}")
    threading.Event().wait(1)


def _prepare(home: Path, old: s3.Store, new: s3.Store, bucket: str, number: int) -> None:
    for side in (old, new):
        side.independent().create_bucket(Bucket=bucket)
    fences.SETS[old.name](old.endpoint, bucket, writes=True)
    for user in range(6):
        for n in range(KEYS):
            old.independent().put_object(
                Bucket=bucket, Key=f"u{user}/{n}", Body=f"old {n}".encode()
            )
    store = Switches(SqliteStore(str(home / "state.db")))
    kinds = f"{old.name} {old.endpoint} {new.name} {new.endpoint}"
    fence = (
        f"{sys.executable} -W ignore -m tests.servers.fences {{act}} {{side}} {{bucket}} {kinds}"
    )
    store.add_tenant(Tenant("acme", old.endpoint, new.endpoint, old.name, new.name, fence))
    store.add_caller(Caller(ACCESS, "acme", "user", f"{old.name}-guest", new.name))
    store.add_bucket(bucket, "acme")


def _differs(new: s3.Store, bucket: str, users: list[User]) -> list[str]:
    """What new holds at the end, beside what the users' histories allow."""
    direct, wrong = new.independent(), []
    listed = direct.list_objects_v2(Bucket=bucket).get("Contents", [])
    there = {entry["Key"] for entry in listed}
    for user in users:
        for key, view in user.views.items():
            found = None
            if key in there:
                found = direct.get_object(Bucket=bucket, Key=key)["Body"].read()
            if found not in view:
                wrong.append(f"at the end {key}: {_short(found)}")
    return wrong


@contextmanager
def stores(home: Path) -> Iterator[tuple[s3.Store, s3.Store]]:
    """Swift and moto, and everybody's keys."""
    both = (s3.SWIFT, s3.MOTO, s3.GUESTS["swift"])
    text = "\n".join(
        f"[{s.name}]\naws_access_key_id = {s.access}\naws_secret_access_key = {s.secret}\n"
        for s in both
    )
    (home / "credentials").write_text(f"{text}\n{PROFILE}")
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(home / "credentials")
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    with ExitStack() as stack:
        for name in ("swift", "moto"):
            (home / name).mkdir()
        old = stack.enter_context(swift.cluster(home / "swift"))
        new = stack.enter_context(s3.in_memory(home / "moto"))
        yield s3.SWIFT.through(old), s3.MOTO.through(new)


def main() -> None:
    """Move so many buckets, with so many blows to each; exit 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=5)
    parser.add_argument("--kills", type=int, default=10, help="blows to each move")
    given = parser.parse_args()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as place, stores(Path(place)) as (old, new):
        for number in range(given.moves):
            wrong += move(Path(place), old, new, number, given.kills)
    shown = [*dict.fromkeys(wrong)][:20]
    print("\n".join([*shown, f"{len(wrong)} answers that no history explains"]))  # noqa: T201
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
