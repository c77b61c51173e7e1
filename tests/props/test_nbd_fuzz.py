"""Whatever the other side of an NBD connection says: an error of ours or an orderly end, nothing
else; never more memory than the protocol's bounds, never an endless wait for what was said."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from common.endpoints.nbd import asking, wire
from common.endpoints.nbd.asking import Offer
from common.endpoints.nbd.client import Client
from common.endpoints.nbd.export import WRITABLE, Export
from common.endpoints.nbd.serving import serve
from common.endpoints.nbd.stream import Bytes, Stream
from common.endpoints.nbd.wire import Blocks, Extent
from common.errors import ConvoyError, Missing

SIZE = 1 << 16
PATIENT = timedelta(seconds=30)
OFFER = Offer("disk", SIZE, WRITABLE, Blocks())


class Memory:
    """A disk in memory that notes whether anybody left its bounds."""

    offer = OFFER

    def __init__(self) -> None:
        self.data = bytearray(SIZE)

    def read(self, offset: int, length: int) -> Bytes:
        self._inside(offset, length)
        return bytes(self.data[offset : offset + length])

    def write(self, offset: int, data: Bytes, *, fua: bool) -> None:
        self._inside(offset, len(data))
        self.data[offset : offset + len(data)] = data

    def zero(self, offset: int, length: int, *, hole: bool, fua: bool) -> None:
        self.write(offset, bytes(length), fua=fua)

    def trim(self, offset: int, length: int, *, fua: bool) -> None:
        self._inside(offset, length)

    def flush(self) -> None: ...

    def extents(self, offset: int, length: int) -> Iterable[Extent]:
        self._inside(offset, length)
        return [Extent(length, 0)]

    def close(self) -> None: ...

    def _inside(self, offset: int, length: int) -> None:
        assert offset >= 0 and length > 0 and offset + length <= SIZE == len(self.data)


class One:
    """A server's only disk."""

    def __init__(self) -> None:
        self.disk = Memory()

    def listed(self) -> Iterable[tuple[str, str]]:
        return [("disk", "")]

    def look(self, name: str) -> Offer:
        return self.open(name).offer

    def open(self, name: str) -> Export:
        if name not in ("disk", ""):
            raise Missing("no such disk")
        return self.disk


def answered_to(said: bytes, act: Callable[[Stream], object]) -> bytes:
    """What `act` sends to somebody who says this and then nothing more."""
    ours, theirs = socket.socketpair()
    heard = bytearray()
    hearer = threading.Thread(target=_hear, args=(theirs, heard))
    stream = Stream(ours, "fuzz", PATIENT)
    with theirs:
        speaker = threading.Thread(target=_say, args=(theirs, said))
        hearer.start()
        speaker.start()
        with suppress(ConvoyError):
            act(stream)
        stream.close()
        speaker.join(60)
        hearer.join(60)
    assert not speaker.is_alive() and not hearer.is_alive()
    return bytes(heard)


def _say(sock: socket.socket, said: bytes) -> None:
    with suppress(OSError):
        sock.sendall(said)
        sock.shutdown(socket.SHUT_WR)


def _hear(sock: socket.socket, heard: bytearray) -> None:
    with suppress(OSError):
        while data := sock.recv(65536):
            heard += data


numbers = st.one_of(st.integers(0, 12), st.integers(0, (1 << 32) - 1))
names = st.sampled_from([b"disk", b"", b"other", b"\xff", b"a" * 300])


@st.composite
def questions(draw: st.DrawFn) -> bytes:
    """One option of a client: mostly well formed, of any content."""
    option = draw(st.one_of(st.integers(0, 12), numbers))
    name = draw(names)
    bodies = [
        st.just(b""),
        st.binary(max_size=40),
        st.just(struct.pack(">I", len(name)) + name + struct.pack(">HH", 1, 3)),
        st.just(
            struct.pack(">I", len(name)) + name + struct.pack(">II", 1, 15) + b"base:allocation"
        ),
        st.just(name),
    ]
    body = draw(st.one_of(bodies))
    length = draw(st.one_of(st.just(len(body)), st.just(len(body)), numbers))
    magic = draw(st.sampled_from([wire.OPTION] * 9 + [wire.OPTION_REPLY]))
    return wire.ASK.pack(magic, option & 0xFFFFFFFF, length) + body


@st.composite
def commands(draw: st.DrawFn) -> bytes:
    """One request of a client, in and out of bounds."""
    type_ = draw(st.integers(0, 9))
    offset = draw(st.one_of(st.integers(0, SIZE + 10), st.integers(0, (1 << 64) - 1)))
    length = draw(st.one_of(st.integers(0, 3000), numbers))
    head = wire.COMMAND.pack(
        draw(st.sampled_from([wire.REQUEST] * 9 + [0])),
        draw(st.sampled_from([0, 0, 0, 1, 2, 4, 8, 0xFFFF])),
        type_,
        draw(st.integers(0, (1 << 64) - 1)),
        offset,
        length,
    )
    payload = b"w" * length if type_ == wire.CMD_WRITE and length <= 3000 else b""
    return head + payload


hello = struct.pack(">I", 3)
go = wire.ASK.pack(wire.OPTION, wire.OPT_GO, 10) + struct.pack(">I", 4) + b"disk" + b"\0\0"
wordy = wire.ASK.pack(wire.OPTION, wire.OPT_STRUCTURED, 0)


