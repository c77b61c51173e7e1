"""Whole switches of a bucket, there and back, while users read and write through the gateway."""

from __future__ import annotations

import http.client
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest

from common.lifecycle.buckets import Event, Phase
from common.store.gateways import Gateways
from common.store.pages import Line, Pages
from common.store.switches import Switch
from consumer.buckets import joining
from consumer.buckets.sides import Sides
from ops.switching import Driver, Spans
from tests.gate import body, code_of, keys, marked, on_new, put_old
from tests.servers import fences
from tests.servers.gateways import LEASE, World

NONE = timedelta(0)
SPANS = Spans(lease=LEASE, quiet=NONE, hold=timedelta(seconds=60), settle=NONE)


def driver(gate: World, **spans: timedelta) -> Driver:
    return Driver(gate.state, Spans(**{**vars_of(SPANS), **spans}))


def vars_of(spans: Spans) -> dict[str, timedelta]:
    return {name: getattr(spans, name) for name in Spans.__dataclass_fields__}


def driven(gate: World, to: Phase, by: Driver | None = None, *, holding: bool = False) -> Switch:
    """Look again and again until the bucket is in this phase."""
    by = by or driver(gate)
    for _ in range(60):
        switch = by.look(gate.bucket)
        gate.confirmed()
        if (switch.phase, switch.holding) == (to, holding):
            return switch
    raise AssertionError(f"still {gate.switch.phase}: {gate.switch.why}")


def started(gate: World) -> Driver:
    by = driver(gate)
    assert by.start(gate.bucket).findings == ()
    gate.confirmed()
    return by


class Busy:
    """A user who puts, deletes, copies and reads keys of his own, and never sees another state
    than the one he made."""

    def __init__(self, gate: World, name: str, seed: int) -> None:
        self._gate, self._name, self._random = gate, name, random.Random(seed)
        self.view = dict[str, bytes | None]()
        self.wrong: list[str] = []
        self.acts = 0
        self._over = threading.Event()

    def run(self) -> None:
        client = self._gate.user()
        keys_ = [f"{self._name}/{n}" for n in range(8)]
        for key in keys_:
            self.view[key] = f"old {key}".encode()
        while not self._over.is_set():
            try:
                self._act(client, self._random.choice(keys_), keys_)
            except Exception as error:
                self.wrong.append(repr(error))
            self.acts += 1

    def _act(self, client: Any, key: str, keys_: list[str]) -> None:
        word = self._random.choice("PPDCRRRL")
        if word == "P":
            data = self._random.randbytes(20)
            act = partial(client.put_object, Bucket=self._gate.bucket, Key=key, Body=data)
            if self._done(act):
                self.view[key] = data
        elif word == "D":
            if self._done(partial(client.delete_object, Bucket=self._gate.bucket, Key=key)):
                self.view[key] = None
        elif word == "C":
            self._copy(client, key, self._random.choice([k for k in keys_ if k != key]))
        else:
            self._look(client, key, keys_, listing=word == "L")

    def _copy(self, client: Any, key: str, source: str) -> None:
        bucket = self._gate.bucket
        expected = "" if self.view[source] is not None else "NoSuchKey"
        place = {"Bucket": bucket, "Key": source}
        code = code_of(partial(client.copy_object, Bucket=bucket, Key=key, CopySource=place))
        if code == expected == "":
            self.view[key] = self.view[source]
        elif code not in (expected, "SlowDown"):
            self.wrong.append(f"copy of {source}: {code!r}, not {expected!r}")

    def _look(self, client: Any, key: str, keys_: list[str], *, listing: bool) -> None:
        gate, found = self._gate, list[Any]()
        if listing:
            more = {"Prefix": f"{self._name}/", "PaginationConfig": {"PageSize": 3}}
            code = code_of(lambda: found.append(keys(client, gate, **more)))
            expected: Any = [k for k in keys_ if self.view[k] is not None]
        else:
            code = code_of(lambda: found.append(body(client, gate, key)))
            expected = self.view[key]
        if code != "SlowDown" and (found[0] if found else None) != expected:
            self.wrong.append(f"{key} in {gate.switch.phase}: {code} {found}, not {expected}")

    def _done(self, act: Any) -> bool:
        """Did it happen? Told to slow down, it did not."""
        code = code_of(act)
        if code not in ("", "SlowDown"):
            self.wrong.append(code)
        return not code

    def stop(self) -> None:
        self._over.set()


