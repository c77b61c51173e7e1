"""What is rare at real servers: odd answers, odd sizes, and two consumers at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from common.digest import md5
from common.endpoints import registry
from common.endpoints.place import Held, Item, Type
from common.endpoints.s3 import S3Target, amending, index, target
from common.endpoints.s3.client import client_for
from common.endpoints.s3.ledger import Ledger, Note
from common.endpoints.s3.location import Location
from common.endpoints.wire import Timeouts
from common.errors import Corrupt, Missing, Occupied, Refused, Stale
from common.settings import Settings
from tests.servers.s3 import Store
from tests.servers.s3_places import MTIME, Place, cut, directory, file
from tests.servers.scripted import Scripted, scripted

MEBI = 1 << 20
DATA = b"contents"
GOOD, ODD = md5(DATA).hexdigest(), "0" * 32


@pytest.fixture
def place(moto: Store, prefix: str) -> Place:
    return Place(moto, prefix)


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def head(etag: str, size: int = len(DATA), **headers: str) -> bytes:
    """The answer to a HEAD of an object."""
    text = answer(200, b"", ETag=f'"{etag}"', **headers)
    return text.replace(b"Content-Length: 0", b"Content-Length: %d" % size)


@contextmanager
def storing(
    monkeypatch: pytest.MonkeyPatch, *answers: bytes
) -> Iterator[tuple[S3Target, Scripted]]:
    """A target whose store answers just so."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AK")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with scripted(*answers) as server:
        location = Location("bucket", endpoint=server.url)
        target = S3Target(location, "u/", token="t.1", limits=Timeouts())
        yield target, server
        target.close()


def publish(target: S3Target, over: Held | None = None) -> Held:
    return target.publish(target.stage(Item("x", Type.FILE, len(DATA)), DATA, GOOD, {}), over)


def methods(server: Scripted) -> list[str]:
    return [request.split()[0].decode() for request in server.requests]


def test_an_etag_that_is_no_digest_is_told_from_damage_by_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored = answer(200, DATA, ETag=f'"{ODD}"')
    with storing(monkeypatch, answer(200, ETag=ODD), answer(412), stored) as (target, server):
        held = publish(target)
        assert (held.version, held.md5) == (ODD, "")
        assert methods(server) == ["PUT", "PUT", "GET"]


def test_an_encrypted_object_is_proven_by_reading_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = answer(200, DATA, ETag=ODD, x_amz_server_side_encryption="aws:kms")
    put = answer(200, ETag=ODD, x_amz_server_side_encryption="aws:kms")
    with storing(monkeypatch, put, answer(412), stored) as (target, _):
        assert publish(target).md5 == ""


def test_damage_that_somebody_wrote_over_meanwhile_is_not_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs = answer(200, b"theirs", ETag="1" * 32)
    with storing(monkeypatch, answer(200, ETag=ODD), answer(412), theirs) as (target, server):
        with pytest.raises(Corrupt):
            publish(target)
        assert methods(server) == ["PUT", "PUT", "GET"]


def test_a_store_without_conditions_is_looked_at_before_every_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = b"<Error><Code>NotImplemented</Code></Error>"
    answers = [answer(501, error), answer(404), answer(200, ETag=GOOD)]
    with storing(monkeypatch, *answers, head(ODD), head(ODD)) as (target, server):
        assert publish(target).md5 == GOOD
        with pytest.raises(Occupied):
            publish(target)
        assert methods(server) == ["PUT", "HEAD", "PUT", "HEAD"]


def test_a_store_that_ignores_conditions_is_found_out_by_asking_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [answer(200, ETag=GOOD), answer(200, ETag=GOOD), head(ODD), head(ODD)]
    with storing(monkeypatch, *answers) as (target, server):
        publish(target)
        with pytest.raises(Occupied):
            publish(target)
        assert methods(server) == ["PUT", "PUT", "HEAD"]


def test_a_store_that_refuses_the_right_etag_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = Held(Type.FILE, 8, version=ODD)
    lies = [head(ODD), answer(412), head(ODD), answer(200, ETag=GOOD)]
    with storing(monkeypatch, *lies, head(ODD), answer(200, ETag=GOOD)) as (target, server):
        publish(target, over)
        publish(target, over)
        assert methods(server) == ["HEAD", "PUT", "HEAD", "PUT", "HEAD", "PUT"]


def test_what_vanished_is_not_what_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    over = Held(Type.FILE, 8, version=ODD)
    gone = answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
    with storing(monkeypatch, head(ODD), gone) as (target, _), pytest.raises(Occupied):
        publish(target, over)
    unsupported = answer(501, b"<Error><Code>NotImplemented</Code></Error>")
    with storing(monkeypatch, head(ODD), unsupported, answer(200, ETag=GOOD)) as (target, server):
        assert publish(target, over).md5 == GOOD
        assert b"if-match" in server.requests[1] and b"if-match" not in server.requests[2]


def test_consumers_that_begin_one_file_at_once_agree_on_one_staging_place(place: Place) -> None:
    item, start = file("huge", 11 * MEBI), threading.Barrier(6)

    def begin(number: int) -> str:
        with place.target(f"u{number}.1") as target:
            start.wait(timeout=60)
            return target.begin(item, "group", {}, 5 * MEBI)

    with ThreadPoolExecutor(6) as pool:
        places = set(pool.map(begin, range(6)))
    assert len(places) == 1 and place.uploads() == ["huge"]
    with place.target() as target:
        target.abandon(places.pop(), item)
    assert place.listed() == [] and place.uploads() == []


