"""Memory for pieces of large objects: bounded, and used again."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from common.endpoints.s3.ahead import DEPTH, STRETCH, Ahead
from common.endpoints.s3.buffers import Buffers
from common.errors import Transient


def test_a_buffer_is_waited_for_while_there_is_no_room() -> None:
    buffers = Buffers(10)
    first = buffers.take(6)
    got: list[bytearray] = []
    waiting = threading.Thread(target=lambda: got.append(buffers.take(6)))
    waiting.start()
    assert buffers.spare(6, must=False) is None
    buffers.give(first)
    waiting.join(10)
    assert got == [first]


def test_one_buffer_always_fits_and_one_that_must_be_is_given() -> None:
    buffers = Buffers(10)
    assert len(buffers.take(100)) == 100
    assert buffers.spare(5, must=False) is None
    assert buffers.spare(5, must=True) == bytearray(5)


def test_buffers_of_another_size_are_not_kept_for_ever() -> None:
    buffers = Buffers(100)
    buffers.give(buffers.take(5))
    assert len(buffers.take(7)) == 7


def test_stretches_come_in_order_and_no_more_of_them_than_there_is_room_for() -> None:
    asked: list[int] = []

    def fill(start: int, view: memoryview) -> None:
        asked.append(start)
        view[:8] = start.to_bytes(8, "big")

    end = 9 * STRETCH + 100
    with ThreadPoolExecutor(8) as lanes:
        found = []
        for piece in Ahead(lanes, Buffers(2 * STRETCH)).read(fill, 0, end):
            found.append((int.from_bytes(piece[:8], "big"), len(piece)))
            assert max(asked) < (len(found) + min(DEPTH, 2)) * STRETCH
    assert found == [(n * STRETCH, STRETCH) for n in range(9)] + [(9 * STRETCH, 100)]


def test_a_stretch_that_fails_ends_the_read_and_gives_its_memory_back() -> None:
    def fill(start: int, view: memoryview) -> None:
        if start:
            raise Transient("broken")

    buffers = Buffers(8 * STRETCH)
    with ThreadPoolExecutor(8) as lanes, pytest.raises(Transient):
        list(Ahead(lanes, buffers).read(fill, 0, 6 * STRETCH))
    assert buffers.spare(8 * STRETCH, must=False) is not None