@given(st.binary(max_size=200))
@example(b"")
@example(hello)
def test_a_server_survives_any_bytes(said: bytes) -> None:
    heard = answered_to(said, lambda stream: serve(stream, One()))
    assert heard.startswith(b"NBDMAGICIHAVEOPT")


@given(st.lists(questions(), max_size=6), st.binary(max_size=20))
def test_a_server_survives_any_questions(asked: list[bytes], rest: bytes) -> None:
    said = hello + b"".join(asked) + rest
    heard = answered_to(said, lambda stream: serve(stream, One()))
    assert len(heard) < 10_000 + 10 * wire.OPTION_MOST


@given(st.booleans(), st.lists(commands(), max_size=8), st.binary(max_size=30))
def test_a_server_survives_any_requests_and_keeps_to_its_disk(
    structured: bool, asked: list[bytes], rest: bytes
) -> None:
    said = hello + (wordy if structured else b"") + go + b"".join(asked) + rest
    exports = One()
    answered_to(said, lambda stream: serve(stream, exports))
    assert len(exports.disk.data) == SIZE
    assert set(exports.disk.data) <= {0, ord("w")}


def test_the_requests_of_these_tests_reach_the_disk() -> None:
    write = wire.COMMAND.pack(wire.REQUEST, 0, wire.CMD_WRITE, 7, 512, 4) + b"wwww"
    exports = One()
    heard = answered_to(hello + go + write, lambda stream: serve(stream, exports))
    assert exports.disk.data[512:516] == b"wwww"
    assert heard.endswith(wire.REPLY.pack(wire.SIMPLE, 0, 7))


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """One answer of a server to a question."""
    option = draw(st.sampled_from([wire.OPT_GO] * 6 + [wire.OPT_STRUCTURED, wire.OPT_SET_META, 3]))
    kind = draw(st.sampled_from([1, 2, 3, 3, 3, 4, wire.ERR_UNSUP, wire.ERR_UNKNOWN, 1 << 31, 77]))
    export = struct.pack(">HQH", 0, draw(st.sampled_from([SIZE, 0, 1 << 63])), WRITABLE)
    sizes = struct.pack(">HIII", 3, *draw(st.tuples(numbers, numbers, numbers)))
    bodies = [b"", export, sizes, b"\0\0\0\1base:allocation", draw(st.binary(max_size=30))]
    body = draw(st.sampled_from(bodies))
    length = draw(st.one_of(st.just(len(body)), st.just(len(body)), numbers))
    magic = draw(st.sampled_from([wire.OPTION_REPLY] * 9 + [0]))
    return wire.TELL.pack(magic, option, kind, length) + body


def log_in(stream: Stream) -> None:
    asking.greet(stream)
    if asking.structured(stream):
        asking.allocation(stream, "disk")
    asking.choose(stream, "disk", go=True)


@given(st.binary(max_size=200))
def test_a_client_survives_any_bytes(said: bytes) -> None:
    answered_to(said, log_in)


@given(st.lists(answers(), max_size=8), st.binary(max_size=20))
def test_a_client_survives_any_answers(said: list[bytes], rest: bytes) -> None:
    greeting = wire.HELLO.pack(wire.GREETING, wire.OPTION, 3)
    answered_to(greeting + b"".join(said) + rest, log_in)


@st.composite
def replies(draw: st.DrawFn) -> bytes:
    """One reply or chunk of a server, to one of the first requests."""
    cookie = draw(st.sampled_from([0, 0, 0, 1, 2, 1 << 63]))
    if draw(st.booleans()):
        error = draw(st.sampled_from([0, 0, 5, 22, 108, 1 << 31]))
        return wire.REPLY.pack(wire.SIMPLE, error, cookie) + draw(st.binary(max_size=600))
    kind = draw(st.sampled_from([0, 1, 1, 2, 5, 5, 9, wire.CHUNK_ERROR, wire.CHUNK_ERROR_OFFSET]))
    bodies = [
        b"",
        struct.pack(">Q", draw(st.sampled_from([0, 512, 1 << 40]))) + b"d" * 512,
        struct.pack(">QI", 0, draw(numbers)),
        struct.pack(">III", 1, draw(numbers), 3),
        struct.pack(">IH", 5, 0),
        draw(st.binary(max_size=40)),
    ]
    body = draw(st.sampled_from(bodies))
    length = draw(st.one_of(st.just(len(body)), st.just(len(body)), numbers))
    flags = draw(st.sampled_from([1, 1, 0, 0xFFFF]))
    return wire.CHUNK.pack(wire.STRUCTURED, flags, kind, cookie, length) + body


@given(st.booleans(), st.lists(replies(), max_size=8), st.binary(max_size=20))
def test_a_client_survives_any_replies_and_takes_no_byte_too_many(
    structured: bool, said: list[bytes], rest: bytes
) -> None:
    offer = OFFER._replace(structured=structured, allocation=1 if structured else None)

    def act(stream: Stream) -> None:
        client = Client(stream, offer)
        for verb in (
            lambda: client.read(0, 512),
            lambda: client.extents(0, SIZE).__next__(),
            lambda: client.write(0, b"x" * 512),
            lambda: client.flush(),
        ):
            got = verb()
            if isinstance(got, bytearray):
                assert len(got) == 512
            if isinstance(got, Extent):
                assert 0 < got.length <= SIZE

    answered_to(b"".join(said) + rest, act)