@contextmanager
def busy(gate: World, many: int = 2) -> Iterator[list[Busy]]:
    users = [Busy(gate, f"u{n}", n) for n in range(many)]
    for n in range(many):
        for k in range(8):
            put_old(gate, f"u{n}/{k}", f"old u{n}/{k}".encode())
    threads = [threading.Thread(target=user.run) for user in users]
    for thread in threads:
        thread.start()
    try:
        yield users
    finally:
        for user in users:
            user.stop()
        for thread in threads:
            thread.join(60)
    assert [line for user in users for line in user.wrong] == []
    assert all(user.acts > 20 for user in users)


def test_a_bucket_moves_while_users_read_and_write(gate: World) -> None:
    for n in range(25):
        put_old(gate, f"quiet/{n:02}", b"old %d" % n, Metadata={"n": str(n)})
    with busy(gate) as users:
        by = started(gate)
        driven(gate, Phase.DONE, by)
    progress = Pages(gate.state).progress(gate.bucket)
    assert (progress.open, progress.failed) == (0, 0)
    view = {key: data for user in users for key, data in user.view.items() if data is not None}
    view |= {f"quiet/{n:02}": b"old %d" % n for n in range(25)}
    direct = gate.new.independent()
    there = [e["Key"] for e in direct.list_objects_v2(Bucket=gate.bucket)["Contents"]]
    assert sorted(there) == sorted(view)
    for key, data in view.items():
        assert direct.get_object(Bucket=gate.bucket, Key=key)["Body"].read() == data
    assert gate.user().head_object(Bucket=gate.bucket, Key="quiet/07")["Metadata"] == {"n": "7"}


def test_old_is_as_it_was_when_the_bucket_has_moved(gate: World) -> None:
    for n in range(5):
        put_old(gate, f"k{n}", b"old")
    by = started(gate)
    driven(gate, Phase.COPYING, by)
    user = gate.user()
    user.delete_object(Bucket=gate.bucket, Key="k1")
    user.put_object(Bucket=gate.bucket, Key="k2", Body=b"mine")
    driven(gate, Phase.DONE, by)
    old = gate.old.independent()
    listed = old.list_objects_v2(Bucket=gate.bucket)["Contents"]
    assert [(e["Key"], e["Size"]) for e in listed] == [(f"k{n}", 3) for n in range(5)]
    assert keys(user, gate) == ["k0", "k2", "k3", "k4"]


def test_the_janitor_removes_late_copies_of_what_was_deleted(gate: World) -> None:
    put_old(gate, "a", b"old")
    put_old(gate, "b", b"old")
    by = started(gate)
    driven(gate, Phase.COPYING, by)
    driven(gate, Phase.SEALING, by)
    assert marked(gate, "a")
    gate.journal.intend(gate.bucket, "a", bury=True)  # a delete that died before its act
    assert code_of(lambda: body(gate.user(), gate, "a")) == "NoSuchKey"
    driven(gate, Phase.DONE, by)
    assert not on_new(gate, "a")
    assert keys(gate.user(), gate) == ["b"]


def test_nothing_goes_on_while_a_gateway_has_not_confirmed(gate: World) -> None:
    by = started(gate)
    Gateways(gate.state).beat("frozen", {gate.bucket: 1}, {}, {})
    assert by.look(gate.bucket).phase is Phase.TRACKING
    assert by.look(gate.bucket).phase is Phase.TRACKING
    Gateways(gate.state).leave("frozen")
    gate.confirmed()
    assert by.look(gate.bucket).phase is Phase.QUIESCING


def test_a_gateway_that_is_dead_is_waited_for_one_lease_by_our_own_clock(gate: World) -> None:
    by = started(gate)
    now = [by.clock.tick()]
    object.__setattr__(by.clock, "tick", lambda: now[0])
    Gateways(gate.state).beat("dead", {gate.bucket: 1}, {}, {})
    assert by.look(gate.bucket).phase is Phase.TRACKING
    now[0] += LEASE.total_seconds()
    gate.look()  # the living one beats
    assert by.look(gate.bucket).phase is Phase.QUIESCING


