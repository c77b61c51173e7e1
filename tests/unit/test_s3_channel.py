"""What answers of an S3 server mean: errors by what to do, nothing believed that was not asked."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from common.digest import EMPTY
from common.endpoints.place import Item, Type
from common.endpoints.s3 import S3Source, uploads
from common.endpoints.s3.client import Client
from common.endpoints.s3.documents import TEXT, page, records
from common.endpoints.s3.errors import judged
from common.endpoints.s3.location import Location
from common.endpoints.wire import Timeouts
from common.endpoints.wire.statuses import Unsupported
from common.errors import (
    Backpressure,
    Changing,
    ConvoyError,
    Corrupt,
    Denied,
    Missing,
    Occupied,
    Permanent,
    Refused,
    Transient,
)
from tests.servers.scripted import HANG_UP, Scripted, scripted

ERROR = "<Error><Code>{}</Code><Message>because</Message></Error>"


def answer(status: int, body: str = "", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body.encode())}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def listing(*keys: str, token: str = "", more: bool = False) -> bytes:
    contents = "".join(
        f"<Contents><Key>{k}</Key><Size>1</Size><ETag>e</ETag></Contents>" for k in keys
    )
    return answer(
        200,
        f"<ListBucketResult><IsTruncated>{'true' if more or token else 'false'}</IsTruncated>"
        f"<NextContinuationToken>{token}</NextContinuationToken>{contents}</ListBucketResult>",
    )


@pytest.fixture(autouse=True)
def somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AK")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@contextmanager
def asked(*answers: bytes) -> Iterator[tuple[Client, Scripted]]:
    with scripted(*answers) as server:
        client = Client(Location("bucket", endpoint=server.url), Timeouts())
        try:
            yield client, server
        finally:
            client.channel.close()


@pytest.mark.parametrize(
    ("status", "code", "meant"),
    [
        (503, "SlowDown", Backpressure),
        (429, "", Backpressure),
        (400, "SlowDown", Backpressure),
        (503, "", Backpressure),
        (500, "InternalError", Transient),
        (502, "", Transient),
        (504, "", Transient),
        (400, "RequestTimeout", Transient),
        (409, "OperationAborted", Transient),
        (403, "AccessDenied", Denied),
        (401, "", Denied),
        (403, "RequestTimeTooSkewed", Denied),
        (403, "SignatureDoesNotMatch", Denied),
        (301, "PermanentRedirect", Denied),
        (307, "", Denied),
        (404, "NoSuchKey", Missing),
        (404, "NoSuchBucket", Missing),
        (412, "PreconditionFailed", Occupied),
        (400, "BadDigest", Corrupt),
        (400, "InvalidDigest", Corrupt),
        (416, "InvalidRange", Changing),
        (501, "NotImplemented", Unsupported),
        (400, "KeyTooLongError", Refused),
        (400, "InvalidArgument", Permanent),
        (599, "", Transient),
        (418, "", Permanent),
    ],
)
def test_an_error_is_known_by_what_to_do_about_it(
    status: int, code: str, meant: type[ConvoyError]
) -> None:
    error = judged(status, {}, code, "because", "PUT s3://b/'k'")
    assert type(error) is meant and error.hint
    assert str(error).startswith(f"PUT s3://b/'k': {status}") and "because" in str(error)


def test_a_clock_that_is_wrong_is_told_from_a_key_that_is_wrong() -> None:
    assert "clock" in judged(403, {}, "RequestTimeTooSkewed", "", "x").hint


def test_a_server_may_say_how_long_to_wait_but_not_for_ever() -> None:
    def pause(text: str) -> float:
        error = judged(503, {"retry-after": text}, "", "", "x")
        assert isinstance(error, Backpressure)
        return error.retry_in.total_seconds()

    assert [pause(text) for text in ("7", "0", "999999999999", "", "soon", "-5")] == [
        7, 0, 300, 1, 1, 1,
    ]  # fmt: skip
    later = datetime.now(UTC) + timedelta(seconds=60)
    assert 50 < pause(format_datetime(later)) <= 60
    assert pause("Thu, 01 Jan 1970 00:00:00 GMT") == 1


def test_what_passes_by_itself_is_tried_again_at_once() -> None:
    failing = [answer(500), answer(503, ERROR.format("SlowDown"), Retry_After="0"), HANG_UP]
    with asked(*failing, answer(200, "", ETag='"e"')) as (client, server):
        done = client.put("k", b"", EMPTY, {})
        assert done.status == 200 and done.again
        assert len(server.requests) == 4


def test_what_does_not_pass_is_given_up_after_a_few_tries() -> None:
    with asked(*[answer(500, ERROR.format("InternalError"))] * 9) as (client, server):
        with pytest.raises(Transient, match="InternalError"):
            client.delete("k")
        assert len(server.requests) == 4


def test_a_server_that_wants_a_long_pause_gets_it() -> None:
    with asked(answer(503, "", Retry_After="20"), answer(200)) as (client, server):
        with pytest.raises(Backpressure) as caught:
            client.delete("k")
        assert caught.value.retry_in == timedelta(seconds=20) and len(server.requests) == 1


def test_what_cannot_pass_is_not_tried_again() -> None:
    with asked(*[answer(403, ERROR.format("AccessDenied"))] * 3) as (client, server):
        with pytest.raises(Denied, match="AccessDenied"):
            client.tags("k")
        assert len(server.requests) == 1


def test_no_error_shows_a_secret() -> None:
    with asked(answer(403, ERROR.format("SignatureDoesNotMatch"))) as (client, server):
        with pytest.raises(Denied) as caught:
            client.tags("k")
        assert "hunter2" not in f"{caught.value!r}{caught.value.hint}{server.requests}"


def test_a_completion_that_failed_after_it_answered_well_has_failed() -> None:
    late = answer(200, ' \n<?xml version="1.0"?>' + ERROR.format("InternalError"))
    with (
        asked(*[late] * 4) as (client, _),
        pytest.raises(Transient, match="InternalError"),
    ):
        uploads.complete(client, "k", "u", [EMPTY], {})
    done = answer(200, "<CompleteMultipartUploadResult/>")
    with asked(late, done) as (client, _):
        assert uploads.complete(client, "k", "u", [EMPTY], {})
    with asked(answer(200)) as (client, _):  # some answer with nothing
        assert uploads.complete(client, "k", "u", [EMPTY], {})


def test_an_upload_without_a_name_and_a_part_with_another_digest_are_errors() -> None:
    with (
        asked(answer(200, "<InitiateMultipartUploadResult/>")) as (client, _),
        pytest.raises(Transient, match="without a name"),
    ):
        uploads.create(client, "k", {})
    with (
        asked(answer(200, ETag=f'"{EMPTY}"')) as (client, _),
        pytest.raises(Corrupt, match="part 1"),
    ):
        uploads.send(client, "k", "u", 1, b"x")


def test_a_look_without_a_length_is_an_error() -> None:
    with (
        asked(*[b"HTTP/1.1 200 OK\r\nETag: e\r\n\r\n"] * 4) as (client, _),
        pytest.raises(Transient, match="without a length"),
    ):
        client.head("k")


# -- listings -----------------------------------------------------------------------------------


def keys(client: Client, prefix: str = "u1/") -> list[str]:
    return [entry.key for found in client.pages(prefix) for entry in found.entries]


def test_pages_are_put_together() -> None:
    with asked(listing("u1/a", token="t+/="), listing("u1/b")) as (client, server):
        assert keys(client) == ["u1/a", "u1/b"]
        assert b"continuation-token=t%2B%2F%3D" in server.requests[1]


def test_keys_outside_the_prefix_are_not_believed() -> None:
    with (
        asked(listing("u1/a", "u2/secret")) as (client, _),
        pytest.raises(Permanent, match="outside the prefix"),
    ):
        keys(client)


def test_a_listing_that_turns_in_a_circle_ends() -> None:
    with (
        asked(*[listing("u1/a", token="t")] * 3) as (client, _),
        pytest.raises(Permanent, match="out of order"),
    ):
        keys(client)
    with (
        asked(*[listing(token="t")] * 3) as (client, _),
        pytest.raises(Permanent, match="same page"),
    ):
        keys(client)
    with (
        asked(listing("u1/a", more=True)) as (client, _),
        pytest.raises(Transient, match="not where"),
    ):
        keys(client)


def test_a_walk_of_many_pages_needs_the_memory_of_one() -> None:
    pages = [
        listing(*(f"u1/d{page:02}/f{n:03}" for n in range(500)), token=f"t{page}" * (page < 39))
        for page in range(40)
    ]
    with scripted(*pages) as server:
        location = Location("bucket", endpoint=server.url)
        source, peaks, seen = S3Source(location, "u1/", limits=Timeouts()), list[int](), 0
        tracemalloc.start()
        try:
            for item in source.walk():
                assert isinstance(item, Item)
                seen += item.type is Type.FILE
                if seen % 5000 == 0 and item.type is Type.FILE:
                    peaks.append(tracemalloc.get_traced_memory()[1])
                    tracemalloc.reset_peak()
        finally:
            tracemalloc.stop()
            source.close()
    assert seen == 20_000
    assert peaks[-1] < peaks[0] * 1.1


@pytest.mark.parametrize(
    "body",
    [
        "", "not xml", "<a><b></a>", "<a>" * 50 + "</a>" * 50,
        '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        f"<a><Contents><Key>{'x' * (TEXT + 1)}</Key></Contents></a>",
        "<a><Contents><Key>k</Key><Size>-1</Size></Contents></a>",
        "<a><Contents><Key>k</Key><Size>many</Size></Contents></a>",
        "<a><Contents><Key>k</Key></Contents></a>",
    ],
)  # fmt: skip
def test_a_hostile_listing_is_an_error(body: str) -> None:
    with pytest.raises(Transient):
        page([body.encode()])


def test_keys_are_unescaped_only_where_the_server_says_that_it_escaped() -> None:
    one = "<L><Contents><Key>a%2Bb+c</Key><Size>1</Size></Contents>{}</L>"
    escaped = page([one.format("<EncodingType>url</EncodingType>").encode()])
    assert [entry.key for entry in escaped.entries] == ["a+b c"]
    assert [entry.key for entry in page([one.format("").encode()]).entries] == ["a%2Bb+c"]


def test_documents_are_read_in_any_pieces_and_with_any_namespace() -> None:
    text = b'<x:T xmlns:x="urn:y"><x:A>1</x:A><x:P><x:N>2</x:N><x:O><x:N>3</x:N></x:O></x:P></x:T>'
    own, found = records((text[n : n + 1] for n in range(len(text))), ("P",))
    assert own["A"] == "1" and found == [{"": "P", "N": "2", "O": ""}]
