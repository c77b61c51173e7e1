"""HTTP over a real socket: what is believed, what is bounded, what is waited for."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from common.endpoints.wire import Origin, Silent, Timeouts, Wire
from common.errors import Backpressure, ConvoyError, Denied, Permanent, Refused, Transient
from tests.certificates import self_signed
from tests.servers.proxy import Fault, before
from tests.servers.scripted import HANG_UP, HUSH, Scripted, scripted

SHORT = timedelta(seconds=1)
LIMITS = Timeouts(connect=SHORT, first_byte=SHORT, idle_read=SHORT, idle_write=SHORT, pool=4)
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@contextmanager
def wired(server: Scripted, context: ssl.SSLContext | None = None) -> Iterator[Wire]:
    wire = Wire(Origin.parse(server.url), LIMITS, context=context)
    try:
        yield wire
    finally:
        wire.close()


def answered(answer: bytes, *, close: bool = False) -> bytes:
    with scripted(answer, close=close) as server, wired(server) as wire:
        return bytes(wire.ask("GET", "/", {}).body)


def test_an_answer_with_a_length_is_read_to_its_end_and_the_connection_is_kept() -> None:
    with scripted(HELLO, HELLO) as server, wired(server) as wire:
        assert [bytes(wire.ask("GET", "/", {}).body) for _ in "12"] == [b"hello", b"hello"]
        assert server.connections == 1


def test_headers_are_found_in_lower_case_and_repeated_ones_are_joined() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: 1\r\nx-a:  2 \r\n\r\n"
    with scripted(answer) as server, wired(server) as wire:
        assert wire.ask("GET", "/", {}).headers["x-a"] == "1, 2"


def test_an_answer_in_chunks_is_put_together() -> None:
    chunks = b"5;note=1\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n"
    assert answered(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks) == b"hello!"


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    assert answered(b"HTTP/1.1 200 OK\r\n\r\nhello", close=True) == b"hello"


def test_an_old_server_is_not_asked_twice_over_one_connection() -> None:
    answer = HELLO.replace(b"1.1", b"1.0")
    with scripted(answer, HELLO, close=True) as server, wired(server) as wire:
        wire.ask("GET", "/", {})
        wire.ask("GET", "/", {})
        assert server.connections == 2


def test_an_interim_answer_is_passed_over() -> None:
    assert answered(b"HTTP/1.1 100 Continue\r\n\r\n" + HELLO) == b"hello"


def test_the_body_of_a_head_request_is_not_waited_for() -> None:
    with scripted(HELLO[:-5], HELLO) as server, wired(server) as wire:
        assert wire.ask("HEAD", "/", {}).headers["content-length"] == "5"
        assert wire.ask("GET", "/", {}).body == b"hello"
        assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Len",
    ],
)
def test_a_truncated_answer_is_an_error_and_never_a_short_body(answer: bytes) -> None:
    with pytest.raises(Transient, match="cut short"):
        answered(answer, close=True)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 999 \r\n\r\n",
        b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xc2\xb2\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + HELLO,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 20_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"T: x\r\n" * 20_000,
    ],
)
def test_an_answer_that_is_no_http_is_an_error(answer: bytes) -> None:
    with pytest.raises(Transient, match="no HTTP"):
        answered(answer)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"4000\r\n%b\r\n" % bytes(0x4000) * 9,
        b"HTTP/1.1 200 OK\r\n\r\n" + bytes(200_000),
    ],
)
def test_an_answer_longer_than_allowed_is_refused(answer: bytes) -> None:
    with (
        scripted(answer) as server,
        wired(server) as wire,
        pytest.raises(Permanent, match="longer"),
    ):
        wire.ask("GET", "/", {}, most=100_000)


def test_a_connection_on_which_something_was_left_unread_is_not_used_again() -> None:
    with scripted(HELLO + HELLO, HELLO) as server, wired(server) as wire:
        wire.ask("GET", "/", {})
        assert bytes(wire.ask("GET", "/", {}).body) == b"hello"
        assert server.connections == 2


def test_a_reply_that_is_closed_early_gives_its_place_in_the_pool_back() -> None:
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000)
    with scripted(*[big] * 8, close=True) as server, wired(server) as wire:
        for _ in range(8):
            reply = wire.open("GET", "/", {})
            assert next(reply.chunks())
            reply.close()


def test_a_kept_connection_that_broke_is_replaced_once_and_the_answer_says_so() -> None:
    with scripted(HELLO, HANG_UP, HELLO) as server, wired(server) as wire:
        assert not wire.ask("PUT", "/", {}, b"1").again
        assert wire.ask("PUT", "/", {}, b"2").again
        assert server.requests[1] == server.requests[2]


def test_a_fresh_connection_that_breaks_is_an_error() -> None:
    with (
        scripted(HANG_UP, HELLO) as server,
        wired(server) as wire,
        pytest.raises(Transient, match="broke"),
    ):
        wire.ask("GET", "/", {})


def test_a_server_that_is_not_there_is_an_error_that_passes() -> None:
    with scripted(HELLO) as server:
        pass
    with wired(server) as wire, pytest.raises(Transient, match="refused"):
        wire.ask("GET", "/", {})


def test_a_server_that_accepts_and_says_nothing_is_given_up() -> None:
    with (
        scripted(HUSH) as server,
        wired(server) as wire,
        pytest.raises(Silent, match="said nothing"),
    ):
        wire.ask("GET", "/", {})


def test_a_server_that_stops_half_way_is_given_up() -> None:
    with scripted(HELLO[:-2]) as server, wired(server) as wire, pytest.raises(Silent):
        wire.ask("GET", "/", {})


def test_a_server_that_takes_nothing_is_given_up() -> None:
    with scripted(HELLO) as server, before(server.url) as proxy:
        proxy.set(up=Fault(stall_after=1, buffer=4096))
        wire = Wire(Origin.parse(proxy.url), LIMITS)
        with pytest.raises(Silent, match="took nothing"):
            wire.ask("PUT", "/", {}, bytes(32 << 20))
        wire.close()


def test_an_answer_that_drips_is_waited_for_however_long_it_takes() -> None:
    with scripted(HELLO) as server, before(server.url) as proxy:
        proxy.set(down=Fault(piece=1, pause=0.06))  # 43 bytes: more than twice the limit
        wire = Wire(Origin.parse(proxy.url), LIMITS)
        assert wire.ask("GET", "/", {}).body == b"hello"
        wire.close()


def test_a_body_that_is_taken_slowly_is_sent_however_long_it_takes() -> None:
    with scripted(HELLO) as server, before(server.url) as proxy:
        proxy.set(up=Fault(piece=65536, pause=0.03, buffer=65536))
        wire = Wire(Origin.parse(proxy.url), LIMITS)
        assert wire.ask("PUT", "/", {}, bytes(6 << 20)).body == b"hello"
        wire.close()


def test_an_early_refusal_of_a_large_body_is_heard() -> None:
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
    with scripted(refusal) as server, wired(server) as wire:
        assert wire.ask("PUT", "/", {}, b"x" * 100).status == 403


def test_a_pool_that_is_used_up_asks_for_patience() -> None:
    slow = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    with scripted(slow) as server:
        wire = Wire(Origin.parse(server.url), Timeouts(first_byte=SHORT, pool=1))
        held = wire.open("GET", "/", {})
        with pytest.raises(Backpressure, match="busy"):
            wire.ask("GET", "/", {})
        held.close()
        wire.close()


def test_requests_sent_ahead_are_answered_each_by_its_own_answer_in_any_order() -> None:
    answers = [HELLO.replace(b"hello", b"%05d" % number) for number in range(2)]
    with scripted(*answers, close=True) as server, wired(server) as wire:
        begun = [wire.ahead("GET", "/", {}), wire.ahead("PUT", "/", {}, b"x")]
        bodies = [bytes(found.answer().body) for found in reversed(begun) if found]
    assert bodies == [b"00001", b"00000"]


def test_what_is_sent_ahead_leaves_half_of_the_connections_to_others() -> None:
    with scripted(HELLO, HELLO, close=True) as server:
        wire = Wire(Origin.parse(server.url), Timeouts(first_byte=SHORT, pool=2))
        begun = wire.ahead("GET", "/", {})
        assert begun is not None
        assert wire.ahead("GET", "/", {}) is None
        assert bytes(wire.ask("GET", "/", {}).body) == b"hello"
        assert bytes(begun.answer().body) == b"hello"
        wire.close()


def test_what_was_sent_ahead_and_is_forgotten_gives_its_connection_up() -> None:
    with scripted(HELLO, HELLO, HELLO, HELLO, close=True) as server:
        wire = Wire(Origin.parse(server.url), Timeouts(first_byte=SHORT, pool=2))
        for _ in range(3):
            begun = wire.ahead("GET", "/", {})
            assert begun is not None
            del begun
        assert bytes(wire.ask("GET", "/", {}).body) == b"hello"
        wire.close()


def test_what_was_sent_ahead_over_a_connection_that_died_is_sent_once_more() -> None:
    with scripted(HELLO, HANG_UP, HELLO) as server, wired(server) as wire:
        wire.ask("PUT", "/", {}, b"x")
        begun = wire.ahead("PUT", "/", {}, b"y")
        assert begun is not None
        answer = begun.answer()
        assert (bytes(answer.body), answer.again) == (b"hello", True)


def test_a_free_place_in_the_pool_is_waited_for() -> None:
    with scripted(HELLO, HELLO) as server:
        wire = Wire(Origin.parse(server.url), Timeouts(pool=1))
        held = wire.open("GET", "/", {})
        got: list[bytes] = []
        waiting = threading.Thread(target=lambda: got.append(bytes(wire.ask("GET", "/", {}).body)))
        waiting.start()
        assert held.read(9) == b"hello"
        waiting.join(10)
        assert got == [b"hello"]
        wire.close()


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b"])
def test_a_header_that_would_break_the_request_is_refused(value: str) -> None:
    with (
        scripted(HELLO) as server,
        wired(server) as wire,
        pytest.raises(Refused, match="break the request"),
    ):
        wire.ask("GET", "/", {"x-note": value})


@pytest.mark.parametrize("target", ["nothing", "/a b", "/a\r\nX: y"])
def test_a_target_that_would_break_the_request_is_refused(target: str) -> None:
    with scripted(HELLO) as server, wired(server) as wire, pytest.raises(Refused):
        wire.ask("GET", target, {})


@pytest.mark.parametrize(
    "url", ["ftp://host", "file:///etc/passwd", "host:80", "http://", "http://h:99999", "http://["]
)
def test_what_is_no_address_of_http_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        Origin.parse(url)


def test_credentials_in_an_address_are_refused_without_repeating_them() -> None:
    with pytest.raises(Refused) as caught:
        Origin.parse("https://user:hunter2@host/")
    assert "hunter2" not in f"{caught.value}{caught.value.hint}"


def test_the_usual_port_is_left_out_of_the_host_header() -> None:
    urls = ("http://h:80", "https://h:443/x", "http://h:81", "http://[::1]:80")
    assert [Origin.parse(url).authority for url in urls] == ["h", "h", "h:81", "[::1]"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that nobody trusts but who is told to."""
    return self_signed(tmp_path_factory.mktemp("tls") / "both.pem")


def serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_large_bodies_pass_through_tls_both_ways(certificate: Path) -> None:
    body = bytes(range(256)) * 4096
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    trusted = ssl.create_default_context(cafile=certificate)
    with (
        scripted(answer, answer, context=serving(certificate)) as server,
        wired(server, trusted) as wire,
    ):
        assert wire.ask("PUT", "/", {}, body).body == body
        assert b"".join(map(bytes, wire.open("GET", "/", {}).chunks())) == body
        assert server.requests[0].endswith(body) and server.connections == 1


def test_a_certificate_that_is_not_trusted_is_denied(certificate: Path) -> None:
    with (
        scripted(HELLO, context=serving(certificate)) as server,
        wired(server) as wire,
        pytest.raises(Denied, match="not trusted"),
    ):
        wire.ask("GET", "/", {})


def test_a_silent_server_behind_tls_is_given_up(certificate: Path) -> None:
    trusted = ssl.create_default_context(cafile=certificate)
    with (
        scripted(HELLO[:-2], context=serving(certificate)) as server,
        wired(server, trusted) as wire,
        pytest.raises(Silent),
    ):
        wire.ask("GET", "/", {})


def test_an_encrypted_stream_that_is_cut_is_an_error_even_without_a_length(
    certificate: Path,
) -> None:
    trusted = ssl.create_default_context(cafile=certificate)
    open_ended = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 9000
    with (
        scripted(open_ended, context=serving(certificate), close=True) as server,
        wired(server, trusted) as wire,
        pytest.raises(ConvoyError),
    ):
        wire.ask("GET", "/", {})


def test_a_byte_damaged_under_tls_never_arrives(certificate: Path) -> None:
    trusted = ssl.create_default_context(cafile=certificate)
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + bytes(60000)
    with scripted(big, context=serving(certificate)) as server, before(server.url) as proxy:
        proxy.set(down=Fault(flip_at=30_000))
        wire = Wire(Origin("https", "127.0.0.1", proxy.port), LIMITS, context=trusted)
        with pytest.raises(Transient):
            wire.ask("GET", "/", {})
        wire.close()
