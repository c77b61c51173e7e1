"""When a change is over, and when it may still happen; and answers that are none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from common.endpoints.flow import Pool, Reply
from common.endpoints.wire import Origin, Timeouts
from common.errors import Transient
from consumer.trans.buckets.changing import _over
from consumer.trans.buckets.request import ended
from consumer.trans.buckets.server import Answer

T = TypeVar("T")
DONE = b"<?xml version='1.0'?><CompleteMultipartUploadResult><ETag>e</ETag>"
FAILED = b"  <?xml version='1.0'?>\n<Error><Code>InternalError</Code></Error>"


def answered(raw: bytes, use: Callable[[Reply], Awaitable[T]]) -> T:
    """What comes of a server that answers with these bytes and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        await writer.drain()
        writer.close()

    async def main() -> T:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        pool = Pool(Origin("http", "127.0.0.1", port), Timeouts())
        try:
            return await use(await pool.ask("POST", "/b/k", {"host": "h"}))
        finally:
            pool.close()
            server.close()
            await server.wait_closed()

    return asyncio.run(main())


def framed(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [(200, DONE, 200), (200, b"\n \n" + DONE, 200), (200, FAILED, 500), (404, FAILED, 404)],
)
def test_an_error_behind_a_200_is_one_by_its_status(
    status: int, body: bytes, expected: int
) -> None:
    answer = answered(framed(status, body), ended)
    assert (answer.status, answer.body) == (expected, body)


@pytest.mark.parametrize(
    ("answer", "over"),
    [
        (Answer(200), True),
        (Answer(204), True),
        (Answer(404), True),
        (Answer(412), True),
        (Answer(500), False),
        (Answer(503), False),
        (Answer(200, body=b"<DeleteResult><Error><Key>k</Key></Error></DeleteResult>"), False),
    ],
)
def test_what_the_store_failed_at_may_still_happen(answer: Answer, over: bool) -> None:
    assert _over(answer) is over


BROKEN = {
    "nothing": b"",
    "no HTTP": b"hello\r\n\r\n",
    "a head without an end": b"HTTP/1.1 200 OK\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
    "a length that is none": b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
    "a body cut short": b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx",
    "a chunk cut short": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nx",
    "a chunk without a size": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
    "no last chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n",
    "a header without a colon": b"HTTP/1.1 200 OK\r\nx\r\n\r\n",
    "interim answers for ever": b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_is_an_error_and_never_a_short_one(name: str) -> None:
    with pytest.raises(Transient):
        answered(BROKEN[name], lambda reply: reply.read(100))


def test_answers_are_read_however_they_are_framed() -> None:
    for raw in (
        framed(200, b"body"),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nbody",
        b"HTTP/1.1 100 Continue\r\n\r\n" + framed(200, b"body"),
    ):
        assert answered(raw, lambda reply: reply.read(100)) == b"body"