def test_a_store_that_cannot_be_fenced_is_never_switched(gate: World) -> None:
    put_old(gate, "a", b"old")
    by = started(gate)
    tenants = gate.state.collection("tenants")
    tenants.change({"id": "acme"}, set={"fence": "true"})  # it says yes, and does nothing
    for _ in range(4):
        by.look(gate.bucket)
        gate.confirmed()
    assert gate.switch.phase is Phase.QUIESCING
    assert "still takes writes" in gate.switch.why
    by.spans = Spans(**{**vars_of(SPANS), "hold": NONE})
    assert by.look(gate.bucket).phase is Phase.TRACKING  # users are not kept waiting


def test_what_stands_against_a_move_is_found_before_it_begins(gate: World) -> None:
    by = driver(gate)
    gate.new.independent().put_object(Bucket=gate.bucket, Key="x", Body=b"")
    assert [f.code for f in by.start(gate.bucket).findings] == ["B003"]
    gate.new.independent().delete_object(Bucket=gate.bucket, Key="x")
    gate.state.collection("tenants").change({"id": "acme"}, set={"fence": ""})
    assert "B006" in [f.code for f in by.start(gate.bucket).findings]
    gate.state.collection("callers").remove({})
    assert {"B006", "B007"} <= {f.code for f in by.start(gate.bucket).findings}
    assert gate.switch.phase is Phase.NORMAL


@pytest.mark.parametrize("gate_pair", ["moto-swift"], indirect=True)
def test_a_store_in_which_several_conditional_puts_win_is_refused(gate: World) -> None:
    assert "B004" in [f.code for f in driver(gate).start(gate.bucket).findings]


def test_a_copier_that_is_started_again_lists_nothing_twice(gate: World) -> None:
    for n in range(6):
        put_old(gate, f"k{n}", b"old")
    by = started(gate)
    driven(gate, Phase.COPYING, by)
    asked = iter([False, True])
    by.stop = lambda: next(asked, True)
    by.look(gate.bucket)
    assert gate.switch.phase is Phase.COPYING
    driven(gate, Phase.DONE, driver(gate))
    assert Pages(gate.state).progress(gate.bucket).pages == 1
    assert Pages(gate.state).progress(gate.bucket).objects == 6


def in_parts(gate: World, key: str, *sizes: int) -> str:
    """An object on old that was made of parts; its ETag."""
    client, place = gate.old.independent(), {"Bucket": gate.bucket, "Key": key}
    upload = client.create_multipart_upload(**place, Metadata={"of": "parts"})["UploadId"]
    parts = []
    for number, size in enumerate(sizes, 1):
        data = bytes([number]) * size
        sent = client.upload_part(**place, UploadId=upload, PartNumber=number, Body=data)
        parts.append({"PartNumber": number, "ETag": sent["ETag"]})
    client.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})
    etag: str = client.head_object(**place)["ETag"]
    return etag


def test_objects_made_of_parts_keep_their_etag_and_leave_no_upload_behind(gate: World) -> None:
    five = 5 << 20
    etags = {"alike": in_parts(gate, "alike", five, five, 100)}
    etags["unlike"] = in_parts(gate, "unlike", five + 7, five, 1)
    by = started(gate)
    driven(gate, Phase.COPYING, by)
    pages, new = Pages(gate.state), gate.new.independent()
    place = {"Bucket": gate.bucket, "Key": "alike"}
    left = new.create_multipart_upload(**place)["UploadId"]  # of a copier that died
    asked = iter([False, False])
    by.stop = lambda: next(asked, True)
    by.look(gate.bucket)
    pages.note(pages.waiting(gate.bucket, 1)[0], "alike", left)
    by.stop = lambda: False
    driven(gate, Phase.DONE, by)
    for key, etag in etags.items():
        head = gate.user().head_object(Bucket=gate.bucket, Key=key)
        assert (head["ETag"], head["Metadata"]) == (etag, {"of": "parts"})
    assert body(gate.user(), gate, "unlike").count(bytes([1])) == five + 7
    assert "Uploads" not in new.list_multipart_uploads(Bucket=gate.bucket)


def test_a_users_write_beats_the_join_of_a_copy(gate: World) -> None:
    etag = in_parts(gate, "k", 5 << 20, 9)
    by = started(gate)
    driven(gate, Phase.COPYING, by)
    switch, tenant = gate.switch, gate.switches.tenant("acme")
    sides = Sides.of(gate.state, tenant, switch, by.limits)
    pages, line = Pages(gate.state), Line("k", (5 << 20) + 9, etag.strip('"'))
    pages.add(gate.bucket, "", [line])
    page = pages.waiting(gate.bucket, 1)[0]
    gate.user().put_object(Bucket=gate.bucket, Key="k", Body=b"mine")  # after the copier looked
    assert not joining.join(sides, pages, page, line)
    sides.close()
    assert body(gate.user(), gate, "k") == b"mine"