def test_a_staging_place_that_is_gone_is_not_joined(place: Place) -> None:
    item = file("huge", 11 * MEBI)
    with place.target() as target:
        staging = target.begin(item, "group", {}, 5 * MEBI)
        target.abandon(staging, item)
        with pytest.raises(Stale):
            target.join(item, staging, 5 * MEBI)


def test_a_note_that_names_another_place_is_not_followed(place: Place) -> None:
    ours = client_for(place.store.location, Timeouts())
    ledger = Ledger(ours, place.prefix)
    name = ledger.name("t", "unit", "x")
    ledger.enter(Note(name, "users/another/x", "some-upload"), over=True)
    assert ledger.read(name) is None
    place.raw(name[len(place.prefix) :], b"no json")
    assert ledger.read(name) is None and ledger.read(name + "x") is None


def test_a_place_too_large_to_remember_is_asked_key_by_key(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "KEPT", 3)
    for number in range(6):
        place.raw(f"f{number}", b"x")
    with place.target() as target:
        assert list(target.survey()) == [f"f{number}" for number in range(6)]
        assert target.look("f5") and not target.look("f6")
        held = target.look("f1")
        assert held is not None and held.size == 1


def test_an_object_too_large_to_copy_is_streamed_or_left_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amending, "COPIED", 4)
    monkeypatch.setattr(target, "COPIED", 4)
    place.put("first", DATA)
    with place.target() as there:
        there.hardlink(file("second", len(DATA)), "first", None)
        held = there.look("second")
        assert held is not None
        with pytest.raises(Refused, match="5 GiB"):
            there.adjust(file("second", len(DATA), mtime_ns=1), held, None)
        with pytest.raises(Missing):
            there.hardlink(file("third", 1), "nothing", None)
    assert place.seen("second")[0] == DATA


def test_what_is_gone_cannot_be_adjusted(place: Place) -> None:
    with place.target() as target, pytest.raises(Missing):
        target.adjust(file("x"), Held(Type.FILE), None)
    with place.target() as target, pytest.raises(Missing):
        target.attributes("x")


def test_a_directory_is_adjusted_by_writing_it_anew(place: Place) -> None:
    with place.target() as target:
        target.directory(directory("d"))
        target.settle()
        assert target.adjust(directory("d", mtime_ns=5), Held(Type.DIRECTORY), None)
        target.seal(directory("d", mtime_ns=5), {"meta:note": "kept"})
        target.settle()
    found = place.walk()["d"]
    assert found.mtime_ns == 5
    with place.source() as source, source.open(found) as content:
        assert content.attributes["meta:note"] == "kept"


def test_attributes_are_brought_in_line_where_they_are_given(place: Place) -> None:
    place.put("x", DATA, {"meta:a": "1", "tag:t": "1", "header:cache-control": "no-store"})
    with place.target() as target:
        held = target.look("x")
        assert held is not None
        wanted = {"meta:b": "2", "tag:t": "2"}
        assert target.adjust(file("x", len(DATA)), held, wanted)
        assert not target.adjust(file("x", len(DATA)), held, wanted)
        found = dict(target.attributes("x"))
    assert found.pop("header:content-type")
    assert found == wanted


def test_the_registry_opens_s3_by_its_url(moto: Store, prefix: str) -> None:
    place, settings = Place(moto, f"{prefix}alice/"), Settings()
    place.put("x", DATA)
    url = moto.url(prefix + "{user}")
    registry.prepare(url, settings)
    assert list(registry.users(url, settings)) == ["alice"]
    shown = registry.capabilities(url, settings)
    tried = registry.capabilities(url, settings, writes=True)
    assert shown.tags and shown.headers and tried.conditional and not tried.any_name
    source = registry.open_source(url, "alice", settings)
    assert [item.path for item in source.walk() if isinstance(item, Item)] == ["", "x"]
    source.close()
    target = registry.open_target(url, "bob", settings, token="t.1")
    staged = target.stage(Item("y", Type.FILE, len(DATA), MTIME), DATA, GOOD, {})
    target.publish(staged, None)
    target.close()
    assert sorted(registry.users(url, settings)) == ["alice", "bob"]
    with pytest.raises(Missing) as caught:
        registry.prepare(url.replace(moto.bucket, "no-such-bucket"), settings)
    assert "bucket" in caught.value.hint


def test_what_cannot_be_held_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = {"xattr:user.a": "eA==", "xattr:user.b": "eA==", "tag:t": "1", "meta:m": "1"}
    with place.target() as target:
        target.stage(file("x", len(DATA)), DATA, GOOD, lost)
        assert target.remarks() == {"xattr: not kept by the target": 1}
    refusal = answer(501, b"<Error><Code>NotImplemented</Code></Error>")
    with storing(monkeypatch, refusal, answer(200, ETag=GOOD), answer(412)) as (target, server):
        staged = target.stage(Item("x", Type.FILE, len(DATA)), DATA, GOOD, {"tag:t": "1"})
        assert target.publish(staged, None).md5 == GOOD
        assert target.remarks() == {"tag: not kept by the target": 1}
        assert [b"x-amz-tagging" in request for request in server.requests] == [True, False, False]


def test_streams_that_fit_one_part_are_one_object(place: Place) -> None:
    data = bytes(9 * MEBI)
    with place.target() as target:
        running = md5()
        staged = target.stream(file("x", len(data)), cut(data), running, {})
        assert place.uploads() == []
        held = target.publish(staged, None)
    assert held.md5 == running.hexdigest() == md5(data).hexdigest()
