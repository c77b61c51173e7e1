"""Heads of requests: read strictly, so that no two servers in a row disagree on them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.trans.buckets.chunks import Chunks, Data, Trailers
from consumer.trans.buckets.faults import Fault
from consumer.trans.buckets.heads import FIELDS, parse

HOST = b"host: h"
GET = b"GET /b/k HTTP/1.1\r\n"


def put(*fields: bytes) -> bytes:
    return b"\r\n".join((b"PUT /b/k HTTP/1.1", HOST, *fields))


SMUGGLED = {
    "two lengths": put(b"content-length: 1", b"content-length: 2"),
    "the same length twice": put(b"content-length: 1", b"content-length: 1"),
    "a list of lengths": put(b"content-length: 1, 1"),
    "a length and chunks": put(b"content-length: 1", b"transfer-encoding: chunked"),
    "chunks and a length": put(b"transfer-encoding: chunked", b"content-length: 1"),
    "a signed length": put(b"content-length: +1"),
    "a negative length": put(b"content-length: -1"),
    "a length in hexadecimal": put(b"content-length: 0x1"),
    "a length with a leading zero": put(b"content-length: 01"),
    "a length with a blank in it": put(b"content-length: 1 1"),
    "an empty length": put(b"content-length:"),
    "a length in other digits": put("content-length: \u0661".encode()),
    "a length beyond all bounds": put(b"content-length: 99999999999999999999"),
    "two codings": put(b"transfer-encoding: gzip, chunked"),
    "a coding twice": put(b"transfer-encoding: chunked", b"transfer-encoding: chunked"),
    "a coding that is not chunked": put(b"transfer-encoding: identity"),
    "a coding with a parameter": put(b"transfer-encoding: chunked;q=1"),
    "a coding spelled oddly": put(b"transfer-encoding: \x0bchunked"),
    "chunks in HTTP/1.0": b"PUT / HTTP/1.0\r\nhost: h\r\ntransfer-encoding: chunked",
    "a blank before the colon": put(b"content-length : 1"),
    "a blank before the name": GET + HOST + b"\r\n content-length: 1",
    "a folded header": put(b"x-amz-meta-a: 1", b"\tcontent-length: 1"),
    "a header without a colon": put(b"content-length"),
    "a header without a name": put(b": 1"),
    "a bare line feed": put(b"x-a: 1\ncontent-length: 1"),
    "a bare carriage return": put(b"x-a: 1\rcontent-length: 1"),
    "a zero byte": put(b"x-a: 1\x00"),
    "two hosts": GET + HOST + b"\r\nhost: other",
    "no host": GET.rstrip(),
    "an address of another server": b"GET http://other/ HTTP/1.1\r\nhost: h",
    "a target without a slash": b"GET b/k HTTP/1.1\r\nhost: h",
    "a target with a blank": b"GET /b/k HTTP/1.1 HTTP/1.1\r\nhost: h",
    "a target with a fragment": b"GET /b#k HTTP/1.1\r\nhost: h",
    "a target of raw bytes": b"GET /b/\xc3\xa9 HTTP/1.1\r\nhost: h",
    "two blanks": b"GET  /b/k HTTP/1.1\r\nhost: h",
    "a method in small letters": b"get /b/k HTTP/1.1\r\nhost: h",
    "a method that nobody knows": b"TRACE / HTTP/1.1\r\nhost: h",
    "a tunnel": b"CONNECT other:80 HTTP/1.1\r\nhost: h",
    "another protocol": b"GET / HTTP/2.0\r\nhost: h",
    "no protocol": b"GET /\r\nhost: h",
    "a parameter twice": b"GET /b?prefix=a&prefix=b HTTP/1.1\r\nhost: h",
    "an escape of no number": b"GET /b?prefix=%zz HTTP/1.1\r\nhost: h",
    "an escape cut short": b"GET /b?prefix=%2 HTTP/1.1\r\nhost: h",
    "too many headers": put(*[b"x-a%d: 1" % n for n in range(FIELDS)]),
    "a head that is too long": put(b"x-a: " + b"1" * 40_000),
    "a signature twice": put(b"authorization: a", b"authorization: b"),
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_what_two_readers_could_read_differently_is_refused_and_cut(name: str) -> None:
    with pytest.raises(Fault) as caught:
        parse(SMUGGLED[name])
    assert caught.value.close
    assert caught.value.code == "InvalidRequest"


def test_a_head_is_read() -> None:
    head = parse(
        b"PUT /b/k%20?a=1&b=%2F+c&d HTTP/1.1\r\nHost: h:1\r\nContent-Length: 12\r\nX-A:  b "
    )
    assert (head.method, head.path, head.length, head.lasting) == ("PUT", "/b/k%20", 12, True)
    assert head.query == {"a": "1", "b": "/ c", "d": ""}
    assert head.headers == {"host": "h:1", "content-length": "12", "x-a": "b"}


def test_chunks_have_no_length_and_old_clients_no_next_request() -> None:
    assert parse(put(b"transfer-encoding: chunked")).chunked
    assert not parse(b"GET / HTTP/1.0\r\nhost: h").lasting
    assert not parse(GET + HOST + b"\r\nconnection: close").lasting


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_a_fault(data: bytes) -> None:
    assert _outcome(GET + HOST + b"\r\n" + data) in ("GET", "InvalidRequest")


def _outcome(raw: bytes) -> str:
    try:
        return parse(raw).method
    except Fault as fault:
        return fault.code if fault.close else "left open"


# -- chunks -----------------------------------------------------------------------------------

ODD_CHUNKS = {
    "an extension": b"5;a=b\r\nhello\r\n0\r\n\r\n",
    "a quoted extension": b'5;a="\r\n"\r\nhello\r\n0\r\n\r\n',
    "a blank behind the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "a sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "a prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "a size beyond all bounds": b"fffffffff\r\nhello",
    "a bare line feed": b"5\nhello\r\n0\r\n\r\n",
    "a bare carriage return": b"5\rX\r\nhello\r\n0\r\n\r\n",
    "a chunk longer than it says": b"4\r\nhello\r\n0\r\n\r\n",
    "a chunk without its end": b"5\r\nhelloX\r\n0\r\n\r\n",
    "a trailer nobody announced": b"5\r\nhello\r\n0\r\nhost: other\r\n\r\n",
    "a signature nobody asked for": b"5;chunk-signature=" + b"0" * 64 + b"\r\nhello\r\n",
    "a line without an end": b"5" * 300,
}


@pytest.mark.parametrize("name", ODD_CHUNKS)
def test_an_odd_chunk_is_refused(name: str) -> None:
    with pytest.raises(Fault) as caught:
        list(Chunks().feed(ODD_CHUNKS[name]))
    assert caught.value.close


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.integers(1, 7))
def test_chunks_mean_the_same_however_they_are_cut(pieces: list[bytes], stride: int) -> None:
    wire = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\nNEXT"
    chunks, got, ends = Chunks(), b"", 0
    for start in range(0, len(wire), stride):
        for event in chunks.feed(wire[start : start + stride]):
            got += event.data if isinstance(event, Data) else b""
            ends += isinstance(event, Trailers)
            if chunks.over:
                rest = chunks.surplus() + wire[start + stride :]
        if chunks.over:
            break
    assert (got, ends, rest) == (b"".join(pieces), 1, b"NEXT")