@pytest.mark.parametrize("gate_pair", ["moto-swift"], indirect=True)
def test_objects_made_of_parts_are_refused_where_joins_are_not_exclusive(gate: World) -> None:
    """Whether the probe catches Swift at once (B004) is a matter of luck; the parts are looked at
    only if it did not."""
    in_parts(gate, "k", 5 << 20, 9)
    codes = {found.code for found in driver(gate).start(gate.bucket).findings}
    assert codes & {"B004", "B013"}


def test_a_move_is_withdrawn_before_anything_was_redirected(gate: World) -> None:
    by = started(gate)
    driven(gate, Phase.QUIESCING, by)
    assert by.roll_back(gate.bucket, why="not today").phase is Phase.ROLLED_BACK
    gate.confirmed()
    gate.user().put_object(Bucket=gate.bucket, Key="k", Body=b"1")
    assert not on_new(gate, "k")


@pytest.mark.parametrize("gate_pair", ["swift-ceph"], indirect=True)
def test_the_way_back_brings_old_to_exactly_the_users_view(gate: World) -> None:
    with busy(gate) as users:
        by = started(gate)
        driven(gate, Phase.VERIFYING, by)
        by.roll_back(gate.bucket, why="too slow")
        gate.confirmed()
        driven(gate, Phase.ROLLED_BACK, by)
    view = {key: data for user in users for key, data in user.view.items() if data is not None}
    old = gate.old.independent()
    there = [e["Key"] for e in old.list_objects_v2(Bucket=gate.bucket).get("Contents", [])]
    assert sorted(there) == sorted(view)
    for key, data in view.items():
        assert old.get_object(Bucket=gate.bucket, Key=key)["Body"].read() == data
    head = old.head_object(Bucket=gate.bucket, Key=next(iter(view)))
    assert not any("convoy" in name for name in head["Metadata"])


def test_a_write_that_takes_for_ever_holds_up_the_switch_and_no_other_write(gate: World) -> None:
    by = started(gate)
    driven(gate, Phase.SEALING, by)
    over = threading.Event()
    with slow_put(gate, "slow", over) as codes:
        driven(gate, Phase.DONE, by)
        assert gate.user().put_object(Bucket=gate.bucket, Key="k", Body=b"1")
        over.set()
    assert codes != [200]  # it was told to come again
    assert code_of(lambda: body(gate.user(), gate, "slow")) == "NoSuchKey"


def test_a_write_that_meets_the_fence_because_it_was_slow_is_told_to_come_again(
    gate: World,
) -> None:
    started(gate)
    over = threading.Event()
    with slow_put(gate, "slow", over) as codes:
        gate.switches.advance(gate.switch, Event.QUIET, by="test")
        gate.look()
        fences.SETS["swift"](gate.old.endpoint, gate.bucket, writes=False)
    assert codes == [503]  # and not that access is denied


@contextmanager
def slow_put(gate: World, key: str, over: threading.Event) -> Iterator[list[int]]:
    """A put whose body does not come to its end before `over`."""
    url = gate.user().generate_presigned_url(
        "put_object", Params={"Bucket": gate.bucket, "Key": key}, ExpiresIn=600
    )
    parts, codes, begun = urlsplit(url), list[int](), threading.Event()

    def flow() -> Iterator[bytes]:
        yield b"begin"
        begun.set()
        over.wait(60)
        yield b"end"

    def put() -> None:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        try:
            sent = {"Content-Length": "8"}
            connection.request("PUT", f"{parts.path}?{parts.query}", flow(), sent)
            codes.append(connection.getresponse().status)
        except OSError:
            codes.append(0)
        finally:
            connection.close()

    thread = threading.Thread(target=put)
    thread.start()
    try:
        assert begun.wait(30)
        yield codes
    finally:
        over.set()
        thread.join(60)


def test_the_history_says_who_did_what(gate: World) -> None:
    by = started(gate)
    driven(gate, Phase.REDIRECTED, by)
    events = [line["event"] for line in gate.switches.history(gate.bucket)]
    assert events == [Event.START, Event.QUIET, Event.DRAINED]
